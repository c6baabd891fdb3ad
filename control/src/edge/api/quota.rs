//! The rate limit of requests without a valid credential.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use madang_turn::client_network;

use crate::token_bucket::TokenBucket;

/// Maximum rate of requests from one address, per second. Bursts may have twice as many.
const PER_SECOND: u32 = 10;

/// Maximum number of addresses with a quota of their own. When it is reached, idle addresses lose theirs; if none is
/// idle, all further addresses share one quota.
const MOST_ADDRESSES: usize = 10_000;

/// The quotas of all addresses.
#[derive(Debug, Default)]
pub(super) struct Quota {
    /// Has at most [`MOST_ADDRESSES`] entries, and one for all other addresses.
    asked: HashMap<Share, Asked>,
}

#[derive(Debug)]
struct Asked {
    rate: TokenBucket,
    last: Instant,
}

/// Addresses that count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Share {
    One(IpAddr),
    /// All addresses without a quota of their own.
    Others,
}

impl Quota {
    /// Counts a request. Returns false if it exceeds the quota.
    pub(super) fn take(&mut self, from: IpAddr, now: Instant) -> bool {
        let from = self.place(Share::One(client_network(from)), now);
        let asked = self
            .asked
            .entry(from)
            .or_insert_with(|| Asked { rate: TokenBucket::new(PER_SECOND, now), last: now });
        asked.last = now;
        asked.rate.take(now)
    }

    fn place(&mut self, from: Share, now: Instant) -> Share {
        if self.asked.len() < MOST_ADDRESSES || self.asked.contains_key(&from) {
            return from;
        }
        // After two seconds without a request, a bucket is full again.
        let is_new = |asked: &Asked| now.saturating_duration_since(asked.last).as_secs() < 2;
        self.asked.retain(|_, asked| is_new(asked));
        if self.asked.len() < MOST_ADDRESSES { from } else { Share::Others }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_address_has_its_own_quota() {
        let now = Instant::now();
        let mut quota = Quota::default();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));

        let burst = (0..100).filter(|_| quota.take(one, now)).count();

        assert_eq!(burst, 20);
        assert!(quota.take(other, now));
        assert!(quota.take(one, now + Duration::from_secs(1)));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let now = Instant::now();
        let mut quota = Quota::default();

        let taken = (0..100u16)
            .filter(|n| quota.take(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, *n]), now))
            .count();

        assert_eq!(taken, 20);
    }

    #[test]
    fn too_many_addresses_share_a_quota_until_some_are_quiet() {
        let now = Instant::now();
        let mut quota = Quota::default();
        let address = |n: usize| IpAddr::V4(Ipv4Addr::from(u32::try_from(n).unwrap()));
        for n in 0..MOST_ADDRESSES {
            quota.take(address(n), now);
        }

        let late = (0..100).filter(|n| quota.take(address(MOST_ADDRESSES + n), now)).count();

        assert_eq!(late, 20);
        assert_eq!(quota.asked.len(), MOST_ADDRESSES + 1);
        assert!(quota.take(address(MOST_ADDRESSES + 1000), now + Duration::from_secs(3)));
        assert_eq!(quota.asked.len(), 1);
    }
}
