//! A room as the media plane sees it: the peers in it and whom they hear.

use crate::incoming::speakers::Speakers;
use crate::keys::SlotKey;
use crate::keys::WorkerNumber;
use crate::{RoomId, Source};

/// Peers that exchange media.
pub(crate) struct Room {
    pub(crate) id: RoomId,
    /// The worker's own: places in its table, in the order of joining.
    pub(crate) peers: Vec<usize>,
    /// Those of other workers that publish: places in the same table.
    pub(crate) remote: Vec<usize>,
    /// The other workers that have peers of it.
    pub(crate) elsewhere: Vec<WorkerNumber>,
    /// Slots that are to carry what no worker has published here yet; each slot at most once.
    pub(crate) awaited: Vec<(SlotKey, Source)>,
    pub(crate) speakers: Speakers,
    /// The largest number of audio slots that one of the peers has: so many speakers are worth telling apart.
    pub(crate) front: usize,
}

impl Room {
    pub(crate) fn new(id: RoomId) -> Room {
        Room {
            id,
            peers: Vec::new(),
            remote: Vec::new(),
            elsewhere: Vec::new(),
            awaited: Vec::new(),
            speakers: Speakers::default(),
            front: 0,
        }
    }

    /// Whether this worker speaks for the room: of those that have peers of it, the first.
    pub(crate) fn is_home(&self, worker: WorkerNumber) -> bool {
        self.elsewhere.iter().all(|&other| worker < other)
    }
}
