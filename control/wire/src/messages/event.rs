//! Events for everyone in a room, on `/topic/rooms/{room}/events`.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Participant, RoomName, SourceKind};

/// An event in a room (protocol §5). `participant_*` events contain the whole participant, all others only its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A participant has joined.
    ParticipantJoined {
        /// The participant.
        participant: Participant,
    },
    /// A participant has left.
    ParticipantLeft {
        /// The participant, in the last state.
        participant: Participant,
        /// The reason.
        reason: LeaveReason,
    },
    /// A participant's name, role, state or metadata has changed.
    ParticipantChanged {
        /// The participant, in the new state.
        participant: Participant,
    },
    /// A participant publishes another source.
    SourceAdded {
        /// The participant.
        participant: String,
        /// The source.
        source: SourceKind,
    },
    /// A participant no longer publishes a source.
    SourceRemoved {
        /// The participant.
        participant: String,
        /// The source.
        source: SourceKind,
    },
    /// The active speakers, loudest first; empty when no one speaks. Sent on change only, at most 5 times per second.
    Speakers {
        /// The active speakers.
        speakers: Vec<Speaker>,
    },
    /// A participant sent a reaction.
    Reaction {
        /// The participant.
        participant: String,
        /// The emoji.
        emoji: String,
    },
    /// The room itself has changed.
    RoomChanged {
        /// The room, in the new state.
        room: RoomSummary,
    },
    /// A chat message was deleted and must no longer be shown.
    MessageDeleted {
        /// The message's `seq`.
        seq: u64,
        /// The message's `id`.
        id: String,
    },
    /// Recording of the room has started or stopped.
    Recording {
        /// Whether the room is being recorded.
        active: bool,
    },
    /// The room was closed, and all participants have been removed.
    RoomEnded {
        /// The reason, for people.
        reason: String,
    },
}

impl Event {
    /// The body of its MESSAGE frame.
    pub fn to_json(&self) -> Bytes {
        super::json::to_bytes(self)
    }
}

/// An active speaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speaker {
    /// The participant.
    pub participant: String,
    /// The audio level in −dBov: 0 is loudest, 127 is silence (RFC 6464).
    pub level: u8,
}

/// The reason why a participant has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// The participant left by itself.
    Left,
    /// The connection was lost and not resumed in time.
    ConnectionLost,
    /// A moderator removed the participant.
    Kicked,
    /// A moderator banned the participant.
    Banned,
    /// The room was closed.
    RoomEnded,
    /// The server is shutting down.
    Draining,
}

/// An open room, on `/topic/rooms`. `participants: 0` means that it is no longer open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoomSummary {
    /// The room's name.
    pub name: RoomName,
    /// The number of participants.
    pub participants: u32,
    /// The time at which it was created.
    pub created_at: Timestamp,
    /// Whether new participants are refused.
    pub locked: bool,
}

impl RoomSummary {
    /// The body of its MESSAGE frame.
    pub fn to_json(&self) -> Bytes {
        super::json::to_bytes(self)
    }
}
