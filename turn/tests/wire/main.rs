//! The server as seen from the wire: bytes in, bytes out, and a clock that the tests advance. Only `five_tuple`,
//! `sockets`, `tcp_sockets` and `translated` use real sockets and clocks.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in the functions it calls as well"
)]

mod dtls;
mod families;
mod five_tuple;
mod hostile;
mod lifetimes;
mod peers;
mod relaying;
mod rules;
mod sockets;
mod tcp_relay;
mod tcp_rules;
mod tcp_sockets;
mod translated;
mod vectors;
mod world;
