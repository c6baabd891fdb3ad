//! The types that callers of the media plane use.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::Codec;

/// A room, numbered by the caller. Unique for the lifetime of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomId(pub u64);

/// A peer connection, numbered by the caller. Unique for the lifetime of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

/// The identification tag of an m-line (`a=mid`, RFC 5888 §4); unique within one peer connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mid(Arc<str>);

impl Mid {
    /// Wraps the tag as it appears in the SDP.
    pub fn new(tag: &str) -> Mid {
        Mid(tag.into())
    }

    /// The tag as it appears in the SDP.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kind of media on an m-line.
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
    /// The kind of media on it.
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

/// The engine's answer to an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The peer that the offer was for.
    pub peer: PeerId,
    /// The answer's SDP, candidates included.
    pub sdp: String,
    /// The m-lines on which the peer sends, in the order of the offer.
    pub published: Vec<MediaLine>,
    /// The m-lines on which the peer receives (its slots), in the order of the offer.
    pub slots: Vec<MediaLine>,
    /// The video codecs negotiated for each of these m-lines, in the order of the answer.
    pub codecs: HashMap<Mid, Vec<NegotiatedCodec>>,
}

/// A video codec negotiated for an m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedCodec {
    /// The properties that decide which receivers can decode it.
    pub codec: Codec,
    /// As in `RTCRtpCodec.mimeType`: `video/` and the name in the offer's `a=rtpmap`.
    pub mime_type: String,
    /// As in `RTCRtpCodec.sdpFmtpLine`: the parameters in the offer's `a=fmtp`.
    pub fmtp: Option<String>,
}

/// Why an offer was refused. The texts are meant for authors of clients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// The SDP is malformed, or requires something that this server doesn't support.
    #[error("the SDP offer can't be answered: {0}")]
    BadSdp(String),
    /// The SDP is longer than [`OfferError::MAX_SDP_BYTES`].
    #[error("the SDP offer has {bytes} bytes; at most {max} are allowed", max = OfferError::MAX_SDP_BYTES)]
    TooLarge {
        /// The length of the SDP in bytes.
        bytes: usize,
    },
    /// The engine is shutting down, or has no room for another peer.
    #[error("the media engine takes no more peers at the moment")]
    Overloaded,
}

impl OfferError {
    /// The length limit of an SDP offer, in bytes. A browser's offer with 54 m-lines has up to 280 kB, and 300 kB with
    /// its candidates; with the 80 m-lines that an offer may use, and many addresses, it has twice as many.
    pub const MAX_SDP_BYTES: usize = 768 * 1024;
}

/// The most that a peer may publish, in bits per second of RTP packets with their headers; 0 for no limit. A second's
/// worth may come at once. Packets beyond are dropped on arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitrateLimits {
    /// Of an m-line with audio.
    pub audio: u64,
    /// Of an m-line with video; of each layer, if it is simulcast.
    pub video: u64,
    /// Of all m-lines of a peer together.
    pub peer: u64,
}

impl BitrateLimits {
    /// No limits.
    pub const NONE: BitrateLimits = BitrateLimits { audio: 0, video: 0, peer: 0 };
}

impl Default for BitrateLimits {
    /// Opus has at most 510 kbit/s, and redundancy doubles that. Browsers send a camera or a screen with 2.5 Mbit/s
    /// unless the page asks for more; a screen in 4K at 30 frames a second needs some 12.
    fn default() -> BitrateLimits {
        BitrateLimits { audio: 1_200_000, video: 16_000_000, peer: 32_000_000 }
    }
}

/// A report from the engine that no command asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// ICE and DTLS of this peer are connected; media flows.
    Connected {
        /// The peer.
        peer: PeerId,
    },
    /// The engine has removed this peer: its consent expired (RFC 7675), or DTLS failed or was closed. Calling
    /// `Handle::remove` is not needed.
    Disconnected {
        /// The peer.
        peer: PeerId,
        /// Why, as text for a log.
        reason: &'static str,
    },
    /// An audio slot carries another active speaker from now on, or none.
    AudioSlot {
        /// The receiving peer.
        peer: PeerId,
        /// Its slot.
        slot: Mid,
        /// The active speaker, if any.
        source: Option<Source>,
    },
    /// A peer sends video in other codecs from now on. Reported at most 4 times a second for each m-line.
    Sending {
        /// The publishing peer.
        peer: PeerId,
        /// Its m-line.
        mid: Mid,
        /// Each codec once; simulcast layers may have different ones.
        codecs: Vec<Codec>,
    },
    /// A peer exceeds a bitrate limit; see [`BitrateLimits`]. Reported at most every 5 seconds for each m-line, or layer
    /// of it.
    Excess {
        /// The publishing peer.
        peer: PeerId,
        /// Its m-line.
        mid: Mid,
        /// The limit.
        bits_per_second: u64,
    },
    /// The active speakers of a room changed. Loudest first; empty if nobody speaks. At most 5 events a second per
    /// room.
    Speakers {
        /// The room.
        room: RoomId,
        /// Each speaker's peer and audio level in −dBov (0 is loudest, 127 is silence; RFC 6464).
        levels: Vec<(PeerId, u8)>,
    },
}

/// Converts a duration to ticks of a clock with this many ticks a second.
pub(crate) fn ticks(duration: Duration, clock_rate: u32) -> u64 {
    (duration.as_nanos() * u128::from(clock_rate) / 1_000_000_000) as u64
}

/// Ticks per second of the RTP clock: RFC 7587 §4.1 for Opus, and 90 kHz for every video format supported here.
pub(crate) fn clock_rate(kind: MediaKind) -> u32 {
    match kind {
        MediaKind::Audio => 48_000,
        MediaKind::Video => 90_000,
    }
}
