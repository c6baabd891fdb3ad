//! What Madang's clients and its server say to each other, as types.
//!
//! Three layers, each usable alone:
//!
//! - **Frames**: [`Frame`], [`Headers`], [`Command`] and [`Version`] are STOMP 1.0 to 1.2; [`Decoder`] turns bytes
//!   into frames and [`encode`] turns a frame into bytes. [`Broadcast`] encodes one MESSAGE for many subscribers.
//! - **Destinations**: [`Destination`] says what a `destination` header means, [`RoomName`] is a room name that is
//!   known to be valid, [`Pattern`] is a subscription with `*` and `**`.
//! - **Messages**: [`Request`] is what a client asks, [`Signal`] what the server replies to one session, [`Event`]
//!   what it tells a room; [`ChatMessage`] and [`RoomSummary`] have topics of their own.
//!
//! A request's journey: bytes → [`Decoder::next_frame`] → [`Frame`] → [`Destination::parse`] → [`Request::parse`].
//! A reply's: [`Signal::to_json`] → [`Frame`] → [`encode`] → bytes.
//!
//! What is not here: sockets, clocks, sessions, rooms, and any decision about who may do what. Every function is
//! total: no input makes it panic, and [`Limits`] bound what a decoder holds.
//!
//! The folder `golden` beside the sources has one example frame per file, for every request and message. The tests
//! of this crate and those of the web client read the same files.

mod destination;
mod frames;
mod messages;
mod room_name;

pub use destination::{Destination, DestinationError, Pattern, Prefixes};
pub use frames::{
    Broadcast, Command, DecodeError, Decoded, Decoder, Encoded, Frame, Headers, HeartBeat, Limits,
    Version, encode, header,
};
pub use messages::{
    Author, ChatMessage, ErrorCode, Event, IceServer, Joined, Layer, LeaveReason, Participant,
    Publishers, Request, RequestError, Role, RoomSettings, RoomSummary, Secret, Signal, Slot,
    SlotReason, SourceKind, Speaker, Waiting, request,
};
pub use room_name::{RoomName, RoomNameError};
