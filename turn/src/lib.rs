//! A TURN and STUN server (RFC 8656, RFC 8489, RFC 6062) for clients whose network blocks every other path.
//!
//! It relays to this server's media engine, which runs in the same process. A relayed transport address therefore needs
//! no socket: it is the relay address and a port number that identifies the allocation. Only when the operator allows
//! peers other than media does each allocation get a socket.
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
//! - [`Server`] decides; it has no sockets and no clocks. [`Config`] holds the operator's settings, [`Stats`] the
//!   server's counters.
//! - [`DtlsSessions`] sit between the server and clients that connect by DTLS, also without sockets and clocks.
//! - [`run`] is the shell around them: it serves the [`Listeners`] and a [`Mailbox`], to which the media engine sends
//!   through a [`Handle`].
//! - [`credentials`] creates a client's username, which contains the expiry time and the user, and its password.
//! - [`PeerRule`] names peers other than media.
//!
//! # The journey of a datagram
//!
//! `server` looks at the first byte. ChannelData and Send indications go through `server/relay`: `allocation/table`
//! finds the client's allocation, `allocation` checks the permission and the channel, `peers` checks the peer, and the
//! payload is returned as a slice of the input. Requests go through `server/requests`: `auth` identifies the user (with
//! `auth/nonce` and `auth/credentials`, both stateless), `request` parses, `allocation/table` grants or refuses, and
//! `response` writes the answer. When an allocation needs a socket, `server/opening` holds the answer back until the
//! shell has bound it. Datagrams from and to DTLS clients also pass through `dtls`.
//!
//! # The journey of a connection
//!
//! When the operator allows peers other than media, clients that connect by TCP or TLS may allocate relayed addresses
//! for TCP (RFC 6062). Their requests end in `server/connections`, which owns `peer_connections`; the shell listens for
//! peers and connects to them (`io/peer_connections`). For each peer the client opens another connection and sends a
//! ConnectionBind on it. From then on its task (`io/streams`) copies bytes unchanged (`io/splice`). It buffers at most
//! 16 KiB in each direction, so a slow reader slows down the sender (back-pressure).
//!
//! # Layers
//!
//! Modules import only from layers below their own:
//!
//! ```text
//! io                                   sockets and clocks
//! server                               decisions
//! request                              parsed requests
//! peer_connections                     connections to TCP peers (RFC 6062)
//! response                             answers
//! allocation, auth                     state, and stateless authentication
//! config, dtls
//! peers, quota, recent_deletions, stats
//! address, framing, refusal
//! ```
//!
//! # What it deliberately does not do
//!
//! - **Remember unauthenticated clients.** A request without valid credentials leaves nothing behind but a counter in a
//!   table of fixed size (a rate limit per network). Because its source address may be forged, its answer is smaller
//!   than twice the request. A DTLS handshake begins only after the client has echoed a cookie sent to its address.
//! - **Relay elsewhere.** A peer that is neither a media address of this server nor allowed by the operator is refused
//!   with 403, in every spelling of its address. So is a peer in a special-purpose address range, unless a rule names
//!   it.
//! - **Know users.** Credentials carry everything it needs; other code decides who gets them.
//! - **Offer anonymous usernames** (RFC 8489 §9.2, USERHASH): its usernames can't be looked up by their hash.
//! - **Relay TCP to media**: media has no TCP here. Without other peers, an Allocate for TCP is refused with 442.
//! - **Report bad datagrams.** Malformed and unexpected datagrams, and ICMP errors (RFC 8656 §11.5 makes handling them
//!   optional), are counted in [`Stats`] and dropped.

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

pub use address::{ClientAddr, Transport, client_network};
pub use auth::credentials::{Credentials, credentials};
pub use config::{Config, Mistake, Secret};
pub use dtls::{DtlsEvent, DtlsIdentity, DtlsOutput, DtlsSessions, UnfitKey};
pub use io::{Datagram, DtlsListener, Handle, Listeners, Mailbox, Stream, mailbox, run};
pub use peer_connections::PeerConnectionId;
pub use peers::{BadRule, Path, PeerRule};
pub use server::{Command, Server, ToPeer, Transmit};
pub use stats::{Refused, Stats};
