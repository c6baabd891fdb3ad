//! The server's sockets and its wall clock.
#![expect(
    clippy::disallowed_methods,
    reason = "this module opens the server's sockets and reads the wall clock"
)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::SystemTime;

use anyhow::anyhow;
use madang_turn::Listeners;
use tokio::net::{TcpListener, TcpSocket};

use crate::config::variable;

/// The maximum number of connections that wait to be accepted; the system may allow fewer. A burst beyond it waits for a
/// second, the timeout of a SYN.
const BACKLOG: u32 = 4096;

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted server must not wait until the connections of the one before are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Binds a TCP listener for the key `http.listen`.
pub(super) async fn listen_tcp(address: SocketAddr) -> anyhow::Result<TcpListener> {
    bind_tcp(address).map_err(|error| {
        explain(
            error,
            format!("HTTP can't listen on {address}"),
            &format!("--listen, {} or the key `http.listen`", variable("http.listen")),
        )
    })
}

/// Binds a TCP listener for the key `stomp.tcp_listen`.
pub(super) async fn listen_stomp(address: SocketAddr) -> anyhow::Result<TcpListener> {
    bind_tcp(address).map_err(|error| {
        let setting = variable("stomp.tcp_listen");
        explain(
            error,
            format!("STOMP can't listen on {address}/tcp"),
            &format!("--set stomp.tcp_listen=…, {setting} or the key `stomp.tcp_listen`"),
        )
    })
}

/// Binds a UDP socket and a TCP listener for the key `turn.listen`.
pub(super) async fn listen_turn(address: SocketAddr) -> anyhow::Result<Listeners> {
    let refused = |protocol: &str, error| {
        explain(
            error,
            format!("TURN can't listen on {address}/{protocol}"),
            &format!(
                "--set turn.listen=…, {} or the key `turn.listen` (or turn it off: --set turn.enabled=false)",
                variable("turn.listen"),
            ),
        )
    };
    let udp = tokio::net::UdpSocket::bind(address).await.map_err(|error| refused("udp", error))?;
    let tcp = bind_tcp(address).map_err(|error| refused("tcp", error))?;
    Ok(Listeners { udp, tcp, dtls: None })
}

/// Binds the sockets for the key `turn.tls_listen`: a TCP listener for TLS and, if `has_dtls`, a UDP socket for DTLS.
pub(super) async fn listen_turn_tls(
    address: SocketAddr,
    has_dtls: bool,
) -> anyhow::Result<(TcpListener, Option<tokio::net::UdpSocket>)> {
    let refused = |protocol: &str, error| {
        explain(
            error,
            format!("TURN over TLS and DTLS can't listen on {address}/{protocol}"),
            &format!(
                "--set turn.tls_listen=…, {} or the key `turn.tls_listen`",
                variable("turn.tls_listen"),
            ),
        )
    };
    let tcp = bind_tcp(address).map_err(|error| refused("tcp", error))?;
    if !has_dtls {
        return Ok((tcp, None));
    }
    let udp = tokio::net::UdpSocket::bind(address).await.map_err(|error| refused("udp", error))?;
    Ok((tcp, Some(udp)))
}

/// Says why an address could not be bound, and how to choose another one. `what` names the listener and the address.
pub(super) fn explain(error: io::Error, what: String, setting: &str) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::AddrInUse => anyhow!(
            "{what}: another program uses that port. Stop it, or choose another port with {setting}"
        ),
        io::ErrorKind::PermissionDenied => {
            anyhow!(
                "{what}: this user may not bind that port. Give the program the capability CAP_NET_BIND_SERVICE \
                 (systemd: AmbientCapabilities=, a file: `setcap cap_net_bind_service=+ep`), \
                 or choose a port above 1023 with {setting}"
            )
        }
        io::ErrorKind::AddrNotAvailable => anyhow!(
            "{what}: this machine does not have that address. Choose one of its own with {setting}"
        ),
        _ => anyhow!("{what}: {error}. Choose another address with {setting}"),
    }
}

/// The source addresses of this machine's routes to the internet, at least one. Nothing is sent: connecting a UDP
/// socket only looks up the route. The destinations are reserved for documentation (RFC 5737, RFC 3849).
pub(super) fn local_addresses() -> io::Result<Vec<IpAddr>> {
    let v4 = SocketAddr::from(([192, 0, 2, 1], 9));
    let v6 = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9));
    let v4 = route_to(v4, Ipv4Addr::UNSPECIFIED.into());
    let v6 = route_to(v6, Ipv6Addr::UNSPECIFIED.into());
    match (v4, v6) {
        (Ok(v4), Ok(v6)) => Ok(vec![v4, v6]),
        (Ok(only), Err(_)) | (Err(_), Ok(only)) => Ok(vec![only]),
        (Err(error), Err(_)) => Err(error),
    }
}

fn route_to(destination: SocketAddr, from: IpAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind(SocketAddr::new(from, 0))?;
    socket.connect(destination)?;
    Ok(socket.local_addr()?.ip())
}

/// Seconds since 1970.
pub(super) fn unix_now() -> u64 {
    // With a clock before 1970, credentials are expired when they are made; nothing else goes wrong.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
