//! The rate limit of a client, as a token bucket.

use std::time::Instant;

/// A token bucket that holds the tokens of some seconds.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    /// Tokens a second; 0 means no limit.
    per_second: f64,
    most: f64,
    tokens: f64,
    filled_at: Instant,
}

impl TokenBucket {
    /// A full bucket with the tokens of two seconds.
    pub(crate) fn new(per_second: u32, now: Instant) -> TokenBucket {
        TokenBucket::of_seconds(2, per_second, now)
    }

    /// A full bucket with the tokens of this many seconds.
    pub(crate) fn of_seconds(seconds: u32, per_second: u32, now: Instant) -> TokenBucket {
        let per_second = f64::from(per_second);
        let most = f64::from(seconds) * per_second;
        TokenBucket { per_second, most, tokens: most, filled_at: now }
    }

    /// Takes a token; false if there is none.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        if self.per_second == 0.0 {
            return true;
        }
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.most);
        self.filled_at = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use std::time::Duration;

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
    fn zero_is_no_limit() {
        let start = Instant::now();
        let mut rate = TokenBucket::new(0, start);

        assert!((0..1000).all(|_| rate.take(start)));
    }
}
