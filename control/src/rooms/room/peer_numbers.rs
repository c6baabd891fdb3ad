//! Peer ids, which contain the id of their room.

use madang_sfu::PeerId;

/// The id of a room's nth peer. The upper 32 bits are the room's id, so that an event of the engine finds its room
/// without a table.
pub(super) fn peer_of(room: madang_sfu::RoomId, n: u32) -> PeerId {
    PeerId(room.0 << 32 | u64::from(n))
}

/// The room of a peer.
pub(crate) fn room_of(peer: PeerId) -> madang_sfu::RoomId {
    madang_sfu::RoomId(peer.0 >> 32)
}
