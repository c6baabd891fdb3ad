//! The interface through which the rest of the process reaches the running server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};

use crate::{ClientAddr, Stats};

/// The maximum number of datagrams waiting to be sent to clients: a tenth of a second at 40,000 packets per second.
/// When full, further ones are dropped and counted, as on any congested path.
const MAILBOX_DATAGRAMS: usize = 4096;

/// The maximum number of accepted connections waiting for the server. When full, the callers wait (back-pressure).
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

/// A client's connection, with or without TLS.
pub(super) type ClientStream = Box<dyn Stream>;

/// A bidirectional byte stream that carries a client's messages.
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

/// The receiving end of a [`Handle`], to be passed to [`crate::run`].
#[derive(Debug)]
pub struct Mailbox {
    pub(super) receiver: mpsc::Receiver<Datagram>,
    pub(super) connections: mpsc::Receiver<(ClientStream, ClientAddr)>,
    pub(super) stats: watch::Sender<Stats>,
}

/// Creates a handle and its mailbox. The handle can be given to the media engine before the server exists, whose
/// configuration needs the engine's addresses.
pub fn mailbox() -> (Handle, Mailbox) {
    let (sender, receiver) = mpsc::channel(MAILBOX_DATAGRAMS);
    let (accepted, connections) = mpsc::channel(MAILBOX_CONNECTIONS);
    let (publisher, stats) = watch::channel(Stats::default());
    let handle = Handle { sender, connections: accepted, dropped: Arc::default(), stats };
    let mailbox = Mailbox { receiver, connections, stats: publisher };
    (handle, mailbox)
}

impl Handle {
    /// Sends a datagram from the media engine to the client that owns `datagram.relayed`. Never blocks, and needs no
    /// async runtime. The datagram is dropped and counted when the mailbox is full or the server has stopped.
    pub fn deliver(&self, datagram: Datagram) {
        if self.sender.try_send(datagram).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hands a client's connection to the server. It is closed when the server has stopped or the connection quota is
    /// used up.
    pub async fn accept(&self, stream: impl Stream + 'static, client: ClientAddr) {
        // An error means that the server has stopped; the connection is dropped with the message.
        let _ = self.connections.send((Box::new(stream), client)).await;
    }

    /// The counters as of the server's last wake-up.
    pub fn stats(&self) -> Stats {
        Stats { dropped_mailbox_full: self.dropped.load(Ordering::Relaxed), ..*self.stats.borrow() }
    }
}
