//! Data connections (RFC 6062 §4.5): bytes copied unchanged between a client's connection and its peer's.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;

use super::ClientStream;
use crate::Stats;
use crate::quota::bandwidth::{Pace, Paces};

/// The buffer size per direction of a connection. While the buffer is full, nothing is read, so the sender waits
/// (back-pressure).
const BUFFER: usize = 16 * 1024;

/// How long one side may be silent after the other has closed its direction. Possibly both have gone: RFC 6062 §5.5
/// requires closing both connections when one is closed, which first looks the same as a half-closed connection.
const HALF_CLOSED_PATIENCE: Duration = Duration::from_secs(120);

/// What a client's connection needs to become a data connection.
pub(super) struct Join {
    pub(super) peer: TcpStream,
    pub(super) paces: Arc<Paces>,
    pub(super) carried: Arc<Carried>,
}

/// The bytes that all data connections have carried.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) to_peers: AtomicU64,
    pub(super) from_peers: AtomicU64,
}

impl Carried {
    pub(super) fn add_to(&self, stats: Stats) -> Stats {
        Stats {
            to_peer_bytes: stats.to_peer_bytes + self.to_peers.load(Ordering::Relaxed),
            from_peer_bytes: stats.from_peer_bytes + self.from_peers.load(Ordering::Relaxed),
            ..stats
        }
    }
}

/// Copies bytes until both sides have closed their direction, or one fails. `already_read` goes to the peer first.
pub(super) async fn splice(
    client: (ReadHalf<ClientStream>, WriteHalf<ClientStream>),
    already_read: BytesMut,
    join: Join,
) -> io::Result<()> {
    let (from_client, to_client) = client;
    let (from_peer, to_peer) = join.peer.into_split();
    let up = Direction::new(&join.paces.to_peer, &join.carried.to_peers);
    let down = Direction::new(&join.paces.from_peer, &join.carried.from_peers);
    let mut going_up = pin!(up.pass_on((&already_read[..]).chain(from_client), to_peer));
    let mut going_down = pin!(down.pass_on(from_peer, to_client));
    tokio::select! {
        ended = &mut going_up => {
            ended?;
            down.finish(going_down, HALF_CLOSED_PATIENCE).await
        }
        ended = &mut going_down => {
            ended?;
            up.finish(going_up, HALF_CLOSED_PATIENCE).await
        }
    }
}

struct Direction<'a> {
    pace: &'a Pace,
    /// The bytes that this connection has carried in this direction.
    passed: AtomicU64,
    /// The bytes that all connections have carried in this direction.
    carried: &'a AtomicU64,
}

impl Direction<'_> {
    fn new<'a>(pace: &'a Pace, carried: &'a AtomicU64) -> Direction<'a> {
        Direction { pace, passed: AtomicU64::new(0), carried }
    }

    /// Copies until the sender closes its direction, then closes the receiver's.
    async fn pass_on(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut buffer = vec![0; self.pace.piece(BUFFER)];
        loop {
            let count = from.read(&mut buffer).await?;
            if count == 0 {
                return to.shutdown().await;
            }
            let wait = self.pace.take(Instant::now(), count);
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            to.write_all(&buffer[..count]).await?;
            // TLS may buffer a part of it.
            to.flush().await?;
            self.passed.fetch_add(count as u64, Ordering::Relaxed);
            self.carried.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Continues this direction after the other has ended, as long as it carries data.
    async fn finish(
        &self,
        mut passing: Pin<&mut impl Future<Output = io::Result<()>>>,
        patience: Duration,
    ) -> io::Result<()> {
        loop {
            let before = self.passed.load(Ordering::Relaxed);
            match tokio::time::timeout(patience, &mut passing).await {
                Ok(ended) => return ended,
                Err(_) if self.passed.load(Ordering::Relaxed) == before => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::rate::Rate;

    #[tokio::test]
    async fn a_direction_that_carries_nothing_any_more_ends() {
        let (paces, carried) = (Paces::new(Instant::now(), Rate::per_second(0)), AtomicU64::new(0));
        let direction = Direction::new(&paces.to_peer, &carried);
        let (mut sender, from) = tokio::io::duplex(64);
        let (to, mut receiver) = tokio::io::duplex(64);
        sender.write_all(b"the last words").await.unwrap();
        let passing = pin!(direction.pass_on(from, to));

        let ended = direction.finish(passing, Duration::from_millis(20)).await;

        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let mut heard = [0; 14];
        receiver.read_exact(&mut heard).await.unwrap();
        assert_eq!((&heard, carried.load(Ordering::Relaxed)), (b"the last words", 14));
    }
}
