//! The effect of subscribers that do not read on those that do.

use super::exchange::{self, Load, Pace};
use super::process::Process;
use super::row::Row;
use super::socket::Socket;
use crate::options::Options;

/// The names of the two rows.
pub(crate) const NONE_STALLED: &str = "none stalled";
pub(crate) const SOME_STALLED: &str = "10 stalled";
/// The maximum memory of the stalled subscribers' outboxes by default (`limits.outbox_bytes`), in KiB.
pub(crate) const MEMORY_KIB: f64 = (STALLED * 8 * 1024) as f64;

/// The number of subscribers that do not read.
const STALLED: usize = 10;
/// The kernel's receive buffer of each of them, in bytes. It is small, so that their messages wait in the server.
const RECEIVE_BUFFER: u32 = 4096;
/// Long enough to fill the buffers of the kernel and of the server.
const SECONDS: u32 = 24;

pub(crate) async fn run(options: &Options, server: &Process) -> anyhow::Result<[Row; 2]> {
    let load = Load {
        rooms: 1,
        subscribers_per_room: 100,
        publishers: 1,
        pace: Pace::PerSecond(50),
        body_bytes: 4096,
        seconds: SECONDS.max(options.seconds),
    };
    let without = exchange::run(NONE_STALLED, &load, options, server).await?;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let mut socket = Socket::connect(options, "0,0", Some(RECEIVE_BUFFER)).await?;
        socket.subscribe(&format!("{}0", options.destination)).await?;
        stalled.push(socket);
    }
    let with = exchange::run(SOME_STALLED, &load, options, server).await?;
    Ok([without, with])
}
