//! The addresses that each worker listens on, and the ICE candidates that clients get.

use std::io;
use std::net::SocketAddr;

use super::config::{Config, StartError};
use super::socket::MediaSocket;
use super::tcp::TcpSocket;
use crate::transport::ice::Candidate;

/// The bound sockets of one worker.
pub(super) struct Opened {
    pub(super) udp: MediaSocket,
    pub(super) tcp: TcpSocket,
    /// The first UDP candidate, by which relays identify the worker.
    pub(super) media_address: SocketAddr,
    /// The first TCP candidate.
    pub(super) media_tcp_address: SocketAddr,
    /// In order of preference.
    pub(super) candidates: Vec<Candidate>,
}

impl Opened {
    /// Binds the sockets of worker `number`.
    pub(super) fn open(config: &Config, number: usize) -> Result<Opened, StartError> {
        let listen = config.listen;
        let at = |port| Ok(SocketAddr::new(listen.ip(), worker_port(port, number)?));
        let udp = at(listen.port()).and_then(MediaSocket::bind).map_err(StartError::Udp)?;
        let tcp = at(config.tcp_port).and_then(TcpSocket::bind).map_err(StartError::Tcp)?;
        let (udp_at, tcp_at) = (udp.local_addr(), tcp.local_addr());
        let ips = match config.public_ips.as_slice() {
            [] => vec![udp_at.ip()],
            configured => configured.to_vec(),
        };
        if ips.iter().any(|ip| ip.is_unspecified()) {
            let text = format!(
                "{udp_at} can't be a candidate: configure the public address of the media port"
            );
            let error = io::Error::new(io::ErrorKind::InvalidInput, text);
            return Err(StartError::Udp(error));
        }
        let udp_candidates =
            ips.iter().map(|ip| Candidate::Udp(SocketAddr::new(*ip, udp_at.port())));
        let tcp_candidates =
            ips.iter().map(|ip| Candidate::Tcp(SocketAddr::new(*ip, tcp_at.port())));
        let shared = config.shared_tcp.iter().copied().map(Candidate::Tcp);
        let candidates = udp_candidates.chain(tcp_candidates).chain(shared).collect();
        let media_address = SocketAddr::new(ips[0], udp_at.port());
        let media_tcp_address = SocketAddr::new(ips[0], tcp_at.port());
        Ok(Opened { udp, tcp, media_address, media_tcp_address, candidates })
    }
}

fn worker_port(first: u16, number: usize) -> io::Result<u16> {
    if first == 0 {
        return Ok(0);
    }
    let port = usize::from(first) + number;
    u16::try_from(port).map_err(|_| {
        let text = format!(
            "the media port of worker {number} would be {port}, but the highest port is 65535"
        );
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })
}
