//! The run's clock.

#![expect(clippy::disallowed_methods, reason = "the one place that reads a clock")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since the run began; the same for all peers, so that stamps of one are readable by all.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    /// Begins here.
    pub fn start() -> Clock {
        Clock { began: Instant::now() }
    }

    /// The time, as libraries want it.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Microseconds of the run's clock at an instant.
    pub fn us_at(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.began))
    }

    /// When the run began, in microseconds since 1970 by the system's clock. The two clocks drift apart by some
    /// microseconds a second, so ask for it again now and then.
    pub fn began_unix_us(&self) -> u64 {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        micros(unix).saturating_sub(self.now_us())
    }

    /// The time in microseconds.
    pub fn now_us(&self) -> u64 {
        self.us_at(self.now())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
