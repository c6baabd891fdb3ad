//! The state of delivery, for metrics and the API.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// Counters of webhooks, since the start unless a field says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebhookStats {
    /// Calls that wait at the moment.
    pub pending: u64,
    /// Calls that were answered with a success status.
    pub delivered: u64,
    /// Failed attempts; each call is retried.
    pub failed: u64,
    /// Calls that were given up, because they failed for too long or newer ones took their place.
    pub given_up: u64,
    /// Occurrences lost because too many arrived at once for the store.
    pub lost: u64,
}

/// The state of delivery to one URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TargetRecord {
    pub(crate) url: String,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    pub(crate) last_delivered_at: Option<Timestamp>,
    /// The last failure, even if calls succeeded after it.
    pub(crate) last_error: Option<Failure>,
    /// When the failed call is retried; `None` if the last call did not fail.
    pub(crate) next_try_at: Option<Timestamp>,
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) at: Timestamp,
    pub(crate) reason: String,
    /// How often the call has failed, this failure included.
    pub(crate) attempts: u32,
}

/// Shared by the tasks that deliver and the readers of statistics.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) pending: AtomicU64,
    pub(super) given_up: AtomicU64,
    pub(super) lost: AtomicU64,
    /// One per configured URL, in the same order.
    targets: Mutex<Vec<TargetRecord>>,
}

impl Record {
    pub(super) fn new(urls: &[String]) -> Record {
        let target = |url: &String| TargetRecord { url: url.clone(), ..TargetRecord::default() };
        Record { targets: Mutex::new(urls.iter().map(target).collect()), ..Record::default() }
    }

    pub(super) fn delivered(&self, target: usize, at: Timestamp) {
        self.less_pending(1);
        if let Some(target) = self.lock().get_mut(target) {
            target.delivered += 1;
            target.last_delivered_at = Some(at);
            target.next_try_at = None;
        }
    }

    /// Records a failure. `next_try_at` is `None` if the call is given up.
    pub(super) fn failed(&self, target: usize, failure: Failure, next_try_at: Option<Timestamp>) {
        if next_try_at.is_none() {
            self.gave_up(1);
        }
        if let Some(target) = self.lock().get_mut(target) {
            target.failed += 1;
            target.last_error = Some(failure);
            target.next_try_at = next_try_at;
        }
    }

    pub(super) fn gave_up(&self, calls: u64) {
        self.given_up.fetch_add(calls, Relaxed);
        self.less_pending(calls);
    }

    pub(super) fn queued(&self, calls: u64) {
        self.pending.fetch_add(calls, Relaxed);
    }

    pub(super) fn targets(&self) -> Vec<TargetRecord> {
        self.lock().clone()
    }

    pub(super) fn stats(&self) -> WebhookStats {
        let targets = self.lock();
        WebhookStats {
            pending: self.pending.load(Relaxed),
            delivered: targets.iter().map(|target| target.delivered).sum(),
            failed: targets.iter().map(|target| target.failed).sum(),
            given_up: self.given_up.load(Relaxed),
            lost: self.lost.load(Relaxed),
        }
    }

    fn less_pending(&self, calls: u64) {
        // Another server on the same database may have made some of these calls.
        let less = |pending: u64| Some(pending.saturating_sub(calls));
        let _ = self.pending.fetch_update(Relaxed, Relaxed, less);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<TargetRecord>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
