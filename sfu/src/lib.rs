//! The media plane of Madang: a selective forwarding unit.
pub mod io;
mod media;
mod stats;

pub use media::{Answer, MediaKind, MediaLine, Mid, OfferError, PeerId, RoomId, Source};
pub use stats::Stats;
