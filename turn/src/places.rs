//! How many connections and sessions clients may hold before they have shown credentials, and how long.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::ClientAddr;

/// Of each kind at a time. A DTLS session has some 15 kB, so that they never take more than 150 MB.
const MOST: usize = 10_000;
/// Of each kind at a time from one IPv4 address or one IPv6 /64 network. Everybody behind one NAT counts as one.
const MOST_OF_NETWORK: usize = 1000;
/// Until then there must be an allocation, and whoever lost theirs may get another.
const PATIENCE: Duration = Duration::from_secs(30);

/// The places that are taken. When there is none left, a client is turned away.
#[derive(Debug, Default)]
pub(crate) struct Places {
    taken: usize,
    per_network: HashMap<IpAddr, usize>,
}

impl Places {
    /// Takes a place, if there is one.
    pub(crate) fn take(&mut self, client: ClientAddr) -> bool {
        let of_network = self.per_network.get(&client.network()).copied().unwrap_or_default();
        if self.taken >= MOST || of_network >= MOST_OF_NETWORK {
            return false;
        }
        self.per_network.insert(client.network(), of_network + 1);
        self.taken += 1;
        true
    }

    /// Gives a place back.
    pub(crate) fn free(&mut self, client: ClientAddr) {
        self.taken = self.taken.saturating_sub(1);
        let Some(of_network) = self.per_network.get_mut(&client.network()) else { return };
        *of_network = of_network.saturating_sub(1);
        if *of_network == 0 {
            self.per_network.remove(&client.network());
        }
    }
}

/// Since when somebody has had no allocation, as far as was looked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdleSince(Instant);

impl IdleSince {
    pub(crate) fn new(now: Instant) -> IdleSince {
        IdleSince(now)
    }

    /// Looks again; `true` when it has been so for too long.
    pub(crate) fn is_too_long(&mut self, now: Instant, has_allocation: bool) -> bool {
        if has_allocation {
            self.0 = now;
        }
        now.saturating_duration_since(self.0) >= PATIENCE
    }
}
