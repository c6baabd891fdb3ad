//! When to retry a call, and when to give up.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::{SignedDuration, Timestamp};

/// Maximum age of an occurrence. An older one is not reported.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// Before random jitter is added.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);

/// The time of the next attempt after a call failed for the `attempts`th time; `None` to give up. The pause doubles
/// each time. `chance`, from 0 to 1, adds up to half as much again as jitter, so that servers which failed together are
/// not called together.
pub(super) fn next_try(
    happened_at: Timestamp,
    attempts: u32,
    now: Timestamp,
    chance: f64,
) -> Option<Timestamp> {
    if now.duration_since(happened_at) >= PATIENCE {
        return None;
    }
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(SHORTEST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .build();
    let failures = usize::try_from(attempts.clamp(1, 32)).unwrap_or(1);
    let pause = pauses.nth(failures - 1).unwrap_or(LONGEST_PAUSE);
    let pause = pause.mul_f64(1.0 + chance.clamp(0.0, 1.0) / 2.0);
    // Fails only at the end of the representable time.
    now.checked_add(pause).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn pauses_double_up_to_half_an_hour() {
        let now = at("2026-11-21T08:00:00Z");
        let pause = |attempts, chance| {
            next_try(now, attempts, now, chance).unwrap().duration_since(now).as_secs()
        };

        assert_eq!([1, 2, 3, 10].map(|attempts| pause(attempts, 0.0)), [1, 2, 4, 512]);
        assert_eq!([12, 60, u32::MAX].map(|attempts| pause(attempts, 0.0)), [1800; 3]);
        assert_eq!([3, 60].map(|attempts| pause(attempts, 1.0)), [6, 2700]);
        assert_eq!(pause(0, 0.0), 1);
    }

    #[test]
    fn after_a_day_it_is_given_up() {
        let happened_at = at("2026-11-20T08:00:00Z");

        assert!(next_try(happened_at, 50, at("2026-11-21T07:59:59Z"), 0.5).is_some());
        assert_eq!(next_try(happened_at, 50, at("2026-11-21T08:00:00Z"), 0.5), None);
    }

    #[test]
    fn a_clock_that_was_set_back_gives_nothing_up() {
        let happened_at = at("2026-11-21T08:00:00Z");

        assert!(next_try(happened_at, 1, at("2026-11-19T08:00:00Z"), 0.0).is_some());
    }
}
