//! Addresses, as far as their meaning differs from their bytes.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use stun_types::AddressFamily;

/// A client, by its 5-tuple (RFC 8656 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientAddr {
    /// What carries its messages.
    pub transport: Transport,
    /// Where it sends from, as the socket reports it. Answers go to exactly this address.
    pub addr: SocketAddr,
    /// Where it sends to, and answers come from. Unspecified when nobody can tell: the system chooses then.
    pub server: SocketAddr,
}

/// What carries a client's messages to this server. By which protocol its peers are reached is another matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// A message in each datagram.
    Udp,
    /// A stream of messages, each of which says how long it is.
    Tcp,
    /// Such a stream inside TLS, which somebody else has opened.
    Tls,
    /// A message in each record of DTLS, and a record in each datagram.
    Dtls,
}

impl Transport {
    /// Whether the client comes by a TCP connection, which can become one for data (RFC 6062 §5.1, §5.4).
    pub(crate) fn is_stream(self) -> bool {
        matches!(self, Transport::Tcp | Transport::Tls)
    }
}

impl ClientAddr {
    /// A client that sends datagrams.
    pub fn udp(addr: SocketAddr) -> ClientAddr {
        ClientAddr::new(Transport::Udp, addr)
    }

    /// A client at the other end of a connection.
    pub fn tcp(addr: SocketAddr) -> ClientAddr {
        ClientAddr::new(Transport::Tcp, addr)
    }

    /// A client at the other end of a TLS connection.
    pub fn tls(addr: SocketAddr) -> ClientAddr {
        ClientAddr::new(Transport::Tls, addr)
    }

    /// A client that sends datagrams inside DTLS.
    pub fn dtls(addr: SocketAddr) -> ClientAddr {
        ClientAddr::new(Transport::Dtls, addr)
    }

    /// The same client at this address of the server: at another, it is another client.
    #[must_use]
    pub fn at(self, server: SocketAddr) -> ClientAddr {
        ClientAddr { server, ..self }
    }

    fn new(transport: Transport, addr: SocketAddr) -> ClientAddr {
        ClientAddr { transport, addr, server: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0) }
    }

    /// Both ends as bytes, for a MAC: each address in one spelling.
    pub(crate) fn octets(self) -> [u8; 36] {
        let mut octets = [0; 36];
        for (to, addr) in octets.chunks_exact_mut(18).zip([self.addr, self.server]) {
            let (ip, port) = to.split_at_mut(16);
            ip.copy_from_slice(&mapped_ip(addr.ip()).octets());
            port.copy_from_slice(&addr.port().to_be_bytes());
        }
        octets
    }

    /// What the client is told about itself: without the IPv6 disguise of a dual-stack socket.
    pub(crate) fn mapped(self) -> SocketAddr {
        canonical(self.addr)
    }

    /// What counts as one client for quotas: an IPv4 address, or the /64 that an IPv6 host owns anyway.
    pub fn network(self) -> IpAddr {
        match self.addr.ip().to_canonical() {
            IpAddr::V4(ip) => IpAddr::V4(ip),
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (!0 << 64))),
        }
    }
}

/// By its own end alone, which tells nearly all clients apart: each packet is looked up by it.
impl Hash for ClientAddr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.transport.hash(state);
        self.addr.hash(state);
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Dtls => "dtls",
        };
        write!(f, "{}/{transport}", self.addr)
    }
}

/// An address of either family as one of IPv6 (RFC 4291 §2.5.5.2).
fn mapped_ip(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

/// One spelling per address: IPv4-mapped IPv6 becomes IPv4, flow label and scope go.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

pub(crate) fn family(ip: IpAddr) -> AddressFamily {
    match ip {
        IpAddr::V4(_) => AddressFamily::IPV4,
        IpAddr::V6(_) => AddressFamily::IPV6,
    }
}
