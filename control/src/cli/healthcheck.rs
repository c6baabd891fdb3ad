//! `madang healthcheck`: asks a running server whether it is healthy. A container image that contains only the binary
//! has no other program for a health check.
#![expect(clippy::disallowed_methods, reason = "the answer of a health check has a deadline")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The time in which a healthy server answers.
const PATIENCE: Duration = Duration::from_secs(3);

/// How much of the answer is read, in bytes.
const ANSWER: u64 = 1024;

/// Asks the server that listens on `listen` (`http.listen`) for `/healthz`.
///
/// # Errors
/// If there is no answer within 3 seconds, or its status is not 200.
pub async fn ask(listen: SocketAddr) -> anyhow::Result<()> {
    ensure!(listen.port() != 0, "`http.listen` has port 0, so the server's port is unknown");
    let addr = SocketAddr::new(reachable(listen.ip()), listen.port());
    let Ok(answer) = timeout(PATIENCE, request(addr)).await else {
        bail!("the server at {addr} did not answer within {} seconds", PATIENCE.as_secs());
    };
    let answer = answer.with_context(|| format!("can't ask the server at {addr}"))?;
    let status = answer.lines().next().unwrap_or_default();
    ensure!(
        status.split(' ').nth(1) == Some("200"),
        "the server at {addr} is not healthy: {status}"
    );
    Ok(())
}

/// The address to ask. If the server listens on all addresses, that is the loopback address.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

async fn request(addr: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
