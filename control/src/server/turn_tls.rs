//! TURN over TLS at a port of its own: accepts connections and passes them to TURN once their handshake is complete.
#![expect(clippy::disallowed_methods, reason = "a TLS handshake has a deadline")]

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use madang_turn::ClientAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::edge::http::rest_after;

/// Maximum number of handshakes at a time. A further one replaces the oldest.
const MOST_HANDSHAKES: usize = 1024;
/// Maximum number of handshakes at a time from one IPv4 address or one IPv6 /64 network; a further connection is
/// closed. All clients behind one NAT share it.
const MOST_HANDSHAKES_OF_NETWORK: usize = 64;
/// Maximum duration of a handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Serves until `shutdown` is cancelled.
pub(super) async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    turn: madang_turn::Handle,
    shutdown: CancellationToken,
) {
    let mut handshakes = Handshakes::default();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(ended) = handshakes.tasks.join_next_with_id() => {
                handshakes.forget(ended.map_or_else(|broken| broken.id(), |(task, ())| task));
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    handshakes.begin(from, open(stream, from, acceptor.clone(), turn.clone()));
                }
                Err(error) => rest_after(error).await,
            }
        }
    }
}

/// The handshakes in progress. Dropping this aborts them.
#[derive(Default)]
struct Handshakes {
    tasks: JoinSet<()>,
    networks: HashMap<Id, IpAddr>,
    /// May contain handshakes that have ended. Holds at most twice [`MOST_HANDSHAKES`].
    oldest_first: VecDeque<AbortHandle>,
}

impl Handshakes {
    fn begin(&mut self, from: SocketAddr, handshake: impl Future<Output = ()> + Send + 'static) {
        let network = ClientAddr::tls(from).network();
        let of_network = self.networks.values().filter(|other| **other == network).count();
        if of_network >= MOST_HANDSHAKES_OF_NETWORK {
            debug!(%from, "closed a connection: its network has too many TLS handshakes with TURN in progress");
            return;
        }
        if self.networks.len() >= MOST_HANDSHAKES {
            self.end_oldest();
        }
        let task = self.tasks.spawn(handshake);
        self.networks.insert(task.id(), network);
        if self.oldest_first.len() >= 2 * MOST_HANDSHAKES {
            self.oldest_first.retain(|task| !task.is_finished());
        }
        self.oldest_first.push_back(task);
    }

    fn end_oldest(&mut self) {
        while let Some(task) = self.oldest_first.pop_front() {
            if !task.is_finished() {
                self.networks.remove(&task.id());
                return task.abort();
            }
        }
    }

    fn forget(&mut self, task: Id) {
        self.networks.remove(&task);
    }
}

async fn open(
    stream: TcpStream,
    from: SocketAddr,
    acceptor: TlsAcceptor,
    turn: madang_turn::Handle,
) {
    // An error means that the connection is closed already.
    let Ok(server) = stream.local_addr() else { return };
    // Packets are small and must not wait to be merged.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "can't set TCP_NODELAY");
    }
    match timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => turn.accept(stream, ClientAddr::tls(from).at(server)).await,
        Ok(Err(error)) => debug!(%error, "a TLS handshake with TURN failed"),
        Err(_) => debug!("a TLS handshake with TURN timed out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_handshake_makes_room_and_a_network_has_its_share() {
        let mut handshakes = Handshakes::default();
        for n in 0..2 * MOST_HANDSHAKES_OF_NETWORK as u16 {
            handshakes.begin(([192, 0, 2, 1], n).into(), std::future::pending());
        }
        assert_eq!(handshakes.networks.len(), MOST_HANDSHAKES_OF_NETWORK);

        for n in 0..2 * MOST_HANDSHAKES as u32 {
            let ip: [u8; 4] = (0x0a00_0000 + n).to_be_bytes();
            handshakes.begin((ip, 4000).into(), std::future::pending());
            assert!(handshakes.networks.len() <= MOST_HANDSHAKES);
        }

        // The handshakes of the one network were the oldest.
        let one = IpAddr::from([192, 0, 2, 1]);
        assert!(handshakes.networks.values().all(|network| *network != one));
        let mut ended = 0;
        while handshakes.tasks.len() > MOST_HANDSHAKES {
            let broken = handshakes.tasks.join_next_with_id().await.unwrap().unwrap_err();
            handshakes.forget(broken.id());
            ended += 1;
        }
        assert_eq!(ended, MOST_HANDSHAKES + MOST_HANDSHAKES_OF_NETWORK);
        assert_eq!(handshakes.networks.len(), MOST_HANDSHAKES);
    }
}
