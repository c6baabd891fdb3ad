//! A rate limit as the configuration writes it.

use std::num::NonZeroU64;

/// A rate limit in units (bytes, or requests) per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(Option<NonZeroU64>);

impl Rate {
    /// A limit of so many units per second; 0 means no limit.
    pub(crate) fn per_second(units: u64) -> Rate {
        Rate(NonZeroU64::new(units))
    }

    /// Units per second; `None` when there is no limit.
    pub(crate) fn limit(self) -> Option<u64> {
        self.0.map(NonZeroU64::get)
    }
}
