//! The addresses that media and TURN listen on, and those that clients get.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Settings;

/// The port of TURN (RFC 8656 §3.1).
const TURN_PORT: u16 = 3478;

/// The addresses that follow from the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    /// The addresses that clients get for media, the preferred one first.
    pub(super) advertised: Vec<IpAddr>,
    /// The address that media listens on (UDP).
    pub(super) media: SocketAddr,
    /// The TCP port of media at the address of `media`.
    pub(super) media_tcp_port: u16,
    /// The address that TURN listens on (UDP and TCP).
    pub(super) turn: SocketAddr,
    /// The addresses that clients get for TURN, the preferred one first: at most one of each family that TURN listens
    /// on. The port is known after binding.
    pub(super) turn_hosts: Vec<IpAddr>,
}

impl Addresses {
    /// Without `public_ip`, media follows `http.listen`. If that is a loopback address, other machines can reach
    /// neither. If it is another address, clients get that one. If it is unspecified, they get those that
    /// `local_addresses` finds.
    pub(super) fn choose(
        settings: &Settings,
        local_addresses: impl FnOnce() -> io::Result<Vec<IpAddr>>,
    ) -> io::Result<Addresses> {
        let page = settings.http.listen.ip();
        let mut advertised = settings.media.public_ip.clone();
        if advertised.is_empty() {
            advertised = match page.is_unspecified() {
                true => local_addresses()?,
                false => vec![page],
            };
            if page == Ipv4Addr::UNSPECIFIED {
                // A page that is served only over IPv4 does not imply IPv6 for media.
                advertised.truncate(1);
            }
        }
        if advertised.is_empty() {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        // A page on loopback with a public address for media is behind a proxy, and serves other machines.
        let bind = match advertised.as_slice() {
            [only] if page.is_loopback() && only.is_loopback() => *only,
            told => unspecified(told),
        };
        let turn = settings.turn.listen.unwrap_or(SocketAddr::new(bind, TURN_PORT));
        let turn_hosts = match settings.media.public_ip.is_empty() && !turn.ip().is_unspecified() {
            true => vec![turn.ip()],
            false => first_of_families(leading_to(&advertised, turn.ip())),
        };
        let media = SocketAddr::new(bind, settings.media.udp_port);
        let media_tcp_port = settings.media.tcp_port.unwrap_or(settings.media.udp_port);
        Ok(Addresses { advertised, media, media_tcp_port, turn, turn_hosts })
    }

    /// The addresses at which clients reach media through the port of HTTPS: the advertised addresses that `listen`
    /// covers, with the public `port`.
    pub(super) fn at_https(&self, listen: SocketAddr, port: u16) -> Vec<SocketAddr> {
        let told = leading_to(&self.advertised, listen.ip());
        told.map(|ip| SocketAddr::new(ip, port)).collect()
    }

    /// The first advertised address of each family.
    pub(super) fn one_of_each_family(&self) -> Vec<IpAddr> {
        first_of_families(self.advertised.iter().copied())
    }
}

/// Returns the addresses of `told` at which clients reach a listener on `listen`.
fn leading_to(told: &[IpAddr], listen: IpAddr) -> impl Iterator<Item = IpAddr> {
    let has_both_families = listen == Ipv6Addr::UNSPECIFIED;
    let is_there = move |ip: &IpAddr| {
        let has_family = has_both_families || ip.is_ipv4() == listen.is_ipv4();
        // A listener on loopback is reached from other machines only through a proxy.
        has_family && (!listen.is_loopback() || ip.is_loopback())
    };
    told.iter().copied().filter(is_there)
}

/// The first address, and the first address of the other family.
fn first_of_families(mut ips: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let Some(first) = ips.next() else { return Vec::new() };
    let other = ips.find(|ip| ip.is_ipv4() != first.is_ipv4());
    [first].into_iter().chain(other).collect()
}

/// The unspecified address that covers the families of `told`; IPv6 sockets accept IPv4 as well.
fn unspecified(told: &[IpAddr]) -> IpAddr {
    match told.iter().all(IpAddr::is_ipv4) {
        true => Ipv4Addr::UNSPECIFIED.into(),
        false => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_decides_where_media_is() {
        // http.listen, media.public_ip, turn.listen: told, media bound, TURN bound, TURN told
        let table = [
            (
                "127.0.0.1:8080",
                "",
                "",
                "127.0.0.1",
                "127.0.0.1:5004",
                "127.0.0.1:3478",
                "127.0.0.1",
            ),
            ("[::1]:8080", "", "", "::1", "[::1]:5004", "[::1]:3478", "::1"),
            ("0.0.0.0:8080", "", "", "192.168.1.9", "0.0.0.0:5004", "0.0.0.0:3478", "192.168.1.9"),
            (
                "192.168.1.5:80",
                "",
                "",
                "192.168.1.5",
                "0.0.0.0:5004",
                "0.0.0.0:3478",
                "192.168.1.5",
            ),
            (
                "0.0.0.0:80",
                "203.0.113.7",
                "",
                "203.0.113.7",
                "0.0.0.0:5004",
                "0.0.0.0:3478",
                "203.0.113.7",
            ),
            ("[::]:80", "2001:db8::7", "", "2001:db8::7", "[::]:5004", "[::]:3478", "2001:db8::7"),
            // A proxy on the same machine ends TLS.
            (
                "127.0.0.1:80",
                "203.0.113.7",
                "",
                "203.0.113.7",
                "0.0.0.0:5004",
                "0.0.0.0:3478",
                "203.0.113.7",
            ),
            // A container whose ports are published to the loopback address of its host.
            (
                "0.0.0.0:80",
                "127.0.0.1",
                "",
                "127.0.0.1",
                "0.0.0.0:5004",
                "0.0.0.0:3478",
                "127.0.0.1",
            ),
            (
                "127.0.0.1:80",
                "",
                "127.0.0.1:0",
                "127.0.0.1",
                "127.0.0.1:5004",
                "127.0.0.1:0",
                "127.0.0.1",
            ),
            (
                "[::]:80",
                "",
                "",
                "192.168.1.9,2001:db8::9",
                "[::]:5004",
                "[::]:3478",
                "192.168.1.9,2001:db8::9",
            ),
            (
                "0.0.0.0:80",
                "2001:db8::7,203.0.113.7",
                "",
                "2001:db8::7,203.0.113.7",
                "[::]:5004",
                "[::]:3478",
                "2001:db8::7,203.0.113.7",
            ),
            (
                "0.0.0.0:80",
                "",
                "192.168.1.8:1",
                "192.168.1.9",
                "0.0.0.0:5004",
                "192.168.1.8:1",
                "192.168.1.8",
            ),
            // Clients get the TURN addresses that TURN listens on.
            (
                "0.0.0.0:80",
                "2001:db8::7,203.0.113.7",
                "0.0.0.0:3478",
                "2001:db8::7,203.0.113.7",
                "[::]:5004",
                "0.0.0.0:3478",
                "203.0.113.7",
            ),
            (
                "0.0.0.0:80",
                "2001:db8::7,203.0.113.7",
                "[::]:3478",
                "2001:db8::7,203.0.113.7",
                "[::]:5004",
                "[::]:3478",
                "2001:db8::7,203.0.113.7",
            ),
            (
                "0.0.0.0:80",
                "2001:db8::7,203.0.113.7",
                "192.168.1.8:1",
                "2001:db8::7,203.0.113.7",
                "[::]:5004",
                "192.168.1.8:1",
                "203.0.113.7",
            ),
            (
                "0.0.0.0:80",
                "2001:db8::7,203.0.113.7",
                "[fd00::8]:1",
                "2001:db8::7,203.0.113.7",
                "[::]:5004",
                "[fd00::8]:1",
                "2001:db8::7",
            ),
            (
                "[::]:80",
                "",
                "0.0.0.0:1",
                "192.168.1.9,2001:db8::9",
                "[::]:5004",
                "0.0.0.0:1",
                "192.168.1.9",
            ),
            (
                "0.0.0.0:80",
                "2001:db8::7",
                "0.0.0.0:3478",
                "2001:db8::7",
                "[::]:5004",
                "0.0.0.0:3478",
                "",
            ),
            (
                "0.0.0.0:80",
                "203.0.113.7",
                "127.0.0.1:1",
                "203.0.113.7",
                "0.0.0.0:5004",
                "127.0.0.1:1",
                "",
            ),
            // One address of each family is enough.
            (
                "0.0.0.0:80",
                "203.0.113.7,203.0.113.8,2001:db8::7,2001:db8::8",
                "",
                "203.0.113.7,203.0.113.8,2001:db8::7,2001:db8::8",
                "[::]:5004",
                "[::]:3478",
                "203.0.113.7,2001:db8::7",
            ),
        ];
        for row @ (listen, public_ip, turn, told, media_bound, turn_bound, turn_told) in table {
            let mut settings = Settings::default();
            settings.http.listen = listen.parse().unwrap();
            settings.media.public_ip = ips(public_ip);
            settings.turn.listen = turn.parse().ok();

            let chosen =
                Addresses::choose(&settings, || Ok(ips("192.168.1.9,2001:db8::9"))).unwrap();

            let expected = Addresses {
                advertised: ips(told),
                media: media_bound.parse().unwrap(),
                media_tcp_port: 5004,
                turn: turn_bound.parse().unwrap(),
                turn_hosts: ips(turn_told),
            };
            assert_eq!(chosen, expected, "{row:?}");
        }
    }

    #[test]
    fn tcp_has_the_number_of_udp_unless_it_has_its_own() {
        for (udp, tcp, chosen) in [(5004, None, 5004), (0, None, 0), (5004, Some(443), 443)] {
            let mut settings = Settings::default();
            (settings.media.udp_port, settings.media.tcp_port) = (udp, tcp);
            let addresses = Addresses::choose(&settings, || panic!("not needed")).unwrap();
            assert_eq!(addresses.media_tcp_port, chosen);
        }
    }

    #[test]
    fn media_are_at_the_port_of_https_wherever_that_listens() {
        // http.listen, the port that leads there, addresses that clients get, where media is
        let table = [
            ("0.0.0.0:443", 443, "203.0.113.7", "203.0.113.7:443"),
            ("0.0.0.0:443", 443, "2001:db8::7,203.0.113.7", "203.0.113.7:443"),
            ("[::]:8443", 8443, "2001:db8::7,203.0.113.7", "[2001:db8::7]:8443,203.0.113.7:8443"),
            ("[2001:db8::7]:443", 443, "2001:db8::7,203.0.113.7", "[2001:db8::7]:443"),
            // Behind a port mapping.
            ("192.168.1.8:8443", 443, "203.0.113.7", "203.0.113.7:443"),
            ("127.0.0.1:443", 443, "127.0.0.1", "127.0.0.1:443"),
            ("127.0.0.1:443", 443, "203.0.113.7", ""),
        ];
        for row @ (listen, port, told, expected) in table {
            let mut settings = Settings::default();
            settings.media.public_ip = ips(told);
            let addresses = Addresses::choose(&settings, || panic!("not needed")).unwrap();

            let chosen = addresses.at_https(listen.parse().unwrap(), port);

            let chosen: Vec<String> = chosen.iter().map(SocketAddr::to_string).collect();
            assert_eq!(chosen.join(","), expected, "{row:?}");
        }
    }

    fn ips(text: &str) -> Vec<IpAddr> {
        let texts = text.split(',').filter(|text| !text.is_empty());
        texts.map(|text| text.parse().unwrap()).collect()
    }
}
