//! Waiting for a deadline that may not exist.
#![expect(clippy::disallowed_methods, reason = "tasks wait here")]

use std::time::Instant;

/// Waits until `deadline`; for ever without one.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
