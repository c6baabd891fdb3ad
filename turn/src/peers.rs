//! Whom a client may reach: this server's media, and nobody else.

use std::net::{IpAddr, SocketAddr};

use crate::address::canonical;

/// The policy for peers. A list, because a server has one media address for each worker, and comparing a few addresses
/// costs less than a hash.
#[derive(Debug)]
pub(crate) struct Peers {
    media: Vec<SocketAddr>,
}

impl Peers {
    pub(crate) fn new(media: &[SocketAddr]) -> Peers {
        Peers { media: media.iter().copied().map(canonical).collect() }
    }

    /// Whether a permission may be installed; permissions know no ports (RFC 8656 §9).
    pub(crate) fn can_permit(&self, ip: IpAddr) -> bool {
        self.media.iter().any(|media| media.ip() == ip)
    }

    /// Whether a datagram may go there.
    pub(crate) fn can_relay_to(&self, peer: SocketAddr) -> bool {
        self.media.contains(&peer)
    }
}
