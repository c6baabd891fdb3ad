//! The current time on the monotonic clock and on the wall clock.

use std::time::Instant;

use jiff::Timestamp;

/// One point in time: `instant` is for timers, `utc` is for storage and display.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) instant: Instant,
    pub(crate) utc: Timestamp,
}
