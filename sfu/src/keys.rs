//! How workers, tracks and slots are named within the engine: by their places in tables.

/// The place of a worker among those of the engine, from 0 on.
pub(crate) type WorkerNumber = usize;

/// A track by its places in the worker's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TrackKey {
    /// The publishing peer.
    pub(crate) peer: usize,
    /// The place among that peer's tracks.
    pub(crate) track: usize,
}

/// A slot by its places in the worker's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotKey {
    /// The receiving peer.
    pub(crate) peer: usize,
    /// The place among that peer's slots.
    pub(crate) slot: usize,
}
