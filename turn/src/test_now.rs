//! The clock of unit tests.

use std::time::Instant;

/// An arbitrary first instant, to which tests add durations: the standard library offers no other constructor.
#[expect(clippy::disallowed_methods, reason = "tests only add durations to this instant")]
pub(crate) fn test_now() -> Instant {
    Instant::now()
}
