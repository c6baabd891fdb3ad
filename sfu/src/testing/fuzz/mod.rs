//! The parsers of this crate as fuzz targets call them: one function for each, with what must hold of its result. Built
//! by cargo-fuzz alone (`--cfg fuzzing`); the targets are in `control/fuzz`. `pieces` cuts the input of targets that take
//! several.

mod media;
mod packets;
mod rewrite;
mod unauthenticated;

pub use media::media;
pub use packets::{framing, payload, rtcp, rtp, srtp};
pub use rewrite::rewrite;
pub use unauthenticated::{dtls, pieces, sdp, stun};
