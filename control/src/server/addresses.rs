//! Which addresses media and TURN listen on, and which ones clients are told.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Settings;

/// The port of TURN (RFC 8656 §3.1).
const TURN_PORT: u16 = 3478;

/// What follows from the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    /// The address that clients are told for media.
    pub(super) advertised: IpAddr,
    /// Where media listens.
    pub(super) media: SocketAddr,
    /// Where TURN listens.
    pub(super) turn: SocketAddr,
    /// The address that clients are told for TURN; the port is known after binding.
    pub(super) turn_host: IpAddr,
}

impl Addresses {
    /// Without `public_ip`, media is where the page is: on the loopback address when others can't reach the page
    /// either, else on the address of the page, or on the one that `local_address` finds when the page is on all.
    pub(super) fn choose(
        settings: &Settings,
        local_address: impl FnOnce() -> io::Result<IpAddr>,
    ) -> io::Result<Addresses> {
        let page = settings.http.listen.ip();
        let advertised = match settings.media.public_ip {
            Some(public_ip) => public_ip,
            None if page.is_unspecified() => local_address()?,
            None => page,
        };
        // A loopback page behind a proxy, with a public address for media, serves the world.
        let bind = match page.is_loopback() && advertised.is_loopback() {
            true => advertised,
            false => unspecified(advertised),
        };
        let turn = settings.turn.listen.unwrap_or(SocketAddr::new(bind, TURN_PORT));
        let turn_host = match settings.media.public_ip.is_none() && !turn.ip().is_unspecified() {
            true => turn.ip(),
            false => advertised,
        };
        let media = SocketAddr::new(bind, settings.media.udp_port);
        Ok(Addresses { advertised, media, turn, turn_host })
    }
}

fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
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
                "0.0.0.0:80",
                "",
                "192.168.1.8:1",
                "192.168.1.9",
                "0.0.0.0:5004",
                "192.168.1.8:1",
                "192.168.1.8",
            ),
        ];
        for row @ (listen, public_ip, turn, told, media_bound, turn_bound, turn_told) in table {
            let mut settings = Settings::default();
            settings.http.listen = listen.parse().unwrap();
            settings.media.public_ip = public_ip.parse().ok();
            settings.turn.listen = turn.parse().ok();

            let chosen =
                Addresses::choose(&settings, || Ok("192.168.1.9".parse().unwrap())).unwrap();

            let expected = Addresses {
                advertised: told.parse().unwrap(),
                media: media_bound.parse().unwrap(),
                turn: turn_bound.parse().unwrap(),
                turn_host: turn_told.parse().unwrap(),
            };
            assert_eq!(chosen, expected, "{row:?}");
        }
    }
}
