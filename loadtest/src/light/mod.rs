//! Light peers: real participants at a fraction of a browser's cost, so that one core can load another.
//!
//! They join over STOMP like full peers, and speak ICE, DTLS and SRTP. But one thread moves the media of all peers
//! through few sockets, and decrypts only a sample of the received packets. Loss is detected from the unencrypted
//! sequence numbers. Latency, and packets that the server dropped without leaving a gap, are detected from the stamps
//! of the sample.
//!
//! ```text
//! [run] → [joining] STOMP per peer → [thread] → [sockets] → [peer] → [ice] → [dtls] → [srtp]
//!                                                            ├ [publishing]  outgoing packets
//!                                                            └ [receiving], [stream], [gaps], [network]
//! ```
//! [`sockets`], [`thread`], [`process`] and [`joining`] do I/O; the others are pure.

pub mod answer;
pub mod dtls;
pub mod gaps;
pub mod ice;
pub mod joining;
pub mod network;
pub mod offer;
pub mod peer;
pub mod process;
pub mod publishing;
mod receiving;
pub mod report;
pub mod rtcp;
pub mod rtp;
pub mod run;
pub mod snapshot;
pub mod sockets;
pub mod srtp;
pub mod stream;
pub mod tally;
pub mod thread;
