//! A TURN and STUN server (RFC 8656, RFC 8489) for clients whose network lets nothing else through.
//!
//! It relays to this server's media and to nobody else, and the media engine lives in the same process. So a relayed
//! transport address is a name without a socket: `relay_ip` and a port number that tells the allocations apart.
//!
//! ```text
//! client ── Send indication, ChannelData ──▶ Server ── Datagram { relayed, media, payload } ──▶ media engine
//! client ◀── Data indication, ChannelData ── Server ◀── Datagram { relayed, media, payload } ── media engine
//! ```
//!
//! # Main types
//!
//! - [`Server`] decides; it has no sockets and no clocks. [`Config`] is what the operator decides, [`Stats`] what the
//!   server counts.
//! - [`run`] is the shell around it: the [`Listeners`] for clients and a [`Mailbox`], to which the media engine sends by a [`Handle`].
//! - [`credentials`] makes what a client needs: a username that says until when and for whom, and its password.
//!
//! # The journey of a datagram
//!
//! `server` looks at the first byte. ChannelData and Send indications go through `server/relay`: the client's allocation
//! is found in `table`, its permission and channel in `allocation`, the peer is checked with `peers`, and the payload
//! is returned as it lies. Requests go through `server/requests`: `authentication` tells who asks (with `nonce` and
//! `credentials`, both stateless), `request` what, `table` grants or refuses, `response` writes the answer.
//!
//! # What it deliberately does not do
//!
//! - **Remember strangers.** A request without good credentials leaves nothing behind but a counter, and its answer is
//!   smaller on the wire than twice the request, whose sender may be forged.
//! - **Relay elsewhere.** A peer that is not a media address of this server is refused with 403, in every spelling of
//!   its address. There is no list of forbidden networks that could have holes.
//! - **Know users.** Credentials carry all that it needs; who may have some is decided elsewhere.
//! - **Reserve ports** (EVEN-PORT with its R bit, RESERVATION-TOKEN: 508), **offer password algorithms** besides
//!   RFC 5389's or anonymous usernames (RFC 8489 §9.2): no browser asks for them.
//! - **Complain about datagrams.** What is malformed or unexpected is counted in [`Stats`] and dropped.

mod address;
mod allocation;
mod authentication;
mod config;
mod credentials;
mod farewells;
mod framing;
#[cfg(fuzzing)]
pub mod fuzz;
mod io;
mod nonce;
mod peers;
mod ports;
mod refusal;
mod request;
mod response;
mod server;
mod stats;
mod table;

pub use address::{ClientAddr, Transport};
pub use config::{Config, Mistake, Secret};
pub use credentials::{Credentials, credentials};
pub use io::{Datagram, Handle, Listeners, Mailbox, mailbox, run};
pub use server::{Server, ToMedia, Transmit};
pub use stats::{Refused, Stats};
