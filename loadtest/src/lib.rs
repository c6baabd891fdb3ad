//! Synthetic peers that join rooms over the real protocol and measure what arrives.
//!
//! A peer is built like a browser: STOMP over WebSocket through `madang-wire`, media through the `webrtc` crate,
//! which shares no media code with the server. So a server that drops, mixes up or misreports is caught, not
//! agreed with. Nothing here knows the server's insides.
//!
//! A packet's journey: [`vp8`] or Opus payload with a [`stamp`] → `webrtc` → server → `webrtc` → [`reception`],
//! which checks that it belongs where it came and counts it per sender and kind.
//!
//! - [`peer::Peer`] is one participant: join, say, watch, leave. The integration tests use it directly.
//! - [`run::run`] fills rooms with peers for a while and returns a [`report::Report`].
//! - [`light`] has peers at a fraction of the cost, which know media from their headers: thousands of them.
//! - [`mod@bench`] starts servers and generators, and compares what they measure with targets.
//! - [`stamp`], [`vp8`], [`histogram`], [`arrivals`], [`slot_log`] and [`reception`] are pure; [`clock`], [`stomp`],
//!   [`session`],
//!   [`media`], [`peer`] and [`run`] do I/O.

pub mod arrivals;
pub mod bench;
pub mod clock;
pub mod histogram;
mod key_frames;
pub mod light;
pub mod media;
pub mod observed;
pub mod options;
pub mod peer;
mod receiving;
pub mod reception;
pub mod report;
pub mod run;
mod sending;
pub mod session;
pub mod slot_log;
pub mod stamp;
pub mod stomp;
pub mod times;
pub mod vp8;
pub mod world;
