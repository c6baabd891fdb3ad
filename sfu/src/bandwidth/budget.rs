//! The retransmission budget (RTX rate limit) of one receiver: retransmission must never make congestion worse.

use std::time::{Duration, Instant};

/// One byte may be retransmitted for every `SHARE` bytes sent. A quarter repairs 20 % of loss.
const SHARE: u64 = 4;
/// Retransmissions allowed even if little else is sent, in bytes per second.
const FLOOR: u64 = 8_000;
/// The most that can be saved up, in bytes: one burst of loss.
const CAP: u64 = 96_000;

/// A token bucket of bytes that may be retransmitted.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: u64,
    refilled_at: Instant,
}

impl Budget {
    /// Starts with enough for a burst of loss in the first key frame.
    pub(crate) fn new(now: Instant) -> Budget {
        Budget { bytes: CAP / 2, refilled_at: now }
    }

    /// Adds the share earned by bytes that were sent for the first time.
    pub(crate) fn earn(&mut self, bytes: usize) {
        self.bytes = (self.bytes + bytes as u64 / SHARE).min(CAP);
    }

    /// Takes the bytes of one retransmission; `false` if the budget does not cover them.
    pub(crate) fn spend(&mut self, now: Instant, bytes: usize) -> bool {
        let since = now.saturating_duration_since(self.refilled_at).min(Duration::from_secs(10));
        let refill = since.as_millis() as u64 * FLOOR / 1000;
        if refill > 0 {
            self.bytes = (self.bytes + refill).min(CAP);
            self.refilled_at = now;
        }
        match self.bytes.checked_sub(bytes as u64) {
            Some(left) => {
                self.bytes = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_now;

    #[test]
    fn a_quarter_of_the_bytes_sent_may_be_retransmitted() {
        let now = test_now();
        let mut budget = Budget::new(now);
        while budget.spend(now, 1200) {}
        let resent = (0..1000).filter(|_| {
            budget.earn(1200);
            budget.spend(now, 1200)
        });
        assert_eq!(resent.count(), 250);
    }

    #[test]
    fn a_quiet_connection_may_still_retransmit_a_little() {
        let now = test_now();
        let mut budget = Budget::new(now);
        while budget.spend(now, 1000) {}
        let later = now + Duration::from_secs(1);
        let resent = (0..100).filter(|_| budget.spend(later, 1000)).count();
        assert_eq!(resent, 8);
    }
}
