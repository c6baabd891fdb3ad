<<<<<<< HEAD
//! The server seen from its wire: bytes in, bytes out, and a clock that the tests turn. Only `sockets`, `tcp_sockets` and
//! `translated` use real ones.
=======
//! The server seen from its wire: bytes in, bytes out, and a clock that the tests turn. Only `sockets`,
//! `tcp_sockets` and `five_tuple` use real ones.
>>>>>>> 8c735c3 (Know TURN's clients by both ends of their 5-tuple)
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
