//! The connection quota: how many TCP connections or DTLS sessions clients may hold, and how long each may lack an
//! allocation.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::per_holder::PerHolder;
use crate::ClientAddr;

/// The maximum number of connections of each kind. A DTLS session takes about 15 kB, so they take at most 150 MB.
const MOST: usize = 10_000;
/// The maximum number of connections of each kind from one IPv4 address or one IPv6 /64 network. All clients behind one
/// NAT count as one.
const MOST_OF_NETWORK: usize = 1000;
/// How long a connection may lack an allocation. A client that lost its allocation can create another in this time.
const PATIENCE: Duration = Duration::from_secs(30);
/// The patience when half of a quota is used: enough time to allocate, too little to lock others out.
const PATIENCE_WHEN_CROWDED: Duration = Duration::from_secs(3);

/// Counts connections against the quota. When it is used up, a new connection is refused.
#[derive(Debug)]
pub(crate) struct ConnectionQuota {
    taken: usize,
    per_network: PerHolder<IpAddr>,
}

impl ConnectionQuota {
    pub(crate) fn new() -> ConnectionQuota {
        ConnectionQuota { taken: 0, per_network: PerHolder::new(MOST_OF_NETWORK) }
    }

    /// Counts a connection; `false` when the quota is used up.
    pub(crate) fn take(&mut self, client: ClientAddr) -> bool {
        let has_room = self.taken < MOST && !self.per_network.is_used_up(&client.network());
        if has_room {
            self.per_network.take(client.network());
            self.taken += 1;
        }
        has_room
    }

    /// How long a client may lack an allocation at the present load.
    pub(crate) fn patience(&self, client: ClientAddr) -> Duration {
        let of_network = self.per_network.of(&client.network());
        match self.taken >= MOST / 2 || of_network >= MOST_OF_NETWORK / 2 {
            true => PATIENCE_WHEN_CROWDED,
            false => PATIENCE,
        }
    }

    /// Stops counting a connection that was taken.
    pub(crate) fn free(&mut self, client: ClientAddr) {
        self.taken -= 1;
        self.per_network.give_back(&client.network());
    }
}

/// The last time at which a connection was seen with an allocation, or its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdleSince(Instant);

impl IdleSince {
    pub(crate) fn new(now: Instant) -> IdleSince {
        IdleSince(now)
    }

    /// Records whether there is an allocation; returns `true` when the patience is over.
    pub(crate) fn is_over(
        &mut self,
        now: Instant,
        has_allocation: bool,
        patience: Duration,
    ) -> bool {
        if has_allocation {
            self.0 = now;
        }
        now.saturating_duration_since(self.0) >= patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowded_network_has_less_time_and_then_no_place_and_others_have() {
        let client = |net: u8, port: u16| ClientAddr::tcp(([192, 0, net, 1], port).into());
        let mut quota = ConnectionQuota::new();
        for port in 1..500 {
            assert!(quota.take(client(2, port)));
        }
        assert_eq!(quota.patience(client(2, 1)), PATIENCE);
        for port in 500..=1000 {
            assert!(quota.take(client(2, port)));
        }

        assert!(!quota.take(client(2, 1001)));
        assert_eq!(quota.patience(client(2, 1)), PATIENCE_WHEN_CROWDED);
        assert!(quota.take(client(3, 1)));
        assert_eq!(quota.patience(client(3, 1)), PATIENCE);
        quota.free(client(2, 1));
        assert!(quota.take(client(2, 1001)));
    }

    #[test]
    fn everybody_has_less_time_when_half_of_all_places_are_taken() {
        let client = |n: u16| ClientAddr::tcp(([192, 0, 2, (n / 900) as u8], n).into());
        let mut quota = ConnectionQuota::new();
        for n in 1..=10_000 {
            assert_eq!(quota.patience(client(60_000)) == PATIENCE, n <= 5000, "{n}");
            assert!(quota.take(client(n)));
        }

        assert!(!quota.take(client(60_000)));
    }
}
