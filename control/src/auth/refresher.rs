//! Asking for newer keys.

use tokio::sync::{Notify, watch};

/// How those who need newer keys reach the task that fetches them.
#[derive(Debug, Default)]
pub(super) struct Refresher {
    pub(super) asked: Notify,
    /// Counts how often it was looked because somebody asked.
    pub(super) looked: watch::Sender<u64>,
}
