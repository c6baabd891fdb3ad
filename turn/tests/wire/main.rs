//! The server seen from its wire: bytes in, bytes out, and a clock that the tests turn. Only `sockets` uses real ones.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in the functions it calls as well"
)]

mod dtls;
mod families;
mod hostile;
mod lifetimes;
mod peers;
mod relaying;
mod rules;
mod sockets;
mod vectors;
mod world;
