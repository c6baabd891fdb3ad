//! Requests for newer keys.

use tokio::sync::{Notify, watch};

/// Connects those who need newer keys with the task that fetches them.
#[derive(Debug, Default)]
pub(super) struct Refresher {
    pub(super) asked: Notify,
    /// Counts the refreshes that were made on request.
    pub(super) looked: watch::Sender<u64>,
}
