//! The entry points of fuzz targets: one function per parser, which checks what must hold of the result. Built only by
//! cargo-fuzz (`--cfg fuzzing`); the targets are in `control/fuzz`. `pieces` divides the input of targets that take
//! several datagrams.

mod media;
mod packets;
mod rewrite;
mod unauthenticated;

pub use media::media;
pub use packets::{framing, payload, rtcp, rtp, srtp};
pub use rewrite::rewrite;
pub use unauthenticated::{dtls, pieces, sdp, stun};
