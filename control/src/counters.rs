//! The counters of the control plane.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use madang_wire::{Command, ErrorCode};

/// Counters and gauges, shared by the parts that count.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sessions: AtomicU64,
    /// Subscriptions to this server's topics and queues, to `/user`, and to the external broker.
    pub(crate) subscriptions: [AtomicU64; 3],
    pub(crate) rooms: AtomicU64,
    pub(crate) participants: AtomicU64,
    /// By command.
    pub(crate) frames_received: [AtomicU64; Command::ALL.len()],
    pub(crate) bytes_received: AtomicU64,
    /// By command.
    pub(crate) frames_sent: [AtomicU64; Command::ALL.len()],
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    /// By policy.
    pub(crate) slow_consumers: [AtomicU64; 3],
    /// By policy.
    pub(crate) discarded: [AtomicU64; 3],
    /// Deliveries by [`Delays::BOUNDS_US`]; the last bucket is for longer ones.
    fan_out: [AtomicU64; Delays::BOUNDS_US.len() + 1],
    fan_out_us: AtomicU64,
    pub(crate) chat_stored: AtomicU64,
    /// At most one entry per variant of `ErrorCode`.
    errors: Mutex<BTreeMap<&'static str, u64>>,
    /// At most one entry per text of an ERROR.
    protocol_errors: Mutex<BTreeMap<&'static str, u64>>,
}

/// A histogram of durations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// Number of durations up to each of [`Delays::BOUNDS_US`] and above the bound before it.
    pub counts: [u64; Delays::BOUNDS_US.len()],
    /// Number of all durations.
    pub total: u64,
    /// Sum of all durations, in µs.
    pub sum_us: u64,
}

impl Delays {
    /// Upper bounds of the buckets, in µs.
    pub const BOUNDS_US: [u64; 11] =
        [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000];
}

impl Counters {
    /// Counts an `error` message.
    pub(crate) fn count_error(&self, code: ErrorCode) {
        *lock(&self.errors).entry(code.as_str()).or_default() += 1;
    }

    /// Counts an ERROR frame.
    pub(crate) fn count_protocol_error(&self, kind: &'static str) {
        *lock(&self.protocol_errors).entry(kind).or_default() += 1;
    }

    /// Counts a delivery and its duration.
    pub(crate) fn count_delivery(&self, delay: Duration) {
        let us = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        let bucket = Delays::BOUNDS_US.partition_point(|bound| *bound < us);
        up(&self.fan_out[bucket]);
        self.fan_out_us.fetch_add(us, Relaxed);
    }

    /// The durations of all deliveries.
    pub(crate) fn fan_out(&self) -> Delays {
        let all = self.fan_out.each_ref().map(|count| count.load(Relaxed));
        let mut counts = [0; Delays::BOUNDS_US.len()];
        counts.copy_from_slice(&all[..Delays::BOUNDS_US.len()]);
        Delays { counts, total: all.iter().sum(), sum_us: self.fan_out_us.load(Relaxed) }
    }

    /// Number of `error` messages sent, by code; a code that never occurred is absent.
    pub(crate) fn errors(&self) -> Vec<(&'static str, u64)> {
        entries(&self.errors)
    }

    /// Number of ERROR frames sent, by `message` header.
    pub(crate) fn protocol_errors(&self) -> Vec<(&'static str, u64)> {
        entries(&self.protocol_errors)
    }
}

/// Adds one to a gauge or counter.
pub(crate) fn up(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Subtracts one from a gauge; every call follows an `up` on the same gauge.
pub(crate) fn down(gauge: &AtomicU64) {
    gauge.fetch_sub(1, Relaxed);
}

fn entries(counts: &Mutex<BTreeMap<&'static str, u64>>) -> Vec<(&'static str, u64)> {
    lock(counts).iter().map(|(label, count)| (*label, *count)).collect()
}

fn lock<'a>(
    counts: &'a Mutex<BTreeMap<&'static str, u64>>,
) -> MutexGuard<'a, BTreeMap<&'static str, u64>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}
