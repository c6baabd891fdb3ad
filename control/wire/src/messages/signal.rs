//! What the server tells one session, on `/user/queue/signal`.

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
    /// What the receiving slots carry from here on, all of them.
    Slots {
        /// The slots in the order of the offer.
        slots: Vec<Slot>,
    },
    /// The `moderate` request was carried out.
    Done {},
    /// The `leave` request was carried out.
    Left {},
    /// A request was refused. The connection goes on.
    Error {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people.
        message: String,
    },
    /// Who waits to be let in, all of them; for those who may let them in. Whenever that changes.
    Waiting {
        /// In the order in which they came.
        waiting: Vec<Waiting>,
    },
    /// A moderator removed this participant.
    Kicked {
        /// Why, for people.
        reason: String,
    },
    /// This room now lives at another node; reconnect there.
    Moved {
        /// Where.
        url: String,
    },
}

impl Signal {
    /// The body of its MESSAGE frame.
    pub fn to_json(&self) -> Bytes {
        super::json::to_bytes(self)
    }
}

/// What one learns by joining.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// Who one is in this room.
    pub participant: Participant,
    /// Takes this participant over after a dropped connection (header `resume` of `join`).
    pub resume_token: Secret,
    /// Everybody in the room in join order, oneself included.
    pub participants: Vec<Participant>,
    /// For `RTCPeerConnection.setConfiguration`.
    pub ice_servers: Vec<IceServer>,
    /// The SDP answer, when the `join` had an offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// What the slots of that offer carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<Vec<Slot>>,
    /// `seq` of the room's last chat message; 0 when there is none.
    pub chat_seq: u64,
    /// Whether the room takes no more participants.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
    /// The server's clock.
    pub server_time: Timestamp,
}

/// Someone who waits to be let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Waiting {
    /// What `admit` and `deny` name in `participant`.
    pub id: String,
    /// What they want to be called.
    pub name: String,
}

/// An entry of `RTCConfiguration.iceServers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:` and `turn:` URLs (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// For `turn:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For `turn:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Secret>,
}

/// One receiving m-line and what it carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The m-line's `a=mid` in the client's offer.
    pub mid: String,
    /// Whose source it carries; none when the slot is empty.
    #[serde(default)]
    pub participant: Option<String>,
    /// Which of that participant's sources.
    #[serde(default)]
    pub source: Option<SourceKind>,
    /// The video layer being forwarded; none for audio, or when it is not known.
    #[serde(default)]
    pub layer: Option<Layer>,
    /// Why it carries this, or nothing.
    #[serde(default)]
    pub reason: Option<SlotReason>,
}

/// The size of a video layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
}

/// Why a slot carries what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotReason {
    /// The client's `view` asked for it.
    View,
    /// The server chose it (`auto`).
    Auto,
    /// It is among the loudest.
    Speaker,
    /// Empty: there is nothing more to show or hear.
    Idle,
    /// Empty: the participant or source that `view` asked for is not there.
    NotAvailable,
    /// Empty: the client's downlink does not carry it.
    Bandwidth,
    /// Empty: the server has no capacity for it.
    Overloaded,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// It is malformed.
    BadRequest,
    /// It needs a credential.
    NotAuthenticated,
    /// This user may not.
    NotAllowed,
    /// There is no such room, or one is not in it.
    NoSuchRoom,
    /// There is no such participant in the room.
    NoSuchParticipant,
    /// The room has as many participants as it may.
    RoomFull,
    /// The room takes no more participants.
    RoomLocked,
    /// A moderator has to admit this participant first.
    Waiting,
    /// The room's password is another.
    WrongPassword,
    /// Too many requests.
    RateLimited,
    /// Something in it is longer than allowed.
    TooLarge,
    /// The SDP offer can't be answered.
    BadSdp,
    /// The server has no capacity at the moment.
    Overloaded,
    /// The server is shutting down.
    Draining,
    /// The server failed.
    Internal,
}

impl ErrorCode {
    /// As in the messages.
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
