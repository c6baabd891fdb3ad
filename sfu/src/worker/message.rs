//! What workers tell each other of the rooms that they share.

use std::sync::Arc;

use super::parcel::Parcel;
use crate::rtcp::NtpTime;
use crate::sdp::{Negotiable, Rid};
use crate::{Mid, PeerId, RoomId};

/// What one worker tells another.
#[derive(Debug)]
pub(crate) enum Remote {
    /// Packets of peers of the teller.
    Packets(Arc<Parcel>),
    /// The teller has peers of the room; what it publishes follows. Everything that it said of the room before is void.
    Present { room: RoomId, wants_answer: bool },
    /// The teller has no peers of the room any more.
    Absent { room: RoomId },
    /// The tracks of a peer of the teller, in the order of their places, and the m-lines whose media is forbidden.
    Published { room: RoomId, peer: PeerId, tracks: Vec<Published>, forbidden: Vec<Mid> },
    /// Whether the media of an m-line of a peer of the teller is forwarded from here on.
    Permit { peer: PeerId, mid: Mid, is_permitted: bool },
    /// A peer of the teller is gone.
    Gone { peer: PeerId },
    /// Whether the teller wants a video track of a peer of the one that is told.
    Want { track: RemoteTrack, is_wanted: bool },
    /// The teller needs a key frame of such a track; the last one that it knows of, by stream and index.
    KeyFrame { track: RemoteTrack, known: Option<(u64, u64)> },
    /// What the layers of a peer of the teller carry, by the places of their tracks, in bits per second; `None` for one
    /// that is paused. Repeated several times a second.
    Rates { peer: PeerId, rates: Vec<(usize, Option<u64>)> },
    /// A stream of a peer of the teller has ended.
    Ended { peer: PeerId, ssrc: u32 },
    /// A peer of the teller said which timestamp of one of its streams belongs to which time.
    SenderReport { peer: PeerId, ssrc: u32, said: (NtpTime, u32) },
    /// Packets of a stream of such a peer did not come.
    Missing { peer: PeerId, stream: u64, indexes: Vec<u64> },
}

/// A track in the words of both workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RemoteTrack {
    pub(crate) peer: PeerId,
    /// The place among its tracks.
    pub(crate) place: usize,
}

/// A track as its publisher's worker negotiated it.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) mid: Mid,
    pub(crate) rid: Option<Rid>,
    pub(crate) negotiated: Negotiable,
    pub(crate) is_open: bool,
}

impl Remote {
    /// Packets that come with it.
    pub(super) fn packets(&self) -> usize {
        match self {
            Remote::Packets(parcel) => parcel.len(),
            _ => 0,
        }
    }
}
