//! A point in time, for timers and for people.

use std::time::Instant;

use jiff::Timestamp;

/// What time it is, for timers and for people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) instant: Instant,
    pub(crate) utc: Timestamp,
}
