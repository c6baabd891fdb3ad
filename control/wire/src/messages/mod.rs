//! The bodies of frames: requests, replies and events, and the values they contain.

mod chat;
mod event;
mod json;
mod participant;
pub mod request;
mod room_settings;
mod secret;
mod signal;

pub use chat::{Author, ChatMessage};
pub use event::{Event, LeaveReason, RoomSummary, Speaker};
pub use participant::{Participant, Role, SourceKind};
pub use request::{Request, RequestError};
pub use room_settings::{Publishers, RoomSettings};
pub use secret::Secret;
pub use signal::{
    CodecMismatch, ErrorCode, IceServer, Joined, Layer, RoomCodec, Signal, Slot, SlotReason,
    Waiting,
};
