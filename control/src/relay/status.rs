//! State and counters of the external broker.

use std::sync::atomic::AtomicU64;

/// Whether the broker can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Here,
    Away { reason: String },
}

/// Counters of the relay since the start, unless a field says otherwise.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Connections to the broker, at the moment.
    pub(super) connections: AtomicU64,
    pub(super) frames_sent: AtomicU64,
    pub(super) frames_received: AtomicU64,
}

/// A snapshot of the relay's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// Whether the server's own connection is open.
    pub is_here: bool,
    /// Connections to the broker, at the moment.
    pub connections: u64,
    /// Frames sent to the broker.
    pub frames_sent: u64,
    /// Frames passed on to clients.
    pub frames_received: u64,
}
