//! Messages from the server to one session, on `/user/queue/signal`.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Participant, Secret, SourceKind};

/// A message to one session (protocol §4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Signal {
    /// The `join` succeeded.
    Joined(Box<Joined>),
    /// The reply to `offer`.
    Answer {
        /// The SDP answer.
        sdp: String,
    },
    /// ICE servers with fresh credentials: the reply to `/app/ice_servers`, and sent to participants before their
    /// credentials expire.
    IceServers {
        /// For `RTCConfiguration.iceServers`.
        ice_servers: Vec<IceServer>,
        /// How long the credentials are valid, in seconds.
        ttl: u32,
    },
    /// The content of all receiving slots from now on.
    Slots {
        /// The slots in the order of the offer.
        slots: Vec<Slot>,
    },
    /// The m-lines of this participant that some viewers can't decode.
    CodecMismatch {
        /// All of them; empty once everybody can decode everything again.
        mismatches: Vec<CodecMismatch>,
    },
    /// This participant sends more than it may on an m-line; what is beyond the limit reaches nobody.
    BitrateExceeded {
        /// The m-line's `a=mid` in the participant's offer.
        mid: String,
        /// The source that it carries, if the participant named it.
        #[serde(default)]
        source: Option<SourceKind>,
        /// The limit of the m-line, or of all m-lines of a participant together, whichever is exceeded.
        bits_per_second: u64,
    },
    /// The `moderate` request was carried out.
    Done {},
    /// The `leave` request was carried out.
    Left {},
    /// A request was refused. The connection stays open.
    Error {
        /// The reason, for programs.
        code: ErrorCode,
        /// The reason, for people.
        message: String,
    },
    /// All participants waiting for admission, sent to those who may admit them, on every change.
    Waiting {
        /// In order of arrival.
        waiting: Vec<Waiting>,
    },
    /// A moderator removed this participant.
    Kicked {
        /// The reason, for people.
        reason: String,
    },
    /// This room has moved to another node; reconnect there.
    Moved {
        /// The URL of that node.
        url: String,
    },
}

impl Signal {
    /// The body of its MESSAGE frame.
    pub fn to_json(&self) -> Bytes {
        super::json::to_bytes(self)
    }
}

/// The reply to `join`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// The joining participant.
    pub participant: Participant,
    /// The token with which a client takes over this participant after a lost connection (header `resume` of `join`).
    pub resume_token: Secret,
    /// All participants in the room in join order, the joining one included.
    pub participants: Vec<Participant>,
    /// For `RTCPeerConnection.setConfiguration`.
    pub ice_servers: Vec<IceServer>,
    /// The SDP answer, if the `join` had an offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The content of that offer's slots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<Vec<Slot>>,
    /// The `seq` of the room's last chat message; 0 when there is none.
    pub chat_seq: u64,
    /// Whether new participants are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
    /// The server's time.
    pub server_time: Timestamp,
}

/// A participant waiting for admission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Waiting {
    /// The id that `admit` and `deny` take as `participant`.
    pub id: String,
    /// The display name.
    pub name: String,
}

/// An entry of `RTCConfiguration.iceServers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:` and `turn:` URLs (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// The user name for `turn:` URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password for `turn:` URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Secret>,
}

/// One receiving m-line and what it carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The m-line's `a=mid` in the client's offer.
    pub mid: String,
    /// The participant whose source it carries; `None` when the slot is empty.
    #[serde(default)]
    pub participant: Option<String>,
    /// The source of that participant.
    #[serde(default)]
    pub source: Option<SourceKind>,
    /// The video layer that is forwarded; `None` for audio, or when it is unknown.
    #[serde(default)]
    pub layer: Option<Layer>,
    /// The reason why the slot carries this source, or none.
    #[serde(default)]
    pub reason: Option<SlotReason>,
}

/// The size of a video layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
}

/// The reason for a slot's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotReason {
    /// The client's `view` asked for it.
    View,
    /// The server chose it (`auto`).
    Auto,
    /// The participant is among the active speakers.
    Speaker,
    /// Empty: no further source to show or play.
    Idle,
    /// Empty: the participant or source requested by `view` does not exist.
    NotAvailable,
    /// No picture: the source is sent in codecs that the client can't decode on this m-line.
    Codec,
    /// Empty: the client's downlink has too little bandwidth.
    Bandwidth,
    /// Empty: the server has no capacity.
    Overloaded,
}

/// A published m-line that some viewers can't decode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodecMismatch {
    /// The m-line's `a=mid` in the publisher's offer.
    pub mid: String,
    /// The source that it carries, if the publisher named it.
    #[serde(default)]
    pub source: Option<SourceKind>,
    /// The number of slots that show it to somebody who can't decode it.
    pub viewers: u32,
    /// The number of other participants who receive video.
    pub receivers: u32,
    /// The fewest of the codecs negotiated for the m-line with which it reaches the most receivers. If they are several,
    /// each is for an encoding of its own. Empty if nobody can decode any of them.
    pub wanted: Vec<RoomCodec>,
    /// The codecs that the receivers negotiated, those that most can decode first.
    pub room: Vec<RoomCodec>,
}

/// A codec, and how many receivers of a room can decode it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomCodec {
    /// As in `RTCRtpCodec.mimeType`.
    pub mime_type: String,
    /// As in `RTCRtpCodec.sdpFmtpLine`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp_fmtp_line: Option<String>,
    /// The number of receivers that can decode it.
    pub receivers: u32,
}

/// The reason for refusing a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request is malformed.
    BadRequest,
    /// The request needs credentials.
    NotAuthenticated,
    /// The user lacks the permission.
    NotAllowed,
    /// The room does not exist, or the client is not in it.
    NoSuchRoom,
    /// The room has no such participant.
    NoSuchParticipant,
    /// The room has its maximum number of participants.
    RoomFull,
    /// The room is locked.
    RoomLocked,
    /// A moderator has to admit this participant first.
    Waiting,
    /// The room's password is wrong or missing.
    WrongPassword,
    /// Too many requests (rate limit).
    RateLimited,
    /// A part of the request is longer than allowed.
    TooLarge,
    /// The SDP offer can't be answered.
    BadSdp,
    /// The server has no capacity at present.
    Overloaded,
    /// The server is shutting down.
    Draining,
    /// The server failed internally.
    Internal,
}

impl ErrorCode {
    /// The code as used in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::BadRequest => "bad_request",
            ErrorCode::NotAuthenticated => "not_authenticated",
            ErrorCode::NotAllowed => "not_allowed",
            ErrorCode::NoSuchRoom => "no_such_room",
            ErrorCode::NoSuchParticipant => "no_such_participant",
            ErrorCode::RoomFull => "room_full",
            ErrorCode::RoomLocked => "room_locked",
            ErrorCode::Waiting => "waiting",
            ErrorCode::WrongPassword => "wrong_password",
            ErrorCode::RateLimited => "rate_limited",
            ErrorCode::TooLarge => "too_large",
            ErrorCode::BadSdp => "bad_sdp",
            ErrorCode::Overloaded => "overloaded",
            ErrorCode::Draining => "draining",
            ErrorCode::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
