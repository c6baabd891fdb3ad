//! Rate limits of clients, as token buckets.

use std::time::{Duration, Instant};

/// A token bucket: it is full at the start, and fills again evenly.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    /// The tokens of a full bucket; 0 means no limit.
    most: f64,
    /// The time in which an empty bucket fills.
    fills_in: Duration,
    /// Negative after tokens were [spent](TokenBucket::spend) that were not there.
    tokens: f64,
    filled_at: Instant,
}

impl TokenBucket {
    /// A bucket with the tokens of two seconds; 0 means no limit.
    pub(crate) fn new(per_second: u32, now: Instant) -> TokenBucket {
        TokenBucket::of_seconds(2, per_second, now)
    }

    /// A bucket with the tokens of this many seconds; 0 tokens a second mean no limit.
    pub(crate) fn of_seconds(seconds: u32, per_second: u32, now: Instant) -> TokenBucket {
        let most = f64::from(seconds) * f64::from(per_second);
        TokenBucket::filling_in(Duration::from_secs(seconds.into()), most, now)
    }

    /// A bucket with this many tokens that fills in this time; 0 tokens mean no limit.
    pub(crate) fn filling_in(fills_in: Duration, most: f64, now: Instant) -> TokenBucket {
        TokenBucket { most, fills_in, tokens: most, filled_at: now }
    }

    /// Takes a token; false if there is none.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let is_there = self.delay(1.0, now).is_none();
        if is_there {
            self.spend(1.0);
        }
        is_there
    }

    /// The time until so many tokens are there; `None` if they are. More than a full bucket has are never waited for.
    pub(crate) fn delay(&mut self, tokens: f64, now: Instant) -> Option<Duration> {
        self.fill(now);
        let missing = tokens.min(self.most) - self.tokens;
        (missing > 0.0).then(|| self.fills_in.mul_f64(missing / self.most))
    }

    /// Takes tokens whether they are there or not; others have to wait until the debt is filled up.
    pub(crate) fn spend(&mut self, tokens: f64) {
        if self.most > 0.0 {
            self.tokens -= tokens;
        }
    }

    /// Whether nothing would change if the bucket were made anew.
    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= self.most
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at).div_duration_f64(self.fills_in);
        self.tokens = (self.tokens + elapsed * self.most).min(self.most);
        self.filled_at = now;
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_two_seconds_then_the_rate() {
        let start = Instant::now();
        let mut rate = TokenBucket::new(10, start);

        let burst = (0..100).filter(|_| rate.take(start)).count();
        let later = start + Duration::from_secs(1);
        let second = (0..100).filter(|_| rate.take(later)).count();

        assert_eq!((burst, second), (20, 10));
    }

    #[test]
    fn the_burst_may_be_longer() {
        let start = Instant::now();
        let mut rate = TokenBucket::of_seconds(3, 2, start);

        let burst = (0..100).filter(|_| rate.take(start)).count();
        let later = start + Duration::from_secs(60);
        let again = (0..100).filter(|_| rate.take(later)).count();

        assert_eq!((burst, again), (6, 6));
    }

    #[test]
    fn a_debt_delays_whoever_comes_next() {
        let start = Instant::now();
        let mut rate = TokenBucket::filling_in(Duration::from_secs(10), 100.0, start);

        rate.spend(150.0);

        assert_eq!(rate.delay(0.0, start), Some(Duration::from_secs(5)));
        assert_eq!(rate.delay(1_000.0, start), Some(Duration::from_secs(15)), "a full bucket");
        assert_eq!(rate.delay(0.0, start + Duration::from_secs(5)), None);
        assert!(!rate.is_full(start + Duration::from_secs(14)));
        assert!(rate.is_full(start + Duration::from_secs(15)));
    }

    #[test]
    fn zero_is_no_limit() {
        let start = Instant::now();
        let mut rate = TokenBucket::new(0, start);

        assert!((0..1000).all(|_| rate.take(start)));
        rate.spend(1e9);
        assert_eq!(rate.delay(1e9, start), None);
    }
}
