//! When to refresh the keys.

use std::time::{Duration, Instant};

/// Interval between two fetches of a URL.
const PERIOD: Duration = Duration::from_secs(10 * 60);
/// Interval between two checks whether a file changed.
const FILE_PERIOD: Duration = Duration::from_secs(5);
/// Delay after the first failure; it doubles with each further one, up to [`PERIOD`].
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// Minimum interval between two fetches caused by tokens with unknown keys. It is a rate limit: clients that invent
/// keys must not make the server flood the issuer with requests.
const BETWEEN_ASKED: Duration = Duration::from_secs(60);

/// Decides when to refresh the keys.
#[derive(Debug)]
pub(super) struct Schedule {
    is_file: bool,
    failures: u32,
    next: Instant,
    /// The time from which a token with an unknown key may cause a fetch.
    may_ask_from: Instant,
}

impl Schedule {
    pub(super) fn new(is_file: bool, now: Instant) -> Schedule {
        Schedule { is_file, failures: 0, next: now, may_ask_from: now }
    }

    /// The time of the next regular refresh.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Handles a token with an unknown key. Returns whether to refresh the keys.
    pub(super) fn handle_asked(&mut self, now: Instant) -> bool {
        if self.is_file {
            return true;
        }
        if now < self.may_ask_from {
            return false;
        }
        self.may_ask_from = now + BETWEEN_ASKED;
        true
    }

    pub(super) fn handle_looked(&mut self, now: Instant, is_well: bool) {
        self.failures = if is_well { 0 } else { self.failures.saturating_add(1) };
        let period = match (self.is_file, self.failures) {
            (true, _) => FILE_PERIOD,
            (false, 0) => PERIOD,
            (false, failures) => FIRST_RETRY.saturating_mul(1 << (failures - 1).min(16)),
        };
        self.next = now + period.min(PERIOD);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    #[test]
    fn failures_back_off_and_success_forgets_them() {
        let now = Instant::now();
        let mut schedule = Schedule::new(false, now);
        let mut waits = Vec::new();
        for is_well in [true, false, false, false, true] {
            schedule.handle_looked(now, is_well);
            waits.push((schedule.next() - now).as_secs());
        }
        for _ in 0..100 {
            schedule.handle_looked(now, false);
        }

        assert_eq!(waits, [600, 2, 4, 8, 600]);
        assert_eq!(schedule.next() - now, PERIOD);
    }

    #[test]
    fn unknown_keys_cause_one_fetch_a_minute() {
        let now = Instant::now();
        let mut schedule = Schedule::new(false, now);
        let mut asked = |after| schedule.handle_asked(now + Duration::from_secs(after));

        assert_eq!([0, 1, 59, 60, 61].map(&mut asked), [true, false, false, true, false]);
    }
}
