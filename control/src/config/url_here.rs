//! The address of the page for a browser on this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::Http;

/// Where a browser on this machine finds a server that listens at this address.
pub(crate) fn url_here(http: &Http, listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        // Browsers give camera and microphone to pages from a loopback address or over HTTPS alone.
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let scheme = if http.tls.cert.is_some() { "https" } else { "http" };
    format!("{scheme}://{}/", SocketAddr::new(ip, listen.port()))
}
