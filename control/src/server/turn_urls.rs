//! By which URLs clients are told of TURN (RFC 7064, RFC 7065).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Where TURN is served.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    /// Where clients find `udp` and `tcp`: at most one address of each family.
    pub(super) hosts: Vec<IpAddr>,
    pub(super) udp: SocketAddr,
    /// The same port, unless that was chosen by the system.
    pub(super) tcp: SocketAddr,
    /// Inside TLS, at a port of its own.
    pub(super) tls: Option<SocketAddr>,
    /// Inside DTLS, at the port of `tls`. None when the certificate's key is none for it.
    pub(super) dtls: Option<SocketAddr>,
    /// The port that clients reach `udp` and `tcp` at, if it is not the sockets' own.
    pub(super) public_port: Option<u16>,
    /// The same of `tls` and `dtls`.
    pub(super) tls_public_port: Option<u16>,
}

/// TURN at the port of HTTPS.
#[derive(Clone, Debug)]
pub(super) struct AtHttps {
    /// The certificate's name, which holds at the other ports of TLS and DTLS, too.
    pub(super) host: String,
    /// The port that clients reach.
    pub(super) port: u16,
}

impl Reached {
    /// Of those that need no credentials, one for each of `hosts`.
    pub(super) fn stun(&self) -> Vec<String> {
        self.hosts.iter().map(|host| format!("stun:{}", self.plain(*host, self.udp))).collect()
    }

    /// Of TURN, the preferred first.
    ///
    /// With [`Reached::stun`], three for each of `hosts`, and three inside TLS and DTLS: nine at most, four on a server with
    /// HTTPS and an address of one family. Browsers try each, and Firefox warns from five on that this takes time, so an
    /// address is told only if it leads to a listener that no other leads to.
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
            // Nobody listens at an address that clients are told.
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
