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

mod broadcast;
mod chat;
mod decode;
mod destination;
mod encode;
mod escape;
mod event;
mod frame;
pub mod header;
mod headers;
mod heart_beat;
mod json;
mod participant;
pub mod request;
mod room_name;
mod room_settings;
mod secret;
mod signal;

pub use broadcast::{Broadcast, Encoded};
pub use chat::{Author, ChatMessage};
pub use decode::{DecodeError, Decoded, Decoder, Limits};
pub use destination::{Destination, DestinationError, Pattern, Prefixes};
pub use encode::encode;
pub use event::{Event, LeaveReason, RoomSummary, Speaker};
pub use frame::{Command, Frame, Version};
pub use headers::Headers;
pub use heart_beat::HeartBeat;
pub use participant::{Participant, Role, SourceKind};
pub use request::{Request, RequestError};
pub use room_name::{RoomName, RoomNameError};
pub use room_settings::{Publishers, RoomSettings};
pub use secret::Secret;
pub use signal::{ErrorCode, IceServer, Joined, Layer, Signal, Slot, SlotReason, Waiting};
