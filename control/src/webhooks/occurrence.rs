//! The occurrences that webhooks report.

use jiff::Timestamp;
use madang_wire::{Event, LeaveReason, Participant, RoomName};
use serde::{Deserialize, Serialize};

/// Something that happened in a room. Field names are those of the control protocol's events.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Occurrence {
    /// The first participant joined.
    RoomOpened {},
    /// The last participant left.
    RoomClosed {},
    /// A moderator ended the room and removed everybody.
    RoomEnded {
        reason: String,
    },
    ParticipantJoined {
        participant: Participant,
    },
    ParticipantLeft {
        participant: Participant,
        reason: LeaveReason,
    },
    /// The room's lock or settings changed.
    RoomChanged {
        participants: u32,
        locked: bool,
    },
    Recording {
        active: bool,
    },
}

impl Occurrence {
    /// The occurrence that an event of a room is reported as, if any.
    pub(crate) fn of(event: &Event) -> Option<Occurrence> {
        match event {
            Event::ParticipantJoined { participant } => {
                Some(Occurrence::ParticipantJoined { participant: participant.clone() })
            }
            Event::ParticipantLeft { participant, reason } => {
                let (participant, reason) = (participant.clone(), *reason);
                Some(Occurrence::ParticipantLeft { participant, reason })
            }
            Event::RoomChanged { room } => Some(Occurrence::RoomChanged {
                participants: room.participants,
                locked: room.locked,
            }),
            Event::Recording { active } => Some(Occurrence::Recording { active: *active }),
            Event::RoomEnded { reason } => Some(Occurrence::RoomEnded { reason: reason.clone() }),
            Event::ParticipantChanged { .. }
            | Event::SourceAdded { .. }
            | Event::SourceRemoved { .. }
            | Event::Speakers { .. }
            | Event::Reaction { .. }
            | Event::MessageDeleted { .. } => None,
        }
    }
}

/// An occurrence with its room and time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Note {
    pub(super) room: RoomName,
    pub(super) at: Timestamp,
    pub(super) what: Occurrence,
}

/// The body of a call.
#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    room: &'a RoomName,
    at: Timestamp,
    #[serde(flatten)]
    what: &'a Occurrence,
}

impl Note {
    /// Builds the body of the call. `id` must be unique, so that a receiver can recognize a repeated call.
    pub(super) fn to_body(&self, id: &str) -> String {
        let Note { room, at, what } = self;
        let body = Body { id, room, at: *at, what };
        serde_json::to_string(&body).expect("an occurrence has no map without text keys")
    }
}

/// The fields that are read back from a stored body.
#[derive(Debug, Deserialize, PartialEq)]
pub(super) struct Envelope {
    pub(super) id: String,
    pub(super) at: Timestamp,
}

impl Envelope {
    pub(super) fn of(body: &str) -> Option<Envelope> {
        serde_json::from_str(body).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_body_says_what_happened_where_and_when() {
        let at: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        let what = Occurrence::RoomChanged { participants: 2, locked: true };
        let note = Note { room: RoomName::parse("마당").unwrap(), at, what };

        let body = note.to_body("e1");

        let expected = json!({
            "id": "e1", "event": "room_changed", "room": "마당", "at": "2026-11-21T08:00:00Z",
            "participants": 2, "locked": true,
        });
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
        assert_eq!(Envelope::of(&body), Some(Envelope { id: "e1".to_owned(), at }));
    }

    #[test]
    fn what_is_only_for_those_in_the_room_is_not_told() {
        let event = Event::Reaction { participant: "a".to_owned(), emoji: "👏".to_owned() };

        assert_eq!(Occurrence::of(&event), None);
    }
}
