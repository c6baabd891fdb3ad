//! The run's clock.

#![expect(clippy::disallowed_methods, reason = "the one place that reads a clock")]

use std::time::Instant;

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

    /// The time in microseconds.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
