//! Why a request was refused: the codes and the texts, each said once.
//!
//! A constructor names the reason. It is the only place with its code and its text, so that STOMP and REST answer alike.

use std::fmt::Display;

use jiff::Timestamp;
use madang_wire::{ErrorCode, RoomName, SourceKind};

/// Why a request was refused: what the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of refusal, for programs.
    pub code: ErrorCode,
    /// The reason, for people.
    pub message: String,
}

impl Refusal {
    /// A refusal of this kind, for this reason.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }

    /// The request is malformed, or not possible in this state.
    pub(crate) fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(ErrorCode::BadRequest, message)
    }

    fn not_allowed(message: impl Into<String>) -> Refusal {
        Refusal::new(ErrorCode::NotAllowed, message)
    }

    fn overloaded(message: impl Into<String>) -> Refusal {
        Refusal::new(ErrorCode::Overloaded, message)
    }
}

/// The server and its rooms.
impl Refusal {
    /// The server takes nothing new, because it is about to end.
    pub(crate) fn draining() -> Refusal {
        Refusal::new(ErrorCode::Draining, "the server is shutting down")
    }

    /// The server has as many open rooms as it may.
    pub(crate) fn too_many_open_rooms(most: usize) -> Refusal {
        Refusal::overloaded(format!("the server already has the maximum of {most} open rooms"))
    }

    /// The room's mailbox is full.
    pub(crate) fn room_busy() -> Refusal {
        Refusal::overloaded("the room has too many requests waiting; try again")
    }

    /// The store does not know the room.
    pub(crate) fn no_such_room(room: &RoomName) -> Refusal {
        Refusal::new(ErrorCode::NoSuchRoom, format!("there is no room {room}"))
    }

    /// Nobody is in the room, so only a join reaches it.
    pub(crate) fn room_not_open(room: &RoomName) -> Refusal {
        let message = format!("the room {room} is not open; join it first");
        Refusal::new(ErrorCode::NoSuchRoom, message)
    }

    /// The room closed after the request was posted to it.
    pub(crate) fn room_just_closed(room: &RoomName) -> Refusal {
        let message = format!("the room {room} has just closed; try again");
        Refusal::new(ErrorCode::NoSuchRoom, message)
    }

    /// The session is not in the room that it sends to.
    pub(crate) fn not_in_room(room: &RoomName) -> Refusal {
        let message = format!("you are not in the room {room}; join it first");
        Refusal::new(ErrorCode::NoSuchRoom, message)
    }

    /// The session has asked to join too many rooms.
    pub(crate) fn in_too_many_rooms(most: usize) -> Refusal {
        Refusal::not_allowed(format!("a session is in at most {most} rooms; leave one first"))
    }

    /// The store could not be asked for the room.
    pub(crate) fn room_not_loaded() -> Refusal {
        Refusal::new(ErrorCode::Internal, "the room could not be loaded; try again later")
    }

    /// The change is in force, but lost when the room closes.
    pub(crate) fn change_not_stored() -> Refusal {
        let message = "the change could not be stored; it holds until the room closes";
        Refusal::new(ErrorCode::Internal, message)
    }

    /// The store does not take the change.
    pub(crate) fn change_refused(reason: impl Display) -> Refusal {
        Refusal::overloaded(format!("the change could not be stored: {reason}"))
    }

    /// The store did not take a chat message.
    pub(crate) fn message_not_stored() -> Refusal {
        Refusal::new(ErrorCode::Internal, "the message could not be stored")
    }
}

/// At the door of a room.
impl Refusal {
    /// The token is for other rooms.
    pub(crate) fn not_opened_by_token(room: &RoomName) -> Refusal {
        Refusal::not_allowed(format!("your token does not open the room {room}"))
    }

    /// A moderator banned the user, or removed whoever came with this token.
    pub(crate) fn banned(until: Option<Timestamp>, reason: Option<&str>) -> Refusal {
        let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        Refusal::not_allowed(format!("you are banned from this room{until}{reason}"))
    }

    /// A moderator removed the guest of this session.
    pub(crate) fn removed() -> Refusal {
        Refusal::not_allowed("you were removed from this room")
    }

    /// A moderator ended the room, for this reason, while somebody stood at its door.
    pub(crate) fn room_ended(reason: impl Into<String>) -> Refusal {
        Refusal::not_allowed(reason)
    }

    /// A moderator denied somebody in the waiting room.
    pub(crate) fn denied() -> Refusal {
        Refusal::not_allowed("a moderator did not admit you")
    }

    /// The role that was asked for is higher than the highest that they may have.
    pub(crate) fn role_too_high(role: &str) -> Refusal {
        Refusal::not_allowed(format!("you may not join this room as a {role}"))
    }

    /// The room is locked.
    pub(crate) fn locked() -> Refusal {
        Refusal::new(ErrorCode::RoomLocked, "this room is locked")
    }

    /// The room has as many participants as it may.
    pub(crate) fn full(most: usize) -> Refusal {
        let message = format!("this room already has the maximum of {most} participants");
        Refusal::new(ErrorCode::RoomFull, message)
    }

    /// The room has a password, and none was given.
    pub(crate) fn password_required() -> Refusal {
        let message = "this room has a password; join with it";
        Refusal::new(ErrorCode::WrongPassword, message)
    }

    /// The password is wrong.
    pub(crate) fn wrong_password() -> Refusal {
        Refusal::new(ErrorCode::WrongPassword, "the password is wrong")
    }

    /// This session has given too many wrong passwords.
    pub(crate) fn too_many_wrong_passwords() -> Refusal {
        let message = "too many wrong passwords; try again in a minute";
        Refusal::new(ErrorCode::RateLimited, message)
    }

    /// Too many passwords are being checked or hashed.
    pub(crate) fn too_many_passwords() -> Refusal {
        Refusal::overloaded("the server has too many passwords to check; try again")
    }

    /// A new password is empty.
    pub(crate) fn empty_password() -> Refusal {
        Refusal::bad_request("the password must not be empty")
    }

    /// The library did not hash the password.
    pub(crate) fn password_not_hashed() -> Refusal {
        Refusal::new(ErrorCode::Internal, "the password could not be hashed")
    }

    /// The waiting room: not an error for whoever joins, for `joined` follows when a moderator admits them.
    pub(crate) fn waiting() -> Refusal {
        let message = "this room has a waiting room; a moderator has to admit those who join";
        Refusal::new(ErrorCode::Waiting, message)
    }

    /// The session waits at the door, where it can only leave.
    pub(crate) fn still_waiting() -> Refusal {
        Refusal::new(ErrorCode::Waiting, "you are not in the room yet")
    }

    /// The waiting room is full.
    pub(crate) fn too_many_waiting() -> Refusal {
        Refusal::overloaded("the waiting room of this room is full")
    }

    /// Too many joins of one room wait for their password to be checked.
    pub(crate) fn too_many_joining() -> Refusal {
        Refusal::overloaded("too many people are joining this room; try again")
    }

    /// The session is in the room.
    pub(crate) fn already_in_room() -> Refusal {
        Refusal::bad_request("this session is already in the room")
    }

    /// The session has a join that is not answered yet.
    pub(crate) fn already_joining() -> Refusal {
        Refusal::bad_request("this session has already asked to join; wait for the answer")
    }

    /// No participant has the token of the header `resume`.
    pub(crate) fn not_resumable() -> Refusal {
        let message = "the resume token is wrong or has expired; join without it";
        Refusal::new(ErrorCode::NoSuchParticipant, message)
    }

    /// The token of the header `resume` belongs to another user's participant.
    pub(crate) fn resumes_another_user() -> Refusal {
        Refusal::not_allowed("this participant belongs to another user")
    }
}

/// In a room.
impl Refusal {
    /// The addressee of a request is not in the room.
    pub(crate) fn no_such_participant() -> Refusal {
        let message = "this room has no such participant";
        Refusal::new(ErrorCode::NoSuchParticipant, message)
    }

    /// Nobody with this id is in the waiting room.
    pub(crate) fn nobody_waits() -> Refusal {
        let message = "nobody with this id is in the waiting room";
        Refusal::new(ErrorCode::NoSuchParticipant, message)
    }

    /// There is no such message, or it is somebody else's to delete.
    pub(crate) fn no_such_message() -> Refusal {
        Refusal::bad_request("there is no such message, or you may not delete it")
    }

    /// Only hosts and moderators may do this.
    pub(crate) fn moderators_only() -> Refusal {
        Refusal::not_allowed("only hosts and moderators of this room may do that")
    }

    /// A moderator who is no host wants to do something to a host.
    pub(crate) fn acts_on_host() -> Refusal {
        Refusal::not_allowed("only hosts may act on hosts")
    }

    /// A moderator who is no host wants to make somebody a host.
    pub(crate) fn makes_host() -> Refusal {
        Refusal::not_allowed("only hosts may make somebody a host")
    }

    /// A moderator wants to kick or ban themself.
    pub(crate) fn removes_self() -> Refusal {
        Refusal::not_allowed("you may not remove yourself; leave instead")
    }

    /// The chat is off for all but moderators.
    pub(crate) fn chat_off() -> Refusal {
        Refusal::not_allowed("the chat of this room is off")
    }

    /// The role, the grant or the room does not let them publish this.
    pub(crate) fn may_not_publish(source: SourceKind) -> Refusal {
        Refusal::not_allowed(format!("you may not publish a {source} here"))
    }

    /// A moderator has switched off what they want to switch on.
    pub(crate) fn stopped_by_moderator() -> Refusal {
        let message = "a moderator switched this off; only a moderator can allow it again";
        Refusal::not_allowed(message)
    }

    /// An offer is on its way through the media engine.
    pub(crate) fn offer_pending() -> Refusal {
        Refusal::bad_request("the previous offer is not answered yet")
    }

    /// The room keeps as many roles or bans as it may.
    pub(crate) fn too_many_kept(most: usize, what: &str) -> Refusal {
        Refusal::overloaded(format!("this room already has the maximum of {most} {what}"))
    }

    /// Somebody was removed, but the room keeps as many bans as it may.
    pub(crate) fn removed_but_not_banned(most: usize) -> Refusal {
        let message = format!(
            "they were removed but can come back: this room already has the maximum of {most} bans"
        );
        Refusal::overloaded(message)
    }

    /// Something must not be empty.
    pub(crate) fn empty(what: &str) -> Refusal {
        Refusal::bad_request(format!("{what} must not be empty"))
    }

    /// Something is longer than it may be; `unit` is what `most` counts.
    pub(crate) fn too_long(what: &str, most: usize, unit: &str) -> Refusal {
        let message = format!("{what} must have at most {most} {unit}");
        Refusal::new(ErrorCode::TooLarge, message)
    }
}

/// SENDs to other destinations.
impl Refusal {
    /// Only the server publishes here.
    pub(crate) fn servers_alone() -> Refusal {
        let message =
            "only the server publishes under /topic/rooms; send requests to /app/rooms/{room}/…";
        Refusal::not_allowed(message)
    }

    /// Only the server sends signals.
    pub(crate) fn signals_are_servers() -> Refusal {
        Refusal::not_allowed("only the server sends signals")
    }
}
