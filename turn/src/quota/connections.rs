//! How many connections, or DTLS sessions, clients may hold at a time, and how long without an allocation.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::per_holder::PerHolder;
use crate::ClientAddr;

/// Of each kind at a time. A DTLS session has some 15 kB, so that they never take more than 150 MB.
const MOST: usize = 10_000;
/// Of each kind at a time from one IPv4 address or one IPv6 /64 network. Everybody behind one NAT counts as one.
const MOST_OF_NETWORK: usize = 1000;
/// Until then there must be an allocation, and whoever lost theirs may get another.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same where half of the places are taken: time for an allocation, but not for keeping others out.
const PATIENCE_WHEN_CROWDED: Duration = Duration::from_secs(3);

/// The places that are taken. When there is none left, a client is turned away.
#[derive(Debug)]
pub(crate) struct ConnectionQuota {
    taken: usize,
    per_network: PerHolder<IpAddr>,
}

impl ConnectionQuota {
    pub(crate) fn new() -> ConnectionQuota {
        ConnectionQuota { taken: 0, per_network: PerHolder::new(MOST_OF_NETWORK) }
    }

    /// Takes a place, if there is one.
    pub(crate) fn take(&mut self, client: ClientAddr) -> bool {
        let has_room = self.taken < MOST && !self.per_network.is_used_up(&client.network());
        if has_room {
            self.per_network.take(client.network());
            self.taken += 1;
        }
        has_room
    }

    /// How long a client may go without an allocation, as things are.
    pub(crate) fn patience(&self, client: ClientAddr) -> Duration {
        let of_network = self.per_network.of(&client.network());
        match self.taken >= MOST / 2 || of_network >= MOST_OF_NETWORK / 2 {
            true => PATIENCE_WHEN_CROWDED,
            false => PATIENCE,
        }
    }

    /// Gives a place back that was taken.
    pub(crate) fn free(&mut self, client: ClientAddr) {
        self.taken -= 1;
        self.per_network.give_back(&client.network());
    }
}

/// Since when somebody has had no allocation, as far as was looked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdleSince(Instant);

impl IdleSince {
    pub(crate) fn new(now: Instant) -> IdleSince {
        IdleSince(now)
    }

    /// Looks again; `true` when the patience with them is over.
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
