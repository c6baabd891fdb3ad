//! The URL of the web client for a browser on this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::Http;

/// The URL at which a browser on this machine reaches a server that listens on `listen`.
pub(crate) fn url_here(http: &Http, listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        // Browsers grant camera and microphone only to pages from a loopback address or over HTTPS.
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let scheme = if http.tls.cert.is_some() { "https" } else { "http" };
    format!("{scheme}://{}/", SocketAddr::new(ip, listen.port()))
}
