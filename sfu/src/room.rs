//! A room as the media plane sees it: the peers in it and whom they hear.

use crate::RoomId;
use crate::speakers::Speakers;

/// Peers that exchange media.
pub(crate) struct Room {
    pub(crate) id: RoomId,
    /// Places in the worker's table, in the order of joining.
    pub(crate) peers: Vec<usize>,
    pub(crate) speakers: Speakers,
    /// The largest number of audio slots that one of the peers has: so many speakers are worth telling apart.
    pub(crate) front: usize,
}

impl Room {
    pub(crate) fn new(id: RoomId) -> Room {
        Room { id, peers: Vec::new(), speakers: Speakers::default(), front: 0 }
    }
}
