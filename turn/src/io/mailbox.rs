//! How the rest of the process reaches the running server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};

use crate::{ClientAddr, Stats};

/// Datagrams that wait to be sent to clients: a tenth of a second at 40,000 packets a second. When full, further ones
/// are dropped and counted, as on any congested path.
const MAILBOX_DATAGRAMS: usize = 4096;

/// Connections that wait to be taken over. When full, those who bring more wait.
const MAILBOX_CONNECTIONS: usize = 64;

/// A datagram on its way between a client's relayed address and the media engine, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The relayed transport address of the client's allocation.
    pub relayed: SocketAddr,
    /// The media address on the other side.
    pub media: SocketAddr,
    /// The payload.
    pub payload: Bytes,
}

/// A client's connection, whatever is around it.
pub(super) type ClientStream = Box<dyn Stream>;

/// What carries a client's messages in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The clonable sender to the running server.
#[derive(Clone, Debug)]
pub struct Handle {
    sender: mpsc::Sender<Datagram>,
    connections: mpsc::Sender<(ClientStream, ClientAddr)>,
    dropped: Arc<AtomicU64>,
    stats: watch::Receiver<Stats>,
}

/// The server's end of a [`Handle`]; goes into [`crate::run`].
#[derive(Debug)]
pub struct Mailbox {
    pub(super) receiver: mpsc::Receiver<Datagram>,
    pub(super) connections: mpsc::Receiver<(ClientStream, ClientAddr)>,
    pub(super) stats: watch::Sender<Stats>,
}

/// Makes the two ends. The handle can be given to the media engine before the server exists, which needs the engine's
/// addresses for its configuration.
pub fn mailbox() -> (Handle, Mailbox) {
    let (sender, receiver) = mpsc::channel(MAILBOX_DATAGRAMS);
    let (accepted, connections) = mpsc::channel(MAILBOX_CONNECTIONS);
    let (publisher, stats) = watch::channel(Stats::default());
    let handle = Handle { sender, connections: accepted, dropped: Arc::default(), stats };
    let mailbox = Mailbox { receiver, connections, stats: publisher };
    (handle, mailbox)
}

impl Handle {
    /// Sends a datagram of the media engine to the client behind `datagram.relayed`. Never blocks, and needs no async
    /// runtime; dropped and counted when the mailbox is full or the server has stopped.
    pub fn deliver(&self, datagram: Datagram) {
        if self.sender.try_send(datagram).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes over a connection. It is closed when the server has stopped, or has enough connections already.
    pub async fn accept(&self, stream: impl Stream + 'static, client: ClientAddr) {
        // An error means that nobody is there any more; the connection is dropped with it.
        let _ = self.connections.send((Box::new(stream), client)).await;
    }

    /// The counters as of the server's last wake-up.
    pub fn stats(&self) -> Stats {
        Stats { dropped_mailbox_full: self.dropped.load(Ordering::Relaxed), ..*self.stats.borrow() }
    }
}
