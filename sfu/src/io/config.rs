//! How the engine is started, and why it may not be.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// How the engine runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the first worker listens (UDP); worker n takes the port plus n. With port 0 the system chooses each one's.
    pub listen: SocketAddr,
    /// The TCP port of the first worker at the same address, for clients without UDP; counted on likewise.
    pub tcp_port: u16,
    /// Where clients reach a listener that the engine shares with others, the preferred address first: candidates behind
    /// all others. What comes there is handed in by [`Handle::accept_tcp`](super::Handle::accept_tcp).
    pub shared_tcp: Vec<SocketAddr>,
    /// The addresses that go into host candidates in place of `listen`'s, the preferred one first; needed when that is
    /// unspecified. Relays know the engine by the first one.
    pub public_ips: Vec<IpAddr>,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// Peers of a room that one worker takes before the room spreads to another; see
    /// [`Config::PEERS_PER_WORKER_AND_ROOM`].
    pub peers_per_worker_and_room: usize,
}

impl Config {
    /// So many receivers of one camera and one voice take less than a tenth of a core, of 16 cameras about a whole one;
    /// and with so many, the one packet more for another worker doesn't count.
    pub const PEERS_PER_WORKER_AND_ROOM: usize = 200;
}

/// Why the engine could not be started; the text names the address.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A UDP address can't be had, or can't be told to clients.
    #[error(transparent)]
    Udp(io::Error),
    /// A TCP address can't be had.
    #[error(transparent)]
    Tcp(io::Error),
    /// The system or the cryptographic library refused something else.
    #[error(transparent)]
    System(#[from] io::Error),
}
