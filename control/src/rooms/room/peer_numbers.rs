//! The numbers of peers.

use madang_sfu::PeerId;

/// The number of a room's nth peer: the room's own number above, so that an event of the engine finds its room
/// without a table.
pub(super) fn peer_of(room: madang_sfu::RoomId, n: u32) -> PeerId {
    PeerId(room.0 << 32 | u64::from(n))
}

/// The room of a peer.
pub(crate) fn room_of(peer: PeerId) -> madang_sfu::RoomId {
    madang_sfu::RoomId(peer.0 >> 32)
}
