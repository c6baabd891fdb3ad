//! The relayed transport addresses of an allocation: one of either family, or one of each (RFC 8656 §7.2).

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

use turn_types::AddressFamily;

/// One or two relayed addresses; at least one is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Relayed {
    v4: Option<SocketAddrV4>,
    v6: Option<SocketAddrV6>,
}

impl Relayed {
    pub(crate) fn new(addr: SocketAddr) -> Relayed {
        Relayed { v4: None, v6: None }.with(addr)
    }

    /// Adds an address, or replaces the one of its family.
    pub(crate) fn with(mut self, addr: SocketAddr) -> Relayed {
        match addr {
            SocketAddr::V4(addr) => self.v4 = Some(addr),
            SocketAddr::V6(addr) => self.v6 = Some(addr),
        }
        self
    }

    /// Removes the address of a family; `None` when no address would be left.
    pub(crate) fn without(mut self, family: AddressFamily) -> Option<Relayed> {
        match family {
            AddressFamily::IPV4 => self.v4 = None,
            AddressFamily::IPV6 => self.v6 = None,
        }
        (self.v4.is_some() || self.v6.is_some()).then_some(self)
    }

    pub(crate) fn of(self, family: AddressFamily) -> Option<SocketAddr> {
        match family {
            AddressFamily::IPV4 => self.v4.map(SocketAddr::V4),
            AddressFamily::IPV6 => self.v6.map(SocketAddr::V6),
        }
    }

    /// The relayed address of the peer's family.
    pub(crate) fn towards(self, peer: IpAddr) -> Option<SocketAddr> {
        self.of(crate::address::family(peer))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = SocketAddr> {
        [self.v4.map(SocketAddr::V4), self.v6.map(SocketAddr::V6)].into_iter().flatten()
    }
}
