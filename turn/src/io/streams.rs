//! Clients that come by TCP or TLS (RFC 8656 §3.1), because their network lets no UDP through.
//!
//! ```text
//!   acceptor ──────┐
//!   a task for     ├─▶ events (bounded) ─▶ Shell ─▶ Server
//!   each stream ───┘                         │
//!         ▲                                  ▼
//!         └──────────── outbox (bounded) ────┘
//! ```
//!
//! The tasks only wait. What is full ends in the client's own window, or in messages that are dropped whole, as a network
//! would. A connection without an allocation is closed soon, and an allocation ends with its connection.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::debug;

use super::ClientStream;
use crate::ClientAddr;
use crate::framing::{MAX_MESSAGE, next_message};
use crate::places::{IdleSince, Places};

/// Events that wait for the server; beyond, the streams wait, and at last the clients.
const EVENTS: usize = 256;
/// Messages that wait for a slow reader, some 300 kB; a further one is dropped.
const OUTBOX: usize = 256;
/// After the system refused a connection, for want of file descriptors perhaps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Tells connections from the same address apart, one after the other.
pub(super) type ConnectionId = u64;

/// What happened on the TCP side.
pub(super) enum StreamEvent {
    /// Somebody connected.
    Accepted(ClientStream, ClientAddr),
    /// A whole message came.
    Received(ClientAddr, Bytes),
    /// The stream was closed, broke, or made no sense.
    Ended(ClientAddr, ConnectionId),
}

/// All connections.
pub(super) struct Streams {
    events: mpsc::Receiver<StreamEvent>,
    sender: mpsc::Sender<StreamEvent>,
    acceptor: AbortHandle,
    connections: HashMap<ClientAddr, Connection>,
    places: Places,
    next_id: ConnectionId,
    /// Connections that were too many.
    pub(super) refused: u64,
}

struct Connection {
    id: ConnectionId,
    outbox: mpsc::Sender<Bytes>,
    task: AbortHandle,
    idle: IdleSince,
}

impl Streams {
    /// Starts accepting.
    pub(super) fn new(listener: TcpListener) -> Streams {
        let (sender, events) = mpsc::channel(EVENTS);
        let acceptor = tokio::spawn(accept(listener, sender.clone())).abort_handle();
        Streams {
            events,
            sender,
            acceptor,
            connections: HashMap::new(),
            places: Places::default(),
            next_id: 0,
            refused: 0,
        }
    }

    /// Waits for what happens next. Nothing is lost when the waiting is given up.
    pub(super) async fn event(&mut self) -> StreamEvent {
        // There is always a sender: this side keeps one.
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// Takes a connection, or closes it when there are enough.
    pub(super) fn accept(&mut self, now: Instant, stream: ClientStream, client: ClientAddr) {
        // One that the system has given up may have an event on its way that tells of it.
        self.close(client);
        if !self.places.take(client) {
            self.refused += 1;
            return;
        }
        self.next_id += 1;
        let id = self.next_id;
        let (outbox, waiting) = mpsc::channel(OUTBOX);
        let task = tokio::spawn(carry(stream, client, id, self.sender.clone(), waiting));
        let task = task.abort_handle();
        self.connections.insert(client, Connection { id, outbox, task, idle: IdleSince::new(now) });
    }

    /// Whether an event tells of the client's present connection.
    pub(super) fn is_present(&self, client: ClientAddr, id: ConnectionId) -> bool {
        self.connections.get(&client).is_some_and(|connection| connection.id == id)
    }

    /// Closes a client's connection, if it has one.
    pub(super) fn close(&mut self, client: ClientAddr) {
        if let Some(connection) = self.connections.remove(&client) {
            connection.task.abort();
            self.places.free(client);
        }
    }

    /// Sends a message; `false` when the client reads too slowly, or is gone.
    pub(super) fn send(&self, client: ClientAddr, message: &[u8]) -> bool {
        let connection = self.connections.get(&client);
        connection.is_some_and(|to| to.outbox.try_send(Bytes::copy_from_slice(message)).is_ok())
    }

    /// Closes what has had no allocation for a while.
    pub(super) fn sweep(&mut self, now: Instant, has_allocation: impl Fn(ClientAddr) -> bool) {
        let mut idle = Vec::new();
        for (client, connection) in &mut self.connections {
            if connection.idle.is_too_long(now, has_allocation(*client)) {
                idle.push(*client);
            }
        }
        for client in idle {
            debug!(%client, "closed a connection without an allocation");
            self.close(client);
        }
    }

    /// Connections at the moment.
    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.acceptor.abort();
        for connection in self.connections.values() {
            connection.task.abort();
        }
    }
}

async fn accept(listener: TcpListener, events: mpsc::Sender<StreamEvent>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                // Without it, small packets would wait for acknowledgements; they arrive all the same.
                let _ = stream.set_nodelay(true);
                let accepted = StreamEvent::Accepted(Box::new(stream), ClientAddr::tcp(from));
                if events.send(accepted).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The task of a connection.
async fn carry(
    stream: ClientStream,
    client: ClientAddr,
    id: ConnectionId,
    events: mpsc::Sender<StreamEvent>,
    outbox: mpsc::Receiver<Bytes>,
) {
    let (reader, writer) = tokio::io::split(stream);
    let ended = tokio::select! {
        ended = read(reader, client, &events) => ended,
        ended = write(writer, outbox) => ended,
    };
    if let Err(error) = ended {
        debug!(%client, %error, "a connection broke");
    }
    // The server has ended when nobody listens.
    let _ = events.send(StreamEvent::Ended(client, id)).await;
}

async fn read(
    mut reader: ReadHalf<ClientStream>,
    client: ClientAddr,
    events: &mpsc::Sender<StreamEvent>,
) -> io::Result<()> {
    let mut received = BytesMut::new();
    loop {
        let made_no_sense = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        while let Some(message) = next_message(&mut received).map_err(made_no_sense)? {
            if events.send(StreamEvent::Received(client, message)).await.is_err() {
                return Ok(());
            }
        }
        received.reserve(MAX_MESSAGE);
        if reader.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

async fn write(
    mut writer: WriteHalf<ClientStream>,
    mut outbox: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    while let Some(message) = outbox.recv().await {
        writer.write_all(&message).await?;
        // TLS may keep a part of it; what waits behind goes with the next.
        if outbox.is_empty() {
            writer.flush().await?;
        }
    }
    Ok(())
}
