//! The words that the media plane shares with whoever steers it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A room, as the caller numbers it. Unique for the lifetime of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomId(pub u64);

/// One peer connection, as the caller numbers it. Unique for the lifetime of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

/// The identification tag of an m-line (`a=mid`, RFC 5888 §4); unique within one peer connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mid(Arc<str>);

impl Mid {
    /// Wraps the tag as it stands in the SDP.
    pub fn new(tag: &str) -> Mid {
        Mid(tag.into())
    }

    /// The tag as it stands in the SDP.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an m-line carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// `m=audio`
    Audio,
    /// `m=video`
    Video,
}

/// One accepted m-line of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaLine {
    /// Its identification tag.
    pub mid: Mid,
    /// What it carries.
    pub kind: MediaKind,
}

/// A published stream: the m-line of the peer that sends it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The peer that publishes.
    pub peer: PeerId,
    /// The m-line of that peer's offer.
    pub mid: Mid,
}

/// What the engine answers to an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The answer's SDP, candidates included.
    pub sdp: String,
    /// The m-lines on which the peer sends, in the order of the offer.
    pub published: Vec<MediaLine>,
    /// The m-lines on which the peer receives (its slots), in the order of the offer.
    pub slots: Vec<MediaLine>,
}

/// Why an offer was refused. The texts are meant for the person who wrote the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// The SDP is malformed, or asks for what this server can't do.
    #[error("the SDP offer can't be answered: {0}")]
    BadSdp(String),
    /// The SDP is longer than [`OfferError::MAX_SDP_BYTES`].
    #[error("the SDP offer has {bytes} bytes; at most {max} are allowed", max = OfferError::MAX_SDP_BYTES)]
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The engine is shutting down, or has no room for another peer.
    #[error("the media engine takes no more peers at the moment")]
    Overloaded,
}

impl OfferError {
    /// The longest SDP offer that is looked at, in bytes.
    pub const MAX_SDP_BYTES: usize = 256 * 1024;
}

/// What the engine has to say without being asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// ICE and DTLS of this peer are up; media flows.
    Connected {
        /// The peer.
        peer: PeerId,
    },
    /// The peer is gone for the engine: its consent ran out (RFC 7675), DTLS failed or was closed. The engine has
    /// forgotten it; `Handle::remove` is not needed.
    Disconnected {
        /// The peer.
        peer: PeerId,
        /// Why, in words for a log.
        reason: &'static str,
    },
    /// An audio slot carries another speaker from here on, or nobody.
    AudioSlot {
        /// The receiving peer.
        peer: PeerId,
        /// Its slot.
        slot: Mid,
        /// Whom it hears there.
        source: Option<Source>,
    },
    /// Who speaks in a room, loudest first; empty when it became quiet. At most 5 a second and room, only on change.
    Speakers {
        /// The room.
        room: RoomId,
        /// Peer and level in −dBov (0 is loudest, 127 silence; RFC 6464).
        levels: Vec<(PeerId, u8)>,
    },
}

/// A duration in ticks of a clock with so many a second.
pub(crate) fn ticks(duration: Duration, clock_rate: u32) -> u64 {
    (duration.as_nanos() * u128::from(clock_rate) / 1_000_000_000) as u64
}

/// Ticks a second of the RTP clock: RFC 7587 §4.1 for Opus, 90 kHz for every video format here.
pub(crate) fn clock_rate(kind: MediaKind) -> u32 {
    match kind {
        MediaKind::Audio => 48_000,
        MediaKind::Video => 90_000,
    }
}
