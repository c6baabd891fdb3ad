//! The STUN and TURN URLs that clients get (RFC 7064, RFC 7065).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The addresses at which TURN is served.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    /// The addresses at which clients reach `udp` and `tcp`: at most one of each family.
    pub(super) hosts: Vec<IpAddr>,
    pub(super) udp: SocketAddr,
    /// Has the port of `udp`, unless the system chose the ports.
    pub(super) tcp: SocketAddr,
    /// TURN over TLS at a port of its own.
    pub(super) tls: Option<SocketAddr>,
    /// TURN over DTLS at the port of `tls`. `None` if the key of the certificate does not suit DTLS.
    pub(super) dtls: Option<SocketAddr>,
    /// The port at which clients reach `udp` and `tcp`, if it is not the sockets' own.
    pub(super) public_port: Option<u16>,
    /// The port at which clients reach `tls` and `dtls`, if it is not the sockets' own.
    pub(super) tls_public_port: Option<u16>,
}

/// TURN over TLS at the port of HTTPS.
#[derive(Clone, Debug)]
pub(super) struct AtHttps {
    /// The host name in the certificate, also used for the other ports of TLS and DTLS.
    pub(super) host: String,
    /// The port at which clients reach it.
    pub(super) port: u16,
}

impl Reached {
    /// The STUN URLs, which need no credentials: one for each of `hosts`.
    pub(super) fn stun(&self) -> Vec<String> {
        self.hosts.iter().map(|host| format!("stun:{}", self.plain(*host, self.udp))).collect()
    }

    /// The TURN URLs, the preferred one first.
    ///
    /// Together with [`Reached::stun`], there are three URLs for each of `hosts` and three over TLS and DTLS: at most
    /// nine, and four on a server with HTTPS and an address of one family. Browsers try each URL, and Firefox warns from
    /// five on that this takes time, so a URL is included only if it leads to a listener that no other URL leads to.
    pub(super) fn turn(&self, at_https: Option<&AtHttps>) -> Vec<String> {
        let plain = self.hosts.iter().flat_map(|host| {
            let (udp, tcp) = (self.plain(*host, self.udp), self.plain(*host, self.tcp));
            [format!("turn:{udp}?transport=udp"), format!("turn:{tcp}?transport=tcp")]
        });
        plain.chain(at_https.into_iter().flat_map(|at| self.secure(at))).collect()
    }

    fn plain(&self, host: IpAddr, at: SocketAddr) -> SocketAddr {
        SocketAddr::new(host, self.public_port.unwrap_or(at.port()))
    }

    fn secure(&self, AtHttps { host, port }: &AtHttps) -> impl Iterator<Item = String> {
        let host = match host.parse::<Ipv6Addr>() {
            Ok(ip) => format!("[{ip}]"),
            Err(_) => host.clone(),
        };
        let reached = |at: SocketAddr| self.tls_public_port.unwrap_or(at.port());
        let dtls = self.dtls.map(|at| (reached(at), "udp"));
        let tls = self.tls.map(|at| (reached(at), "tcp"));
        let all = [dtls, tls, Some((*port, "tcp"))].into_iter().flatten();
        all.map(move |(port, transport)| format!("turns:{host}:{port}?transport={transport}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listener_is_told_with_the_port_that_leads_there() {
        let one = reached("203.0.113.7");
        let with_tls = Reached { tls: Some(at(5349)), ..one.clone() };
        let with_both = Reached { dtls: Some(at(5350)), ..with_tls.clone() };
        let mapped = Reached {
            public_port: Some(40_000),
            tls_public_port: Some(50_000),
            ..with_both.clone()
        };
        let both_families = reached("2001:db8::7,203.0.113.7");
        let table = [
            (
                &one,
                None,
                "stun:203.0.113.7:3478",
                "turn:203.0.113.7:3478?transport=udp turn:203.0.113.7:3479?transport=tcp",
            ),
            (
                &both_families,
                None,
                "stun:[2001:db8::7]:3478 stun:203.0.113.7:3478",
                "turn:[2001:db8::7]:3478?transport=udp turn:[2001:db8::7]:3479?transport=tcp \
                 turn:203.0.113.7:3478?transport=udp turn:203.0.113.7:3479?transport=tcp",
            ),
            (
                &one,
                Some("meet.example"),
                "stun:203.0.113.7:3478",
                "turn:203.0.113.7:3478?transport=udp turn:203.0.113.7:3479?transport=tcp \
                 turns:meet.example:443?transport=tcp",
            ),
            (
                &with_tls,
                Some("203.0.113.7"),
                "stun:203.0.113.7:3478",
                "turn:203.0.113.7:3478?transport=udp turn:203.0.113.7:3479?transport=tcp \
                 turns:203.0.113.7:5349?transport=tcp turns:203.0.113.7:443?transport=tcp",
            ),
            (
                &with_both,
                Some("2001:db8::7"),
                "stun:203.0.113.7:3478",
                "turn:203.0.113.7:3478?transport=udp turn:203.0.113.7:3479?transport=tcp \
                 turns:[2001:db8::7]:5350?transport=udp turns:[2001:db8::7]:5349?transport=tcp \
                 turns:[2001:db8::7]:443?transport=tcp",
            ),
            (
                &mapped,
                Some("meet.example"),
                "stun:203.0.113.7:40000",
                "turn:203.0.113.7:40000?transport=udp turn:203.0.113.7:40000?transport=tcp \
                 turns:meet.example:50000?transport=udp turns:meet.example:50000?transport=tcp \
                 turns:meet.example:443?transport=tcp",
            ),
            // The certificate names no host.
            (
                &with_both,
                None,
                "stun:203.0.113.7:3478",
                "turn:203.0.113.7:3478?transport=udp turn:203.0.113.7:3479?transport=tcp",
            ),
            // TURN listens at no address that clients get.
            (&reached(""), Some("meet.example"), "", "turns:meet.example:443?transport=tcp"),
        ];
        for (reached, host, stun, turn) in table {
            let at_https = host.map(|host| AtHttps { host: host.to_owned(), port: 443 });

            let told = (reached.stun().join(" "), reached.turn(at_https.as_ref()).join(" "));

            assert_eq!(told, (stun.to_owned(), turn.to_owned()), "{reached:?} {host:?}");
        }
    }

    fn reached(hosts: &str) -> Reached {
        let hosts = hosts.split(',').filter(|host| !host.is_empty());
        Reached {
            hosts: hosts.map(|host| host.parse().unwrap()).collect(),
            udp: at(3478),
            tcp: at(3479),
            tls: None,
            dtls: None,
            public_port: None,
            tls_public_port: None,
        }
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([0, 0, 0, 0], port))
    }
}
