//! Rate limits of an allocation: token buckets.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::rate::Rate;

/// A token bucket with a burst of one second, so that a key frame passes in one piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// The bytes available at `at`.
    bytes: u64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(now: Instant, rate: Rate) -> Bucket {
        Bucket { bytes: rate.limit().unwrap_or(0), at: now }
    }

    /// Takes this many bytes from the bucket; `false`, with nothing taken, when it holds fewer.
    pub(crate) fn take(&mut self, now: Instant, bytes: usize, rate: Rate) -> bool {
        let Some(bytes_per_second) = rate.limit() else { return true };
        let elapsed = now.saturating_duration_since(self.at).min(Duration::from_secs(1));
        // Saturates at 18 TB at once, far above any real use.
        let earned = (elapsed.as_micros() as u64).saturating_mul(bytes_per_second) / 1_000_000;
        if earned > 0 {
            self.bytes = self.bytes.saturating_add(earned).min(bytes_per_second);
            self.at = now;
        }
        let Some(left) = self.bytes.checked_sub(bytes as u64) else { return false };
        self.bytes = left;
        true
    }
}

/// The rate limits of all connections of an allocation to its TCP peers, one per direction. A stream must not lose
/// bytes, so data above the limit waits. Shared by the tasks that copy the data.
#[derive(Debug)]
pub(crate) struct Paces {
    pub(crate) to_peer: Pace,
    pub(crate) from_peer: Pace,
}

/// A [`Bucket`] that lends: a caller that takes more than it holds must wait until the debt is earned back.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: Rate,
    /// When the bucket will be full, if no one takes anything before.
    full_at: Mutex<Instant>,
}

impl Paces {
    pub(crate) fn new(now: Instant, rate: Rate) -> Paces {
        let pace = || Pace { rate, full_at: Mutex::new(now) };
        Paces { to_peer: pace(), from_peer: pace() }
    }
}

impl Pace {
    /// Takes bytes in any case, and returns how long the caller must wait before passing them on.
    pub(crate) fn take(&self, now: Instant, bytes: usize) -> Duration {
        let Some(bytes_per_second) = self.rate.limit() else { return Duration::ZERO };
        let micros = (bytes as u64).saturating_mul(1_000_000) / bytes_per_second;
        // Nothing can panic while the lock is held, so poisoning is harmless.
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        *full_at = (*full_at).max(now) + Duration::from_micros(micros);
        full_at.saturating_duration_since(now + Duration::from_secs(1))
    }

    /// How many bytes to take at once so that the stream flows evenly: a tenth of a second's worth, at most `most`.
    pub(crate) fn piece(&self, most: usize) -> usize {
        match self.rate.limit() {
            None => most,
            Some(rate) => usize::try_from(rate / 10).unwrap_or(most).clamp(1, most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_now::test_now;

    #[test]
    fn a_steady_stream_gets_its_rate_and_a_burst_one_second_of_it() {
        let mut now = test_now();
        let rate = Rate::per_second(125_000);
        let mut bucket = Bucket::new(now, rate);
        let mut passed = 0;

        for _ in 0..10_000 {
            now += Duration::from_millis(1);
            passed += if bucket.take(now, 1200, rate) { 1200 } else { 0 };
        }

        // Ten seconds at the rate, plus the burst.
        assert!((1_370_000..=1_375_000).contains(&passed), "{passed}");
        assert!(bucket.take(now, usize::MAX, Rate::per_second(0)));
    }

    #[test]
    fn the_highest_rate_lets_everything_pass() {
        let mut now = test_now();
        let bytes_per_second = u64::MAX / 8;
        let rate = Rate::per_second(bytes_per_second);
        let mut bucket = Bucket::new(now, rate);
        let paces = Paces::new(now, rate);

        for _ in 0..10 {
            now += Duration::from_secs(1);
            assert!(bucket.take(now, 65_535, rate));
            assert_eq!(paces.to_peer.take(now, 65_535), Duration::ZERO);
        }
        assert!(
            bucket.take(now, (bytes_per_second - 10 * 65_535) as usize, rate),
            "nothing was lost"
        );
    }

    #[test]
    fn a_stream_waits_for_what_is_beyond_one_second_of_its_rate() {
        let now = test_now();
        let paces = Paces::new(now, Rate::per_second(125_000));
        let unlimited = Paces::new(now, Rate::per_second(0));

        let waits = [100_000, 25_000, 12_500, 12_500].map(|bytes| paces.to_peer.take(now, bytes));
        let later = paces.to_peer.take(now + Duration::from_secs(60), 125_000);

        assert_eq!(waits.map(|wait| wait.as_millis()), [0, 0, 100, 200]);
        assert_eq!(later, Duration::ZERO, "what was not used is forgotten after a second");
        assert_eq!(
            paces.from_peer.take(now, 125_000),
            Duration::ZERO,
            "each direction has its own"
        );
        assert_eq!(
            (paces.to_peer.piece(16_384), unlimited.to_peer.piece(16_384)),
            (12_500, 16_384)
        );
        assert_eq!(unlimited.to_peer.take(now, usize::MAX), Duration::ZERO);
    }
}
