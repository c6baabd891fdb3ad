//! Transport addresses: a client's 5-tuple, and one canonical form per address.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use stun_types::AddressFamily;

/// A client, identified by its 5-tuple (RFC 8656 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientAddr {
    /// The protocol that carries its messages.
    pub transport: Transport,
    /// The client's own address, as the socket reports it. Answers go to exactly this address.
    pub addr: SocketAddr,
    /// The server's address that the client sends to and that answers come from. Unspecified when the system does not
    /// report it; the system then chooses the source address.
    pub server: SocketAddr,
}

/// The protocol between a client and this server. It is independent of the protocol towards the client's peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// One message per datagram.
    Udp,
    /// A stream of messages, each with a length field.
    Tcp,
    /// A stream of messages inside TLS, which the caller terminates.
    Tls,
    /// One message per DTLS record, one record per datagram.
    Dtls,
}

impl Transport {
    /// Whether the client uses a TCP connection, which can become a data connection (RFC 6062 §5.1, §5.4).
    pub(crate) fn is_stream(self) -> bool {
        matches!(self, Transport::Tcp | Transport::Tls)
    }
}

impl ClientAddr {
    /// A client that sends UDP datagrams.
    pub fn udp(addr: SocketAddr) -> ClientAddr {
        ClientAddr::new(Transport::Udp, addr)
    }

    /// A client that uses a TCP connection.
    pub fn tcp(addr: SocketAddr) -> ClientAddr {
        ClientAddr::new(Transport::Tcp, addr)
    }

    /// A client that uses a TLS connection.
    pub fn tls(addr: SocketAddr) -> ClientAddr {
        ClientAddr::new(Transport::Tls, addr)
    }

    /// A client that sends datagrams inside DTLS.
    pub fn dtls(addr: SocketAddr) -> ClientAddr {
        ClientAddr::new(Transport::Dtls, addr)
    }

    /// Returns this client with the given server address. A different server address makes a different client.
    #[must_use]
    pub fn at(self, server: SocketAddr) -> ClientAddr {
        ClientAddr { server, ..self }
    }

    fn new(transport: Transport, addr: SocketAddr) -> ClientAddr {
        ClientAddr { transport, addr, server: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0) }
    }

    /// Both addresses as bytes, for a MAC. IPv4 and IPv4-mapped IPv6 give the same bytes.
    pub(crate) fn octets(self) -> [u8; 36] {
        let mut octets = [0; 36];
        for (to, addr) in octets.chunks_exact_mut(18).zip([self.addr, self.server]) {
            let (ip, port) = to.split_at_mut(16);
            ip.copy_from_slice(&mapped_ip(addr.ip()).octets());
            port.copy_from_slice(&addr.port().to_be_bytes());
        }
        octets
    }

    /// The address reported to the client in XOR-MAPPED-ADDRESS: IPv4 where a dual-stack socket reports IPv4-mapped
    /// IPv6.
    pub(crate) fn mapped(self) -> SocketAddr {
        canonical(self.addr)
    }

    /// See [`client_network`].
    pub fn network(self) -> IpAddr {
        client_network(self.addr.ip())
    }
}

/// The network that counts as one client for quotas: the IPv4 address, or the IPv6 /64, all of whose addresses one host can
/// use.
pub fn client_network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (!0 << 64))),
    }
}

/// Hashes the client's own address only, which distinguishes nearly all clients: every packet needs this lookup.
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

/// Converts an address of either family to IPv6 (RFC 4291 §2.5.5.2).
fn mapped_ip(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

/// The one canonical form of an address: IPv4-mapped IPv6 becomes IPv4; flow label and scope are removed.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

pub(crate) fn family(ip: IpAddr) -> AddressFamily {
    match ip {
        IpAddr::V4(_) => AddressFamily::IPV4,
        IpAddr::V6(_) => AddressFamily::IPV6,
    }
}
