//! A TURN and STUN server (RFC 8656, RFC 8489, RFC 6062) for clients whose network lets nothing else through.
//!
//! It relays to this server's media, which lives in the same process. So a relayed transport address is a name without
//! a socket: the relay address and a port number that tells the allocations apart. Only when the operator names other
//! peers has each allocation a socket of its own.
//!
//! ```text
//! client ── Send indication, ChannelData ──▶ Server ── Datagram { relayed, media, payload } ──▶ media engine
//! client ◀── Data indication, ChannelData ── Server ◀── Datagram { relayed, media, payload } ── media engine
//!                                              ▲└──── socket of the relayed address ────▶ other peers
//!                                              └───── socket of the relayed address ───── other peers
//! ```
//!
//! # Main types
//!
//! - [`Server`] decides; it has no sockets and no clocks. [`Config`] is what the operator decides, [`Stats`] what the
//!   server counts.
//! - [`DtlsSessions`] stand between the server and clients that come by DTLS, also without sockets and clocks.
//! - [`run`] is the shell around them: the [`Listeners`] for clients and a [`Mailbox`], to which the media engine sends
//!   by a [`Handle`].
//! - [`credentials`] makes what a client needs: a username that says until when and for whom, and its password.
//! - [`PeerRule`] names peers other than media.
//!
//! # The journey of a datagram
//!
//! `server` looks at the first byte. ChannelData and Send indications go through `server/relay`: the client's
//! allocation is found in `table`, its permission and channel in `allocation`, the peer is checked with `peers`, and
//! the payload is returned as it lies. Requests go through `server/requests`: `authentication` tells who asks (with
//! `nonce` and `credentials`, both stateless), `request` what, `table` grants or refuses, `response` writes the answer.
//! Where an allocation needs a socket, `server/opening` keeps the answer back until the shell has it. What comes inside
//! DTLS has been through `dtls` before, and what is for such a client goes through it at last.
//!
//! # The journey of a connection
//!
//! Where there are peers besides media, clients by TCP or TLS may have relayed addresses for TCP (RFC 6062). Their
//! requests end in `server/connections`, which keeps `peer_connections`; the shell listens, and calls peers
//! (`io/peer_connections`). A second connection of the client comes for each peer with a ConnectionBind. From then on
//! its task (`io/streams`) passes on bytes as they are (`io/splice`): it holds 16 KiB at most in each direction, and
//! who reads slowly slows down who sends.
//!
//! # What it deliberately does not do
//!
//! - **Remember strangers.** A request without good credentials leaves nothing behind but a counter in a table of fixed
//!   size, and its answer is smaller than twice the request, whose sender may be forged. A DTLS handshake begins when
//!   its client has shown a cookie that it got at its address.
//! - **Relay elsewhere.** A peer that is neither a media address of this server nor named by the operator is refused
//!   with 403, in every spelling of its address; so is one whose address is special, unless it is named as such.
//! - **Know users.** Credentials carry all that it needs; who may have some is decided elsewhere.
//! - **Offer anonymous usernames** (RFC 8489 §9.2, USERHASH): its usernames can't be looked up by their hash.
//! - **Relay TCP to media**, which has none here: without other peers, an Allocate for TCP is refused with 442.
//! - **Complain about datagrams.** What is malformed or unexpected is counted in [`Stats`] and dropped, and so are ICMP
//!   errors (RFC 8656 §11.5 leaves them open).

mod address;
mod allocation;
mod auth;
mod config;
mod dtls;
mod framing;
#[cfg(fuzzing)]
pub mod fuzz;
mod io;
mod peer_connections;
mod peers;
mod quota;
mod recent_deletions;
mod refusal;
mod request;
mod response;
mod server;
mod stats;
#[cfg(test)]
mod test_now;

pub use address::{ClientAddr, Transport};
pub use auth::credentials::{Credentials, credentials};
pub use config::{Config, Mistake, Secret};
pub use dtls::{DtlsEvent, DtlsIdentity, DtlsOutput, DtlsSessions, UnfitKey};
pub use io::{Datagram, DtlsListener, Handle, Listeners, Mailbox, Stream, mailbox, run};
pub use peer_connections::PeerConnectionId;
pub use peers::{BadRule, Path, PeerRule};
pub use server::{Command, Server, ToPeer, Transmit};
pub use stats::{Refused, Stats};
