//! Keys of workers, tracks and slots within the engine: indexes into tables.

/// The number of a worker in the engine, from 0.
pub(crate) type WorkerNumber = usize;

/// A track, by its indexes in the worker's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TrackKey {
    /// The index of the publishing peer.
    pub(crate) peer: usize,
    /// The index among that peer's tracks.
    pub(crate) track: usize,
}

/// A slot, by its indexes in the worker's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotKey {
    /// The index of the receiving peer.
    pub(crate) peer: usize,
    /// The index among that peer's slots.
    pub(crate) slot: usize,
}
