//! The media plane of Madang: a selective forwarding unit (SFU). Each browser has one WebRTC connection to it, on which
//! it publishes and receives audio and video. The SFU forwards packets; it neither decodes nor mixes media.
//!
//! # Main types
//!
//! - [`io::Engine`] starts one thread per worker, with its sockets. [`io::Handle`] sends commands to the workers:
//!   offers, the assignment of sources to video slots, permissions, removal. [`Event`]s come back.
//! - `Worker` is the media plane of some rooms without I/O: datagrams and the time go in, datagrams and events come
//!   out.
//! - `Peer` is one browser: a `Connection` (ICE, DTLS, SRTP, congestion control), the `Track`s it publishes, each
//!   carried by a `Stream` (SSRC), and the `Slot`s in which it receives.
//!
//! # The journey of a packet
//!
//! ```text
//!   socket → demux → Peer (ICE, DTLS, SRTP in) → Track.subscribers → Slot: rewrite, SRTP out ×N → send batch
//!   io       path    ice, dtls, srtp, rtp        worker::forward     outgoing                     batch, io
//! ```
//!
//! A packet asks its `Track` for subscribers, not its room. The packet path takes no lock: a room is on one worker, which
//! owns the room's peers and runs on a thread with its own socket. A room too large for one worker is on several, which
//! hand each other packets in parcels (`worker::remote`). Packets that arrive together are forwarded together: each is
//! decrypted once and stored in the history of its stream, then copied, rewritten and sealed in place for each receiver.
//! So a receiver's packets lie side by side in the batch, and the kernel segments them (UDP GSO).
//!
//! # Folders
//!
//! From the lowest layer to the highest. A folder imports only from those above it in this list.
//!
//! - `codec`: the codecs, and which receivers can decode which streams
//! - `media`, `keys`, `stats`: the types of the public interface, keys of tables, and counters
//! - `rtcp`: reports, NACK, PLI, FIR, REMB, and TWCC feedback
//! - `rtp`: headers, extensions, payload descriptors, key frames, RED
//! - `transport`: paths and demultiplexing, ICE, DTLS, SRTP, framing for TCP, the send batch
//! - `sdp`: offers and answers
//! - `incoming`: tracks and streams, packet history (RTX cache), NACK generation, active speakers, lip sync
//! - `outgoing`: slots, which rewrite sources into one continuous stream
//! - `bandwidth`: bandwidth estimation (GCC), choice of simulcast layers, retransmission budget
//! - `worker`: peers, rooms and everything that happens to a packet between them
//! - `io`: threads, sockets, clocks, and the public handle
//! - `testing`: access for benchmarks and fuzz targets
//!
//! # Who decides
//!
//! This crate is mechanism. The caller numbers rooms and peers, passes on offers, and assigns sources to video slots.
//! The crate decides only what must not wait: which active speakers the audio slots carry, which simulcast layer a
//! receiver gets, and when to request a key frame. It knows no users, names, tokens, databases or STOMP.
//!
//! # What it does not do
//!
//! - allocate memory per forwarded packet, or lock between workers
//! - keep state for an address that has not passed an ICE check
//! - transcode or mix
//! - make offers: it only answers
//! - pace packets: they are forwarded as they arrive

mod bandwidth;
mod codec;
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

pub use codec::{Codec, Receivers};
pub use media::{
    Answer, BitrateLimits, Event, MediaKind, MediaLine, Mid, NegotiatedCodec, OfferError, PeerId,
    RoomId, Source,
};
pub use sdp::published_lines;
pub use stats::Stats;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub use testing::bench;
#[cfg(fuzzing)]
pub use testing::fuzz;

/// The start of virtual time in tests and fuzz targets.
#[cfg(any(test, fuzzing))]
#[expect(clippy::disallowed_methods, reason = "an instant can only be made from another one")]
pub(crate) fn test_now() -> std::time::Instant {
    std::time::Instant::now()
}
