//! Messages between workers about the rooms that they share.

use std::sync::Arc;

use super::parcel::Parcel;
use crate::rtcp::NtpTime;
use crate::sdp::{Negotiable, Rid};
use crate::{Mid, PeerId, RoomId};

/// A message from one worker, the sender, to another.
#[derive(Debug)]
pub(crate) enum Remote {
    /// Packets of peers of the sender.
    Packets(Arc<Parcel>),
    /// The sender has peers in the room; what they publish follows. Everything that it sent about the room before is
    /// void.
    Present { room: RoomId, wants_answer: bool },
    /// The sender has no more peers in the room.
    Absent { room: RoomId },
    /// The tracks of a peer of the sender, by index, and its m-lines whose media is forbidden.
    Published { room: RoomId, peer: PeerId, tracks: Vec<Published>, forbidden: Vec<Mid> },
    /// Whether the media on an m-line of a peer of the sender is forwarded from now on.
    Permit { peer: PeerId, mid: Mid, is_permitted: bool },
    /// A peer of the sender has left.
    Gone { peer: PeerId },
    /// Whether the sender wants packets of a video track of a peer of the recipient.
    Want { track: RemoteTrack, is_wanted: bool },
    /// The sender needs a key frame of such a track. `known` is the last one that it has, by stream and index.
    KeyFrame { track: RemoteTrack, known: Option<(u64, u64)> },
    /// The bitrates of the layers of a peer of the sender. Repeated several times a second.
    Rates { peer: PeerId, rates: Vec<LayerRate> },
    /// A stream of a peer of the sender has ended.
    Ended { peer: PeerId, ssrc: u32 },
    /// The time and timestamp in a sender report about a stream of a peer of the sender.
    SenderReport { peer: PeerId, ssrc: u32, said: (NtpTime, u32) },
    /// Packets of a stream of a peer of the recipient are missing.
    Missing { peer: PeerId, stream: u64, indexes: Vec<u64> },
}

/// Names a track to another worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RemoteTrack {
    pub(crate) peer: PeerId,
    /// The index among the peer's tracks.
    pub(crate) place: usize,
}

/// The bitrate and rank of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerRate {
    /// The index among the peer's tracks.
    pub(crate) place: usize,
    /// `None` for a paused layer.
    pub(crate) bits_per_second: Option<u64>,
    /// The position among the layers of the source, 0 for the lowest.
    pub(crate) rank: u8,
}

/// A track as the publisher's worker negotiated it.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) mid: Mid,
    pub(crate) rid: Option<Rid>,
    pub(crate) negotiated: Negotiable,
    pub(crate) is_open: bool,
}

impl Remote {
    /// The number of packets in the message.
    pub(super) fn packets(&self) -> usize {
        match self {
            Remote::Packets(parcel) => parcel.len(),
            _ => 0,
        }
    }
}
