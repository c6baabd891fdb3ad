//! The expiry of a session's rights.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::moment::Moment;

/// How often the wall clock is checked. It may jump, and only it advances while the machine sleeps.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The end of a token, by the wall clock.
#[derive(Debug)]
pub(super) struct Expiry {
    at: Timestamp,
    /// When to check the wall clock next.
    look: Instant,
}

impl Expiry {
    pub(super) fn new(at: Timestamp, now: Moment) -> Expiry {
        let mut expiry = Expiry { at, look: now.instant };
        expiry.look(now);
        expiry
    }

    /// When to call [`Expiry::look`] next.
    pub(super) fn deadline(&self) -> Instant {
        self.look
    }

    /// The expiry time of the token.
    pub(super) fn at(&self) -> Timestamp {
        self.at
    }

    /// Checks the wall clock; returns whether the token has expired.
    pub(super) fn look(&mut self, now: Moment) -> bool {
        let left = self.at.duration_since(now.utc);
        if left <= SignedDuration::ZERO {
            return true;
        }
        let left = Duration::try_from(left).unwrap_or(LOOK_AGAIN);
        self.look = now.instant + left.min(LOOK_AGAIN);
        false
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_decides_however_it_jumps() {
        let begin = Instant::now();
        let at = |passed, second| Moment {
            instant: begin + Duration::from_secs(passed),
            utc: Timestamp::from_second(second).unwrap(),
        };
        let mut expiry = Expiry::new(Timestamp::from_second(1_010).unwrap(), at(0, 1_000));
        assert_eq!(expiry.deadline() - begin, Duration::from_secs(10));

        // Back by an hour: the token is valid for an hour longer.
        assert!(!expiry.look(at(10, 1_010 - 3_600)));
        assert_eq!(expiry.deadline() - begin, Duration::from_secs(40), "it looks again soon");
        // Forward, past the end.
        assert!(expiry.look(at(40, 1_500)));
    }

    #[test]
    fn it_ends_at_that_moment() {
        let now = |second| Moment {
            instant: Instant::now(),
            utc: Timestamp::from_second(second).unwrap(),
        };
        let mut expiry = Expiry::new(Timestamp::from_second(10).unwrap(), now(0));

        assert!(!expiry.look(now(9)));
        assert!(expiry.look(now(10)));
    }
}
