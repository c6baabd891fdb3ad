//! What a room tells everybody in it, on `/topic/rooms/{room}/events`.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Participant, RoomName, SourceKind};

/// Something that happened in a room (protocol §5). `participant_*` carry the whole participant, all others its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// Someone came.
    ParticipantJoined {
        /// Who.
        participant: Participant,
    },
    /// Someone is gone.
    ParticipantLeft {
        /// Who, as they were at last.
        participant: Participant,
        /// Why.
        reason: LeaveReason,
    },
    /// Someone's name, role, state or metadata is different.
    ParticipantChanged {
        /// Who, as they are from here on.
        participant: Participant,
    },
    /// Someone publishes something more.
    SourceAdded {
        /// Whose.
        participant: String,
        /// What.
        source: SourceKind,
    },
    /// Someone publishes something no more.
    SourceRemoved {
        /// Whose.
        participant: String,
        /// What.
        source: SourceKind,
    },
    /// Who speaks, loudest first; empty when nobody does. At most 5 a second, only on change.
    Speakers {
        /// The speakers.
        speakers: Vec<Speaker>,
    },
    /// Someone reacted.
    Reaction {
        /// Who.
        participant: String,
        /// How.
        emoji: String,
    },
    /// The room itself is different.
    RoomChanged {
        /// The room, as it is from here on.
        room: RoomSummary,
    },
    /// A chat message is to be shown no more.
    MessageDeleted {
        /// Its `seq`.
        seq: u64,
        /// Its `id`.
        id: String,
    },
    /// The room is being recorded, or no longer.
    Recording {
        /// Whether it is.
        active: bool,
    },
    /// The room was closed; everybody is out.
    RoomEnded {
        /// Why, for people.
        reason: String,
    },
}

impl Event {
    /// The body of its MESSAGE frame.
    pub fn to_json(&self) -> Bytes {
        super::json::to_bytes(self)
    }
}

/// Someone who speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speaker {
    /// Who.
    pub participant: String,
    /// How loud, in −dBov: 0 is loudest, 127 silence (RFC 6464).
    pub level: u8,
}

/// Why a participant is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// They left.
    Left,
    /// Their connection dropped and did not come back in time.
    ConnectionLost,
    /// They were removed by a moderator.
    Kicked,
    /// They were removed by a moderator, for good.
    Banned,
    /// The room was closed.
    RoomEnded,
    /// The server is shutting down.
    Draining,
}

/// An open room, on `/topic/rooms`. `participants: 0` says that it is open no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoomSummary {
    /// Its name.
    pub name: RoomName,
    /// How many are in it.
    pub participants: u32,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether it takes no more participants.
    pub locked: bool,
}

impl RoomSummary {
    /// The body of its MESSAGE frame.
    pub fn to_json(&self) -> Bytes {
        super::json::to_bytes(self)
    }
}
