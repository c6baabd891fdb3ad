//! STOMP 1.0 to 1.2: frames, and decoding and encoding them.

mod broadcast;
mod decode;
mod encode;
mod escape;
mod frame;
pub mod header;
mod headers;
mod heart_beat;

pub use broadcast::{Broadcast, Encoded};
pub use decode::{DecodeError, Decoded, Decoder, Limits};
pub use encode::encode;
pub use frame::{Command, Frame, Version};
pub use headers::Headers;
pub use heart_beat::HeartBeat;
