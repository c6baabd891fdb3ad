//! Paths, which identify where datagrams come from and go to, and the demultiplexer (RFC 7983).

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

/// The two ends of a transport, as ICE sees them. The variant is part of the identity: a datagram from the relay can't
/// be mistaken for one from the network with the same address, or vice versa.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// A UDP address on the network, and the address of this host that it reaches. ICE answers from the address that a
    /// check arrived at (RFC 8445 §7.2.5.2.1), and a NAT lets nothing else in. `None` if the socket has only one
    /// address, or the system doesn't report it.
    Udp(SocketAddr, Option<IpAddr>),
    /// The relayed transport address of an allocation at the bundled TURN server.
    Relay(SocketAddr),
    /// A TCP connection from this address. A later connection from the same address is a different path.
    Tcp(ConnectionId, SocketAddr),
}

/// Identifies a TCP connection of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionId(pub(crate) u32);

impl Path {
    /// The transport address in a STUN response (XOR-MAPPED-ADDRESS).
    pub(crate) fn addr(self) -> SocketAddr {
        match self {
            Path::Udp(addr, _) | Path::Relay(addr) | Path::Tcp(_, addr) => addr,
        }
    }
}

/// Hashes only the remote address, because each received datagram is looked up by path. Few paths differ only in the
/// rest: at most as many as this host has addresses.
impl Hash for Path {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.addr().hash(state);
    }
}

/// The address as its owner knows it: without the prefix of an IPv4-mapped address (RFC 4291 §2.5.5.2), which IPv4
/// clients have at an IPv6 socket. Link-local addresses keep their scope, which is needed to send there.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), addr.port()),
        IpAddr::V6(_) => addr,
    }
}

/// The protocols that share the media port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
}

/// Demultiplexes a datagram by its first byte (RFC 7983 §7), and RTCP by the second (RFC 5761 §4).
pub(crate) fn demux(datagram: &[u8]) -> Option<Protocol> {
    match *datagram.first()? {
        0..=3 => Some(Protocol::Stun),
        20..=63 => Some(Protocol::Dtls),
        128..=191 => match *datagram.get(1)? {
            192..=223 => Some(Protocol::Rtcp),
            _ => Some(Protocol::Rtp),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_ipv4_and_link_local_ones_keep_their_scope() {
        let mapped = "[::ffff:192.0.2.1]:9".parse().unwrap();
        assert_eq!(canonical(mapped), SocketAddr::from(([192, 0, 2, 1], 9)));
        let link_local = "[fe80::1%3]:9".parse().unwrap();
        assert_eq!(canonical(link_local), link_local);
    }

    #[test]
    fn the_first_bytes_determine_the_protocol() {
        for (datagram, protocol) in [
            (&[0u8, 1][..], Some(Protocol::Stun)),
            (&[22, 254], Some(Protocol::Dtls)),
            (&[0x80, 96], Some(Protocol::Rtp)),
            (&[0x80, 96 | 0x80], Some(Protocol::Rtp)),
            (&[0x80, 200], Some(Protocol::Rtcp)),
            (&[0x81, 206], Some(Protocol::Rtcp)),
            (&[64, 0], None),
            (&[255, 0], None),
            (&[0x80], None),
            (&[], None),
        ] {
            assert_eq!(demux(datagram), protocol, "{datagram:?}");
        }
    }
}
