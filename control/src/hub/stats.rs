//! What the control plane counts.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use madang_wire::ErrorCode;

use crate::relay::RelayStats;

/// A snapshot of the control plane's counters; since the start unless a field says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlStats {
    /// WebSocket connections, at the moment.
    pub sessions: u64,
    /// Subscriptions, at the moment; those below `/user` are not counted.
    pub subscriptions: u64,
    /// Open rooms, at the moment.
    pub rooms: u64,
    /// Participants in all rooms, at the moment.
    pub participants: u64,
    /// STOMP frames received; heart-beats are not counted.
    pub frames_received: u64,
    /// Bytes received in WebSocket messages.
    pub bytes_received: u64,
    /// STOMP frames sent; heart-beats are not counted.
    pub frames_sent: u64,
    /// Bytes sent in WebSocket messages.
    pub bytes_sent: u64,
    /// Connections refused because a limit was reached.
    pub connections_refused: u64,
    /// STOMP ERROR frames sent, each of which ended its connection.
    pub protocol_errors: u64,
    /// `error` messages sent, by code; a code that never occurred is absent.
    pub errors: Vec<(&'static str, u64)>,
    /// Connections ended because their client did not read fast enough.
    pub slow_consumers: u64,
    /// Chat lines stored.
    pub chat_stored: u64,
    /// The way to the external broker; all 0 without one.
    pub relay: RelayStats,
}

/// The counters themselves, shared by those who count.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sessions: AtomicU64,
    pub(crate) subscriptions: AtomicU64,
    pub(crate) rooms: AtomicU64,
    pub(crate) participants: AtomicU64,
    pub(crate) frames_received: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
    pub(crate) frames_sent: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) protocol_errors: AtomicU64,
    pub(crate) slow_consumers: AtomicU64,
    pub(crate) chat_stored: AtomicU64,
    /// At most one entry per variant of `ErrorCode`.
    errors: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    /// Counts an `error` message.
    pub(crate) fn count_error(&self, code: ErrorCode) {
        let mut errors = self.errors.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *errors.entry(code.as_str()).or_default() += 1;
    }

    /// What the counters read at the moment.
    pub(crate) fn snapshot(&self) -> ControlStats {
        let errors = self.errors.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        ControlStats {
            sessions: self.sessions.load(Relaxed),
            subscriptions: self.subscriptions.load(Relaxed),
            rooms: self.rooms.load(Relaxed),
            participants: self.participants.load(Relaxed),
            frames_received: self.frames_received.load(Relaxed),
            bytes_received: self.bytes_received.load(Relaxed),
            frames_sent: self.frames_sent.load(Relaxed),
            bytes_sent: self.bytes_sent.load(Relaxed),
            connections_refused: self.connections_refused.load(Relaxed),
            protocol_errors: self.protocol_errors.load(Relaxed),
            errors: errors.iter().map(|(code, count)| (*code, *count)).collect(),
            slow_consumers: self.slow_consumers.load(Relaxed),
            chat_stored: self.chat_stored.load(Relaxed),
            relay: RelayStats::default(),
        }
    }
}

/// Adds one to a gauge or counter.
pub(crate) fn up(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Takes one from a gauge; every call follows an `up` on the same gauge.
pub(crate) fn down(gauge: &AtomicU64) {
    gauge.fetch_sub(1, Relaxed);
}
