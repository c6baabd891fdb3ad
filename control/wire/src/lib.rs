//! The messages that Madang's clients and its server exchange, as types.
//!
//! It is a crate of its own because two programs need it: the server and the load generator.
//!
//! # Main types
//!
//! Three layers, each usable alone:
//!
//! - **Frames**: [`Frame`], [`Headers`], [`Command`] and [`Version`] are STOMP 1.0 to 1.2. [`Decoder`] turns bytes into
//!   frames and [`encode`] turns a frame into bytes. [`Broadcast`] encodes one MESSAGE for many subscribers (fan-out).
//! - **Destinations**: [`Destination`] is a parsed `destination` header, [`RoomName`] is a valid room name, and
//!   [`Pattern`] is a subscription with the wildcards `*` and `**`.
//! - **Messages**: [`Request`] is a client's request to a room, [`Signal`] is a message from the server to one session,
//!   and [`Event`] is one to everyone in a room. [`ChatMessage`] and [`RoomSummary`] have topics of their own.
//!
//! # The journey
//!
//! A request: bytes → [`Decoder::next_frame`] → [`Frame`] → [`Destination::parse`] → [`Request::parse`].
//! A reply: [`Signal::to_json`] → [`Frame`] → [`encode`] → bytes.
//!
//! Layers, lowest first: `frames`, `room_name`; then `destination`, `messages`.
//!
//! # What it deliberately does not do
//!
//! It has no sockets, clocks, sessions or rooms, and decides nothing about permissions. Every function is total: no
//! input makes it panic, and [`Limits`] bound what a decoder holds.
//!
//! The folder `golden` beside the sources has one example frame per file, for every request and message. The tests of
//! this crate and those of the web client read the same files.

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
    Author, ChatMessage, CodecMismatch, ErrorCode, Event, IceServer, Joined, Layer, LeaveReason,
    Participant, Publishers, Request, RequestError, Role, RoomCodec, RoomSettings, RoomSummary,
    Secret, Signal, Slot, SlotReason, SourceKind, Speaker, Waiting, request,
};
pub use room_name::{RoomName, RoomNameError};
