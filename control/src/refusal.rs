//! Refusals: the error code and the text for each reason.
//!
//! Each reason has one constructor, the only place with its code and text, so that STOMP and REST answer alike.

use std::fmt::Display;
use std::time::Duration;

use jiff::Timestamp;
use madang_wire::{ErrorCode, RoomName, SourceKind};

use crate::store::StoreError;

/// Why a request was refused, as sent to the client.
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

    /// The request is malformed, or not possible in the current state.
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
    /// The server is shutting down and accepts nothing new.
    pub(crate) fn draining() -> Refusal {
        Refusal::new(ErrorCode::Draining, "the server is shutting down")
    }

    /// The server has reached its limit of open rooms.
    pub(crate) fn too_many_open_rooms(most: usize) -> Refusal {
        Refusal::overloaded(format!("the server already has the maximum of {most} open rooms"))
    }

    /// The user, or the guests of an address, have opened as many rooms as they may.
    pub(crate) fn too_many_rooms_of_user(most: usize) -> Refusal {
        Refusal::overloaded(format!(
            "one user, or all guests of one address, may open at most {most} rooms at a time \
             (limits.rooms_per_user); leave one first"
        ))
    }

    /// The room's mailbox is full.
    pub(crate) fn room_busy() -> Refusal {
        Refusal::overloaded("the room has too many requests waiting; try again")
    }

    /// The store does not know the room.
    pub(crate) fn no_such_room(room: &RoomName) -> Refusal {
        Refusal::new(ErrorCode::NoSuchRoom, format!("there is no room {room}"))
    }

    /// The room is not open, and only a join opens it.
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

    /// Loading the room from the store failed, or creating it there.
    pub(crate) fn room_not_loaded(error: &StoreError) -> Refusal {
        Refusal::not_stored(error, "the room could not be loaded", "try again later")
    }

    /// The change is in force but was not stored: it is lost when the room closes.
    pub(crate) fn change_not_stored(error: &StoreError) -> Refusal {
        let then = "it is in effect until the room closes";
        Refusal::not_stored(error, "the change could not be stored", then)
    }

    /// The store refused the change.
    pub(crate) fn change_refused(reason: impl Display) -> Refusal {
        Refusal::overloaded(format!("the change could not be stored: {reason}"))
    }

    /// Storing a chat message failed.
    pub(crate) fn message_not_stored(error: &StoreError) -> Refusal {
        Refusal::not_stored(error, "the message could not be stored", "try again later")
    }

    /// The user, or the guests of an address, have sent as much chat as is stored in a minute.
    pub(crate) fn chat_of_user(most: usize, delay: Duration) -> Refusal {
        let whose = "one user, or of all guests of one address,";
        Refusal::too_much_chat(
            ErrorCode::RateLimited,
            whose,
            most,
            "limits.user_chat_bytes_per_minute",
            delay,
        )
    }

    /// The room has as much chat as is stored in a minute.
    pub(crate) fn chat_of_room(most: usize, delay: Duration) -> Refusal {
        let setting = "limits.room_chat_bytes_per_minute";
        Refusal::too_much_chat(ErrorCode::RateLimited, "one room", most, setting, delay)
    }

    /// All rooms together have as much chat as is stored in a minute.
    pub(crate) fn chat_of_server(most: usize, delay: Duration) -> Refusal {
        let setting = "limits.chat_bytes_per_minute";
        Refusal::too_much_chat(ErrorCode::Overloaded, "all rooms", most, setting, delay)
    }

    fn too_much_chat(
        code: ErrorCode,
        whose: &str,
        most: usize,
        setting: &str,
        delay: Duration,
    ) -> Refusal {
        let seconds = delay.as_secs_f64().ceil();
        let message = format!(
            "the chat of {whose} may have {most} bytes a minute ({setting}); try again in {seconds} seconds"
        );
        Refusal::new(code, message)
    }

    /// The database takes nothing more, because its disk is full.
    pub(crate) fn disk_full() -> Refusal {
        Refusal::overloaded("the server's disk is full")
    }

    /// Clients are told of a full disk. They do not get the text of other errors: it may name tables and files.
    fn not_stored(error: &StoreError, what: &str, then: &str) -> Refusal {
        match error {
            StoreError::Full => {
                Refusal::overloaded(format!("{what}, because the server's disk is full; {then}"))
            }
            StoreError::AlmostFull => {
                let reason = "because the server's disk is almost full";
                Refusal::overloaded(format!("{what}, {reason}; {then}"))
            }
            _ => Refusal::new(ErrorCode::Internal, format!("{what}; {then}")),
        }
    }
}

/// Joining a room.
impl Refusal {
    /// The token is for other rooms.
    pub(crate) fn not_opened_by_token(room: &RoomName) -> Refusal {
        Refusal::not_allowed(format!("your token does not give access to the room {room}"))
    }

    /// A moderator banned the user, or kicked a participant who joined with this token.
    pub(crate) fn banned(until: Option<Timestamp>, reason: Option<&str>) -> Refusal {
        let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        Refusal::not_allowed(format!("you are banned from this room{until}{reason}"))
    }

    /// A moderator kicked or banned the guest of this session.
    pub(crate) fn removed() -> Refusal {
        Refusal::not_allowed("you were removed from this room")
    }

    /// A moderator ended the room while the session was waiting to enter; `reason` is the text.
    pub(crate) fn room_ended(reason: impl Into<String>) -> Refusal {
        Refusal::not_allowed(reason)
    }

    /// A moderator denied entry from the waiting room.
    pub(crate) fn denied() -> Refusal {
        Refusal::not_allowed("a moderator did not admit you")
    }

    /// The requested role is higher than the highest role of the joiner.
    pub(crate) fn role_too_high(role: &str) -> Refusal {
        Refusal::not_allowed(format!("you may not join this room as a {role}"))
    }

    /// The room is locked.
    pub(crate) fn locked() -> Refusal {
        Refusal::new(ErrorCode::RoomLocked, "this room is locked")
    }

    /// The room has reached its limit of participants.
    pub(crate) fn full(most: usize) -> Refusal {
        let message = format!("this room already has the maximum of {most} participants");
        Refusal::new(ErrorCode::RoomFull, message)
    }

    /// The room has a password, and none was given.
    pub(crate) fn password_required() -> Refusal {
        let message = "this room requires a password";
        Refusal::new(ErrorCode::WrongPassword, message)
    }

    /// A participant tells everybody more than it may.
    pub(crate) fn too_many_changes(per_second: u32) -> Refusal {
        let message = format!(
            "a participant may change its state or react {per_second} times a second; try again soon"
        );
        Refusal::new(ErrorCode::RateLimited, message)
    }

    /// The password is wrong.
    pub(crate) fn wrong_password() -> Refusal {
        Refusal::new(ErrorCode::WrongPassword, "the password is wrong")
    }

    /// This user, or guests of this address, have given too many wrong passwords.
    pub(crate) fn too_many_wrong_passwords(pause: Duration) -> Refusal {
        let seconds = pause.as_secs_f64().ceil();
        let message = format!("too many wrong passwords; try again in {seconds} seconds");
        Refusal::new(ErrorCode::RateLimited, message)
    }

    /// Too many passwords are being checked or hashed.
    pub(crate) fn too_many_passwords() -> Refusal {
        Refusal::overloaded("the server is checking too many passwords; try again")
    }

    /// A new password is empty.
    pub(crate) fn empty_password() -> Refusal {
        Refusal::bad_request("the password must not be empty")
    }

    /// Hashing the password failed.
    pub(crate) fn password_not_hashed() -> Refusal {
        Refusal::new(ErrorCode::Internal, "the password could not be hashed")
    }

    /// The joiner is in the waiting room. This does not end the join: `joined` follows when a moderator admits them.
    pub(crate) fn waiting() -> Refusal {
        let message = "this room has a waiting room; wait for a moderator to admit you";
        Refusal::new(ErrorCode::Waiting, message)
    }

    /// The session is still waiting to enter; the only request it may make is to leave.
    pub(crate) fn still_waiting() -> Refusal {
        Refusal::new(ErrorCode::Waiting, "you are not in the room yet")
    }

    /// The waiting room is full.
    pub(crate) fn too_many_waiting() -> Refusal {
        Refusal::overloaded("the waiting room of this room is full")
    }

    /// Too many joins of this room are waiting for their password check.
    pub(crate) fn too_many_joining() -> Refusal {
        Refusal::overloaded("too many people are joining this room; try again")
    }

    /// The session is already in the room.
    pub(crate) fn already_in_room() -> Refusal {
        Refusal::bad_request("this session is already in the room")
    }

    /// The session has a join that the room has not answered yet.
    pub(crate) fn already_joining() -> Refusal {
        Refusal::bad_request("this session has already asked to join; wait for the answer")
    }

    /// No participant has the token in the `resume` header.
    pub(crate) fn not_resumable() -> Refusal {
        let message = "the resume token is wrong or has expired; join without it";
        Refusal::new(ErrorCode::NoSuchParticipant, message)
    }

    /// The token in the `resume` header belongs to another user's participant.
    pub(crate) fn resumes_another_user() -> Refusal {
        Refusal::not_allowed("this participant belongs to another user")
    }
}

/// Requests inside a room.
impl Refusal {
    /// The participant that the request names is not in the room.
    pub(crate) fn no_such_participant() -> Refusal {
        let message = "this room has no such participant";
        Refusal::new(ErrorCode::NoSuchParticipant, message)
    }

    /// Nobody with this id is in the waiting room.
    pub(crate) fn nobody_waits() -> Refusal {
        let message = "nobody with this id is in the waiting room";
        Refusal::new(ErrorCode::NoSuchParticipant, message)
    }

    /// The message does not exist, or the sender may not delete it.
    pub(crate) fn no_such_message() -> Refusal {
        Refusal::bad_request("there is no such message, or you may not delete it")
    }

    /// Only hosts and moderators may do this.
    pub(crate) fn moderators_only() -> Refusal {
        Refusal::not_allowed("only hosts and moderators of this room may do that")
    }

    /// A moderator who is not a host tries to act on a host.
    pub(crate) fn acts_on_host() -> Refusal {
        Refusal::not_allowed("only hosts may act on hosts")
    }

    /// A moderator who is not a host tries to make somebody a host.
    pub(crate) fn makes_host() -> Refusal {
        Refusal::not_allowed("only hosts may make somebody a host")
    }

    /// A moderator tries to kick or ban themself.
    pub(crate) fn removes_self() -> Refusal {
        Refusal::not_allowed("you may not remove yourself; leave instead")
    }

    /// Chat is off for everyone except moderators.
    pub(crate) fn chat_off() -> Refusal {
        Refusal::not_allowed("the chat of this room is off")
    }

    /// The role, the grant or the room's settings do not allow publishing this source.
    pub(crate) fn may_not_publish(source: SourceKind) -> Refusal {
        Refusal::not_allowed(format!("you may not publish a {source} here"))
    }

    /// The participant tries to switch on what a moderator has stopped.
    pub(crate) fn stopped_by_moderator() -> Refusal {
        let message = "a moderator switched this off; only a moderator can allow it again";
        Refusal::not_allowed(message)
    }

    /// The session has made too many offers in a short time.
    pub(crate) fn too_many_offers(per_second: u32) -> Refusal {
        let message = format!(
            "the rate limit of a session is {per_second} offers per second; wait before you negotiate again"
        );
        Refusal::new(ErrorCode::RateLimited, message)
    }

    /// The media engine has not answered the participant's previous offer yet.
    pub(crate) fn offer_pending() -> Refusal {
        Refusal::bad_request("the previous offer is not answered yet")
    }

    /// The room has reached its limit of roles or bans.
    pub(crate) fn too_many_kept(most: usize, what: &str) -> Refusal {
        Refusal::overloaded(format!("this room already has the maximum of {most} {what}"))
    }

    /// The participant was removed but not banned: the room has reached its limit of bans.
    pub(crate) fn removed_but_not_banned(most: usize) -> Refusal {
        let message = format!(
            "they were removed but can come back: this room already has the maximum of {most} bans"
        );
        Refusal::overloaded(message)
    }

    /// A value must not be empty; `what` names it.
    pub(crate) fn empty(what: &str) -> Refusal {
        Refusal::bad_request(format!("{what} must not be empty"))
    }

    /// The value that `what` names is too long; `unit` is what `most` counts.
    pub(crate) fn too_long(what: &str, most: usize, unit: &str) -> Refusal {
        let message = format!("{what} must have at most {most} {unit}");
        Refusal::new(ErrorCode::TooLarge, message)
    }
}

/// SEND frames to destinations outside rooms.
impl Refusal {
    /// Only the server publishes under `/topic/rooms`.
    pub(crate) fn servers_alone() -> Refusal {
        let message =
            "only the server publishes under /topic/rooms; send requests to /app/rooms/{room}/…";
        Refusal::not_allowed(message)
    }

    /// The token does not open the destination.
    pub(crate) fn destination_not_granted(destination: &str) -> Refusal {
        Refusal::not_allowed(format!(
            "your token does not open {destination}; its claim `destinations` names what it opens outside its room"
        ))
    }

    /// Only the server sends signals.
    pub(crate) fn signals_are_servers() -> Refusal {
        Refusal::not_allowed("only the server sends signals")
    }
}
