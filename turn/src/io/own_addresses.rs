//! Finds out which destination addresses of received datagrams are this machine's own, so that answers can come from
//! them.

use std::net::{IpAddr, UdpSocket};

/// The maximum number of addresses to remember. Datagrams to further ones are answered from an address that the system
/// chooses.
const MOST: usize = 64;

/// The addresses checked so far.
#[derive(Debug, Default)]
pub(super) struct OwnAddresses {
    looked_at: Vec<(IpAddr, bool)>,
}

impl OwnAddresses {
    /// Whether answers can come from an address. A broadcast also reaches this machine, but nothing can be sent from
    /// its address. Trying would be an error that makes the library give up GSO for all clients.
    pub(super) fn contain(&mut self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        if let Some(&(_, is_own)) = self.looked_at.iter().find(|(known, _)| *known == ip) {
            return is_own;
        }
        if self.looked_at.len() >= MOST {
            return false;
        }
        let is_own = is_own(ip);
        self.looked_at.push((ip, is_own));
        is_own
    }
}

/// Tries to bind and connect a socket, which sends nothing. A socket can be bound to a broadcast address but not
/// connected to it.
fn is_own(ip: IpAddr) -> bool {
    let connected = |socket: UdpSocket| socket.connect(socket.local_addr()?);
    !ip.is_unspecified()
        && !ip.is_multicast()
        && UdpSocket::bind((ip, 0)).and_then(connected).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_sent_from_is_own() {
        let mut own = OwnAddresses::default();
        for (ip, expected) in [
            ("127.0.0.1", true),
            ("127.0.0.2", true),
            ("::ffff:127.0.0.1", true),
            ("255.255.255.255", false),
            ("127.255.255.255", false),
            ("224.0.0.1", false),
            ("0.0.0.0", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(own.contain(ip.parse().unwrap()), expected, "{ip}");
        }
    }

    #[test]
    fn no_more_is_kept_than_a_machine_has() {
        let mut own = OwnAddresses::default();
        for last in 1..=200 {
            own.contain(IpAddr::from([127, 0, 1, last]));
        }
        assert_eq!(own.looked_at.len(), MOST);
    }
}
