//! A load generator: synthetic peers that join rooms over the real protocol and measure what arrives.
//!
//! A peer works like a browser: STOMP over WebSocket through `madang-wire`, media through the `webrtc` crate, which
//! shares no media code with the server. A server that drops, mixes up or misreports packets is therefore detected.
//!
//! # Main types
//!
//! - [`peer::Peer`] is one participant: it joins, chats, watches and leaves. The integration tests use it directly.
//! - [`run::run`] fills rooms with peers for a while and returns a [`report::Report`].
//! - [`light`] has peers at a fraction of the cost, which read only the headers of most packets: thousands per process.
//! - [`mod@bench`] starts servers and generators, and compares their figures with targets.
//!
//! # The journey of a packet
//!
//! [`vp8`] or Opus payload with a [`stamp`] → `webrtc` → server → `webrtc` → [`reception`], which checks that it
//! belongs to the slot in which it arrived and counts it per sender and kind.
//!
//! # Layers
//!
//! Modules import only from layers below their own:
//!
//! ```text
//! bench, run
//! light, peer                                      participants
//! receiving, report, session
//! reception
//! arrivals, sending
//! media, observed, slot_log, times, vp8, world
//! clock, histogram, key_frames, options, stamp, stomp
//! ```
//!
//! [`stamp`], [`vp8`], [`histogram`], [`arrivals`], [`slot_log`] and [`reception`] are pure; [`clock`], [`stomp`],
//! [`session`], [`media`], [`peer`] and [`run`] do I/O.
//!
//! # What it deliberately does not do
//!
//! It uses nothing of the server's internals, and it does not decode pictures or sound: a packet's stamp is its
//! content.

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
