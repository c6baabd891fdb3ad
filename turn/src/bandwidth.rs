//! How much an allocation may carry.

use std::time::{Duration, Instant};

/// A token bucket that holds one second's worth, so that a key frame passes in one piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Bytes that may pass at `at`.
    bytes: u64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(now: Instant, bytes_per_second: u64) -> Bucket {
        Bucket { bytes: bytes_per_second, at: now }
    }

    /// Whether this many bytes may pass; they count when they do. A rate of 0 is no limit.
    pub(crate) fn take(&mut self, now: Instant, bytes: usize, bytes_per_second: u64) -> bool {
        if bytes_per_second == 0 {
            return true;
        }
        let elapsed = now.saturating_duration_since(self.at).min(Duration::from_secs(1));
        let earned = elapsed.as_micros() as u64 * bytes_per_second / 1_000_000;
        if earned > 0 {
            self.bytes = self.bytes.saturating_add(earned).min(bytes_per_second);
            self.at = now;
        }
        let Some(left) = self.bytes.checked_sub(bytes as u64) else { return false };
        self.bytes = left;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
    fn a_steady_stream_gets_its_rate_and_a_burst_one_second_of_it() {
        let mut now = Instant::now();
        let rate = 125_000;
        let mut bucket = Bucket::new(now, rate);
        let mut passed = 0;

        for _ in 0..10_000 {
            now += Duration::from_millis(1);
            passed += if bucket.take(now, 1200, rate) { 1200 } else { 0 };
        }

        // Ten seconds of it, and the burst.
        assert!((1_370_000..=1_375_000).contains(&passed), "{passed}");
        assert!(bucket.take(now, usize::MAX, 0));
    }
}
