//! The configuration of the engine, and the errors that prevent its start.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::BitrateLimits;

/// The configuration of the engine.
#[derive(Clone, Debug)]
pub struct Config {
    /// The UDP address of the first worker; worker n uses the port plus n. With port 0, the system chooses a port for
    /// each.
    pub listen: SocketAddr,
    /// The TCP port of the first worker at the same address, for clients without UDP; worker n uses the port plus n.
    pub tcp_port: u16,
    /// The addresses of a listener that the engine shares with others, in order of preference. They become the last
    /// candidates. Its connections are handed over by [`Handle::accept_tcp`](super::Handle::accept_tcp).
    pub shared_tcp: Vec<SocketAddr>,
    /// The addresses in host candidates instead of `listen`'s, in order of preference; required if that is unspecified.
    /// Relays identify the engine by the first one.
    pub public_ips: Vec<IpAddr>,
    /// The number of worker threads, at least 1.
    pub workers: usize,
    /// The number of peers of a room on one worker, beyond which the room spreads to another; see
    /// [`Config::PEERS_PER_WORKER_AND_ROOM`].
    pub peers_per_worker_and_room: usize,
    /// The most that a peer may publish.
    pub bitrate_limits: BitrateLimits,
}

impl Config {
    /// A configuration of one worker at this address, with defaults for the rest: media over TCP at any free port, and no
    /// address but its own.
    pub fn at(listen: SocketAddr) -> Config {
        Config {
            listen,
            tcp_port: 0,
            shared_tcp: Vec::new(),
            public_ips: Vec::new(),
            workers: 1,
            peers_per_worker_and_room: Config::PEERS_PER_WORKER_AND_ROOM,
            bitrate_limits: BitrateLimits::default(),
        }
    }

    /// The default. This many receivers of one camera and one voice take less than a tenth of a core, and of 16 cameras
    /// about one core. With this many, the cost of one more copy of each packet for another worker is negligible.
    pub const PEERS_PER_WORKER_AND_ROOM: usize = 200;
}

/// Why the engine could not be started; the text names the address.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A UDP address can't be bound, or can't be a candidate.
    #[error(transparent)]
    Udp(io::Error),
    /// A TCP address can't be bound.
    #[error(transparent)]
    Tcp(io::Error),
    /// The system or the cryptographic library failed otherwise.
    #[error(transparent)]
    System(#[from] io::Error),
}
