//! How delivery goes, for metrics and for whoever asks why nothing arrives.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// What webhooks came to; since the start unless a field says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebhookStats {
    /// Calls that wait to be made, at the moment.
    pub pending: u64,
    /// Calls that were answered with success.
    pub delivered: u64,
    /// Calls that were not; each is made again.
    pub failed: u64,
    /// Calls that are made no more: for too long they failed, or newer ones took their place.
    pub given_up: u64,
    /// Occurrences that are told nobody, because too many came at once for the store.
    pub lost: u64,
}

/// How it goes with one URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TargetRecord {
    pub(crate) url: String,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    pub(crate) last_delivered_at: Option<Timestamp>,
    /// Of the last failure, whatever came after it.
    pub(crate) last_error: Option<Failure>,
    /// When the call is made again that failed; None when the last one did not.
    pub(crate) next_try_at: Option<Timestamp>,
}

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) at: Timestamp,
    pub(crate) reason: String,
    /// How often that call has failed by then.
    pub(crate) attempts: u32,
}

/// Shared by those who deliver and those who ask.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) pending: AtomicU64,
    pub(super) given_up: AtomicU64,
    pub(super) lost: AtomicU64,
    /// One per configured URL, in that order.
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

    /// A call failed. `next_try_at`: None when it is given up.
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
        // Another server on the same database may have made some of them.
        let less = |pending: u64| Some(pending.saturating_sub(calls));
        let _ = self.pending.fetch_update(Relaxed, Relaxed, less);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<TargetRecord>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
