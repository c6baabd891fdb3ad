//! The memory cost of an idle connection.
#![expect(clippy::disallowed_methods, reason = "a measurement waits between two readings")]

use std::time::Duration;

use super::process::Process;
use super::row::Idle;
use super::socket::Socket;
use crate::options::Options;

/// How long the server may take to settle.
const REST: Duration = Duration::from_secs(2);

pub(crate) async fn run(options: &Options, server: &Process) -> anyhow::Result<Idle> {
    let before = server.usage()?;
    let mut sockets = Vec::new();
    for number in 0..options.connections {
        let mut socket = Socket::connect(options, "10000,10000", None).await?;
        socket.subscribe(&format!("{}idle-{number}", options.destination)).await?;
        sockets.push(socket);
    }
    tokio::time::sleep(REST).await;
    let after = server.usage()?;
    let grown = after.resident_kib.saturating_sub(before.resident_kib);
    Ok(Idle {
        connections: options.connections,
        kib_per_connection: grown as f64 / f64::from(options.connections),
        resident_kib: after.resident_kib,
    })
}
