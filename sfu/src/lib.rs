//! The media plane of Madang: a selective forwarding unit (SFU). Each browser has one WebRTC connection to it, on
//! which it publishes and receives; nothing is decoded, nothing mixed.
//!
//! # The journey of a packet
//!
//! ```text
//!   socket → demux → Peer (ICE, DTLS, SRTP in) → Room (who wants it) → Slot: rewrite, SRTP out ×N → send batch
//!   io       path    ice, dtls, srtp, rtp        worker::forward       slot, rewrite              batch, io
//! ```
//!
//! A `Worker` owns rooms and their peers, and has neither socket nor clock; [`io`] gives it datagrams
//! and the time, and sends what it wants sent. A room lives on one worker, so the packet path has no lock; one that is too
//! large for that lives on several, which hand each other packets in parcels (`worker::remote`). Packets that
//! came together are forwarded together: decrypted once into the worker's burst, then for each receiver copied,
//! rewritten and sealed in place, so that a receiver's packets lie side by side and the kernel segments them.
//!
//! # Who decides
//!
//! This crate is mechanism. Callers number rooms and peers, hand in offers, and put sources into video slots. It decides
//! by itself only what must not wait: which speakers the audio slots carry, and when a publisher is asked for a key
//! frame. It knows no user, name, token, database or STOMP.
//!
//! # Not here
//!
//! Allocation per forwarded packet; locks between workers; state for anybody who has not passed an ICE check;
//! transcoding; offers by the server.

mod bandwidth;
mod incoming;
pub mod io;
mod keys;
mod media;
mod outgoing;
mod rtcp;
mod rtp;
mod sdp;
mod stats;
#[cfg(any(fuzzing, feature = "bench"))]
mod testing;
mod transport;
mod worker;

pub use media::{Answer, Event, MediaKind, MediaLine, Mid, OfferError, PeerId, RoomId, Source};
pub use stats::Stats;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub use testing::bench;
#[cfg(fuzzing)]
pub use testing::fuzz;

/// Where the virtual time of a test or a fuzz target begins.
#[cfg(any(test, fuzzing))]
#[expect(clippy::disallowed_methods, reason = "an instant can only be made from another one")]
pub(crate) fn test_now() -> std::time::Instant {
    std::time::Instant::now()
}
