//! The rate limit of requests without valid credentials, per network. Answers to such requests are somewhat longer than
//! the requests, and their source address may be forged (an amplification attack).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Instant;

use super::rate::Rate;

/// The number of cells per table. It is fixed, so that a flood from many addresses takes no memory. Networks that hash
/// to the same cell share its rate.
const CELLS: usize = 16_384;

/// What is known about the source address of an unauthenticated request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nothing: the address may be forged.
    Claimed,
    /// The client received what was sent to the address, in a handshake.
    Proven,
}

/// The remaining credit of each network. Senders with a forged address take no credit from clients that proved theirs.
#[derive(Debug)]
pub(crate) struct UnauthenticatedQuota {
    per_second: u32,
    /// Makes the assignment of networks to cells unpredictable.
    seed: u64,
    /// The time to which the cells' times are relative.
    start: Option<Instant>,
    claimed: Cells,
    proven: Cells,
}

/// One token bucket per cell; empty when there is no limit.
type Cells = Box<[Cell]>;

#[derive(Clone, Copy, Debug)]
struct Cell {
    /// Thousandths of a request.
    credit: u32,
    /// Milliseconds since `start`.
    at_ms: u32,
}

impl UnauthenticatedQuota {
    /// Allows a burst of two seconds' worth; 0 means no limit.
    pub(crate) fn new(per_second: u32, seed: u64) -> UnauthenticatedQuota {
        let full = Cell { credit: burst(per_second), at_ms: 0 };
        let count = Rate::per_second(per_second.into()).limit().map_or(0, |_| CELLS);
        let cells: Cells = vec![full; count].into();
        UnauthenticatedQuota {
            per_second,
            seed,
            start: None,
            claimed: cells.clone(),
            proven: cells,
        }
    }

    /// Whether to answer another request of the network; if so, the request is counted.
    pub(crate) fn allow(&mut self, now: Instant, network: IpAddr, origin: Origin) -> bool {
        let start = *self.start.get_or_insert(now);
        let elapsed = now.saturating_duration_since(start).as_millis();
        // A cell that was unused for 49 days may be filled too late, which is harmless.
        let now_ms = (elapsed & u128::from(u32::MAX)) as u32;
        let mut hasher = DefaultHasher::new();
        (self.seed, network).hash(&mut hasher);
        let index = hasher.finish() as usize % CELLS;
        let cells = match origin {
            Origin::Claimed => &mut self.claimed,
            Origin::Proven => &mut self.proven,
        };
        let Some(cell) = cells.get_mut(index) else { return true };
        let earned = now_ms.wrapping_sub(cell.at_ms).saturating_mul(self.per_second);
        cell.credit = cell.credit.saturating_add(earned).min(burst(self.per_second));
        cell.at_ms = now_ms;
        let Some(left) = cell.credit.checked_sub(1000) else { return false };
        cell.credit = left;
        true
    }
}

fn burst(per_second: u32) -> u32 {
    per_second.saturating_mul(2000)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::test_now::test_now;

    #[test]
    fn a_network_gets_its_rate_and_others_theirs() {
        let mut now = test_now();
        let mut quota = UnauthenticatedQuota::new(10, 1);
        let mut count_of = |now, last: u8, origin| {
            let network = IpAddr::from([192, 0, 2, last]);
            (0..1000).filter(|_| quota.allow(now, network, origin)).count()
        };
        assert_eq!(count_of(now, 1, Origin::Proven), 20);
        let mut count = |now, last| count_of(now, last, Origin::Claimed);

        assert_eq!(count(now, 1), 20);
        assert_eq!(count(now, 2), 20);
        now += Duration::from_secs(1);
        assert_eq!(count(now, 1), 10);
        now += Duration::from_secs(3600);
        assert_eq!(count(now, 1), 20);
    }
}
