//! A room in the media plane: its peers and its active speakers.

use crate::incoming::speakers::Speakers;
use crate::keys::SlotKey;
use crate::keys::WorkerNumber;
use crate::{RoomId, Source};

/// Peers that exchange media.
pub(crate) struct Room {
    pub(crate) id: RoomId,
    /// The peers of this worker: indexes in its table, in the order of joining.
    pub(crate) peers: Vec<usize>,
    /// The publishing peers of other workers: indexes in the same table.
    pub(crate) remote: Vec<usize>,
    /// The other workers that have peers in the room.
    pub(crate) elsewhere: Vec<WorkerNumber>,
    /// Slots that wait for a source which no worker has published here yet; each slot at most once.
    pub(crate) awaited: Vec<(SlotKey, Source)>,
    pub(crate) speakers: Speakers,
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
        }
    }

    /// Whether this worker reports events of the room: the first of the workers that have peers in it does.
    pub(crate) fn is_home(&self, worker: WorkerNumber) -> bool {
        self.elsewhere.iter().all(|&other| worker < other)
    }
}
