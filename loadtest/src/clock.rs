//! The clock of a run.

#![expect(clippy::disallowed_methods, reason = "the one place that reads a clock")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since the run started. All peers share it, so each can read the stamps of all.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    /// Starts the clock.
    pub fn start() -> Clock {
        Clock { began: Instant::now() }
    }

    /// The current instant, for libraries.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// The run's clock at an instant, in microseconds.
    pub fn us_at(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.began))
    }

    /// The start of the run in microseconds since 1970 by the system clock. The clocks drift apart by some microseconds
    /// per second, so call this again from time to time.
    pub fn began_unix_us(&self) -> u64 {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        micros(unix).saturating_sub(self.now_us())
    }

    /// The run's clock now, in microseconds.
    pub fn now_us(&self) -> u64 {
        self.us_at(self.now())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
