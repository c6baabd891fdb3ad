//! The policy for peers: clients may reach this server's media and the peers that the operator names.
//!
//! ```text
//! a media address of this server ─────────────────────────▶ Media, in process
//! else, for the address and each IPv4 address embedded in it:
//!   a deny rule matches, or it is in a special-purpose
//!   range that no allow rule names ───────────────────────▶ refused
//! else, an allow rule matches ────────────────────────────▶ Socket
//! else ───────────────────────────────────────────────────▶ refused
//! ```

mod embedded;
mod rule;
mod special;

use std::net::{IpAddr, SocketAddr};

use crate::address::canonical;
pub use rule::{BadRule, PeerRule};

/// How a peer is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Through the media engine in this process.
    Media,
    /// Through the socket of the relayed address.
    Socket,
}

/// The policy for peers. It uses lists: a server has one media address per worker and an operator writes few rules, so
/// comparing them costs less than hashing.
#[derive(Debug)]
pub(crate) struct Peers {
    media: Vec<SocketAddr>,
    allow: Vec<PeerRule>,
    deny: Vec<PeerRule>,
}

impl Peers {
    pub(crate) fn new(media: &[SocketAddr], allow: &[PeerRule], deny: &[PeerRule]) -> Peers {
        Peers {
            media: media.iter().copied().map(canonical).collect(),
            allow: allow.to_vec(),
            deny: deny.to_vec(),
        }
    }

    /// Whether clients can reach any peer besides media.
    pub(crate) fn has_others(&self) -> bool {
        !self.allow.is_empty()
    }

    /// Whether a permission may be installed. Permissions have no port (RFC 8656 §9).
    pub(crate) fn can_permit(&self, ip: IpAddr) -> bool {
        self.media.iter().any(|media| media.ip() == ip) || self.can_reach(ip, None)
    }

    /// The path to a peer, if a datagram may be sent there. The address must be canonical.
    pub(crate) fn path_to(&self, peer: SocketAddr) -> Option<Path> {
        if self.media.contains(&peer) {
            return Some(Path::Media);
        }
        self.can_connect(peer).then_some(Path::Socket)
    }

    /// Whether a TCP connection to or from a peer may be relayed. Media has no TCP for relayed addresses. The address
    /// must be canonical.
    pub(crate) fn can_connect(&self, peer: SocketAddr) -> bool {
        peer.port() != 0 && self.can_reach(peer.ip(), Some(peer.port()))
    }

    /// Whether a peer can be reached through a socket; without a port, whether any of its ports can be reached.
    pub(crate) fn can_reach(&self, ip: IpAddr, port: Option<u16>) -> bool {
        let is_denied = |ip| self.deny.iter().any(|rule| rule.denies(ip, port));
        let mut inside = embedded::addresses(ip);
        if is_denied(ip) || inside.any(|ip| is_denied(ip) || !self.is_ordinary_or_named(ip, port)) {
            return false;
        }
        self.allow.iter().any(|rule| rule.allows(ip, port) && special::is_named(ip, rule))
    }

    fn is_ordinary_or_named(&self, ip: IpAddr, port: Option<u16>) -> bool {
        !special::is_special(ip)
            || self.allow.iter().any(|rule| rule.allows(ip, port) && special::is_named(ip, rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Allow rules, deny rules, peers that must be reachable, peers that must not.
    type Row = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

    #[rustfmt::skip]
    const ROWS: &[Row] = &[
        ("", "", &[], &["8.8.8.8:53", "[2001:4860::8]:53"]),
        ("8.8.8.8", "", &["8.8.8.8:1", "8.8.8.8:65535"], &["8.8.8.9:1", "8.8.8.8:0"]),
        ("192.0.2.0/24:5000-5009", "", &["192.0.2.255:5009"], &["192.0.2.1:5010", "192.0.3.0:5000"]),
        ("[2001:db8::/32]:53", "", &["[2001:db8:1::1]:53"], &["[2001:db8:1::1]:54", "[2001:db9::1]:53"]),
        ("0.0.0.0/0", "8.8.8.0/24", &["9.9.9.9:1"], &["8.8.8.8:1"]),
        ("8.8.8.8", "8.8.8.8", &[], &["8.8.8.8:1"]),
        ("0.0.0.0/0", "0.0.0.0/0:1-1023", &["9.9.9.9:1024"], &["9.9.9.9:1023"]),
        (
            "0.0.0.0/0,::/0",
            "",
            &["9.9.9.9:1", "[2606::1]:1"],
            &[
                "127.0.0.1:1", "127.255.255.254:1", "0.0.0.0:1", "0.1.2.3:1", "10.0.0.1:1", "172.16.0.1:1",
                "172.31.255.255:1", "192.168.0.1:1", "100.64.0.1:1", "100.127.255.255:1", "169.254.0.1:1",
                "169.254.169.254:80", "100.100.100.200:80", "192.0.0.192:80", "224.0.0.1:1", "239.255.255.255:1",
                "240.0.0.1:1", "255.255.255.255:1", "198.18.0.1:1",
                "[::]:1", "[::1]:1", "[fe80::1]:1", "[fec0::1]:1", "[ff02::1]:1", "[fc00::1]:1", "[fd00:ec2::254]:80",
                "[fd20:ce::254]:80", "[100::1]:1",
                // Embedded IPv4: compatible, NAT64 of both kinds, 6to4, Teredo's server and client, ISATAP.
                "[::127.0.0.1]:1", "[::10.0.0.1]:1", "[64:ff9b::127.0.0.1]:1", "[64:ff9b::a9fe:a9fe]:1",
                "[64:ff9b:1::10.0.0.1]:1", "[64:ff9b:1:a00:0:100::]:1", "[64:ff9b:1:a:0:1::]:1",
                "[2002:7f00:1::1]:1", "[2002:a9fe:a9fe::1]:1", "[2001:0:a00:1::5601:203]:1",
                "[2001:0:909:909::f5ff:fffe]:1", "[2606::5efe:10.0.0.1]:1", "[2606::200:5efe:10.0.0.1]:1",
            ],
        ),
        // A rule that lies within the special-purpose range names the address.
        ("10.1.0.0/16", "", &["10.1.2.3:1"], &["10.2.0.1:1"]),
        ("127.0.0.1", "", &["127.0.0.1:1"], &["127.0.0.2:1", "[64:ff9b::127.0.0.1]:1"]),
        ("::1", "", &["[::1]:1"], &["[::2]:1", "127.0.0.1:1"]),
        ("169.254.0.0/16", "", &["169.254.1.1:1"], &["169.254.169.254:80"]),
        ("169.254.169.254", "", &["169.254.169.254:80"], &[]),
        ("0.0.0.0/0,fd00::/8", "", &["[fd12::1]:1"], &["[fd00:ec2::254]:80"]),
        ("::/0,10.0.0.1", "", &["10.0.0.1:1", "[64:ff9b::10.0.0.1]:1"], &["[64:ff9b::10.0.0.2]:1"]),
        ("64:ff9b::/96", "9.9.9.9", &["[64:ff9b::9.9.9.8]:1"], &["[64:ff9b::9.9.9.9]:1"]),
        ("9.9.9.9", "", &["9.9.9.9:1"], &["[64:ff9b::9.9.9.9]:1"]),
        ("64:ff9b:1::/48", "9.9.9.9", &["[64:ff9b:1::9.9.9.8]:1"], &["[64:ff9b:1::9.9.9.9]:1", "[64:ff9b:1:909:9:900::]:1"]),
    ];

    #[test]
    fn deny_wins_and_special_addresses_must_be_named() {
        for (allow, deny, reached, refused) in ROWS {
            let peers = Peers::new(&[], &rules(allow), &rules(deny));
            for peer in *reached {
                let peer: SocketAddr = peer.parse().unwrap();
                assert_eq!(peers.path_to(peer), Some(Path::Socket), "{allow} {deny} {peer}");
                assert!(peers.can_permit(peer.ip()), "{allow} {deny} {peer}");
            }
            for peer in *refused {
                let peer: SocketAddr = peer.parse().unwrap();
                assert_eq!(peers.path_to(peer), None, "{allow} {deny} {peer}");
            }
        }
    }

    #[test]
    fn a_permission_needs_one_port_that_can_be_reached() {
        let peers = Peers::new(&[], &rules("192.0.2.1:53"), &rules("192.0.2.1:1-10"));

        assert!(peers.can_permit("192.0.2.1".parse().unwrap()));
        assert!(!peers.can_permit("192.0.2.2".parse().unwrap()));
        let peers = Peers::new(&[], &rules("192.0.2.1:53"), &rules("192.0.2.1"));
        assert!(!peers.can_permit("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn media_needs_no_rule_and_no_rule_takes_it_away() {
        let media: SocketAddr = "127.0.0.1:5004".parse().unwrap();
        let peers = Peers::new(&[media], &[], &rules("0.0.0.0/0"));

        assert_eq!(peers.path_to(media), Some(Path::Media));
        assert!(peers.can_permit(media.ip()));
        assert_eq!(peers.path_to("127.0.0.1:5005".parse().unwrap()), None);
    }

    fn rules(text: &str) -> Vec<PeerRule> {
        text.split(',').filter(|rule| !rule.is_empty()).map(|rule| rule.parse().unwrap()).collect()
    }
}
