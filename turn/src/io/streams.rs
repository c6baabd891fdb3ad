//! Clients that use TCP or TLS (RFC 8656 §3.1) because their network blocks UDP.
//!
//! ```text
//!   acceptor ──────┐
//!   a task for     ├─▶ events (bounded) ─▶ Shell ─▶ Server
//!   each stream ───┘                         │
//!         ▲                                  ▼
//!         └──────────── outbox (bounded) ────┘
//! ```
//!
//! The tasks only wait. Full queues cause back-pressure through the client's receive window, or drop whole messages, as
//! a network would. A connection without an allocation is closed soon, and an allocation ends with its connection.
//!
//! After a ConnectionBind nothing is read until the server has decided: what follows may be data of a connection that
//! the task then copies unchanged (`splice`).

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tracing::debug;

use super::ClientStream;
use super::splice::{Join, splice};
use crate::ClientAddr;
use crate::framing::{MAX_MESSAGE, next_message};
use crate::quota::connections::{ConnectionQuota, IdleSince};

/// The maximum number of queued events. When full, the streams wait, and finally the clients.
const EVENTS: usize = 256;
/// The maximum number of messages queued for a slow reader; a further one is dropped.
const OUTBOX: usize = 256;
/// The maximum total length of queued messages, in bytes.
const OUTBOX_BYTES: usize = 300_000;
/// The pause after a failure to accept a connection, for example when there are no file descriptors left.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The first bytes of a ConnectionBind request (RFC 6062 §6.1).
const CONNECTION_BIND: [u8; 2] = [0x00, 0x0b];

/// Distinguishes successive connections with the same addresses.
pub(super) type ConnectionId = u64;

/// An event on the TCP side.
pub(super) enum StreamEvent {
    /// A client has connected.
    Accepted(ClientStream, ClientAddr),
    /// A complete message has arrived.
    Received(ClientAddr, ConnectionId, Bytes),
    /// A ConnectionBind request has arrived. Its stream waits until it receives the connection to join, or until the
    /// sender is dropped.
    Bind(ClientAddr, ConnectionId, Bytes, oneshot::Sender<Join>),
    /// The stream was closed, failed, or was malformed.
    Ended(ClientAddr, ConnectionId),
}

/// All connections from clients.
pub(super) struct Streams {
    events: mpsc::Receiver<StreamEvent>,
    sender: mpsc::Sender<StreamEvent>,
    acceptor: AbortHandle,
    connections: HashMap<ClientAddr, Connection>,
    quota: ConnectionQuota,
    next_id: ConnectionId,
    /// Connections refused because of the quota.
    pub(super) refused: u64,
}

struct Connection {
    id: ConnectionId,
    /// `None` when it carries data (RFC 6062) instead of messages; it then needs no allocation.
    outbox: Option<Outbox>,
    task: AbortHandle,
    idle: IdleSince,
}

/// The messages that wait to be written.
struct Outbox {
    messages: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
}

/// A message with the room that it takes in an outbox.
type Waiting = (Bytes, OwnedSemaphorePermit);

impl Outbox {
    fn new() -> (Outbox, mpsc::Receiver<Waiting>) {
        let (messages, waiting) = mpsc::channel(OUTBOX);
        (Outbox { messages, room: Arc::new(Semaphore::new(OUTBOX_BYTES)) }, waiting)
    }

    /// Queues a message; `false` when the outbox is full or its reader is gone.
    fn put(&self, message: &[u8]) -> bool {
        let room = self.room.clone().try_acquire_many_owned(message.len() as u32);
        room.is_ok_and(|room| {
            self.messages.try_send((Bytes::copy_from_slice(message), room)).is_ok()
        })
    }
}

impl Streams {
    /// Starts accepting connections.
    pub(super) fn new(listener: TcpListener) -> Streams {
        let (sender, events) = mpsc::channel(EVENTS);
        let acceptor = tokio::spawn(accept(listener, sender.clone())).abort_handle();
        Streams {
            events,
            sender,
            acceptor,
            connections: HashMap::new(),
            quota: ConnectionQuota::new(),
            next_id: 0,
            refused: 0,
        }
    }

    /// Waits for the next event. Cancel safe.
    pub(super) async fn event(&mut self) -> StreamEvent {
        // This struct keeps a sender, so the channel is never closed.
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// The next event that has already happened.
    pub(super) fn try_event(&mut self) -> Option<StreamEvent> {
        self.events.try_recv().ok()
    }

    /// Takes a connection, or closes it when the quota is used up.
    pub(super) fn accept(&mut self, now: Instant, stream: ClientStream, client: ClientAddr) {
        // A connection with the same addresses is dead; its event may still be on the way.
        self.close(client);
        if !self.quota.take(client) {
            self.refused += 1;
            return;
        }
        self.next_id += 1;
        let id = self.next_id;
        let (outbox, waiting) = Outbox::new();
        let task = tokio::spawn(carry(stream, client, id, self.sender.clone(), waiting));
        let task = task.abort_handle();
        let idle = IdleSince::new(now);
        let connection = Connection { id, outbox: Some(outbox), task, idle };
        self.connections.insert(client, connection);
    }

    /// Whether an event belongs to the client's current connection.
    pub(super) fn is_present(&self, client: ClientAddr, id: ConnectionId) -> bool {
        self.connections.get(&client).is_some_and(|connection| connection.id == id)
    }

    /// Closes a client's connection, if it has one.
    pub(super) fn close(&mut self, client: ClientAddr) {
        if let Some(connection) = self.connections.remove(&client) {
            connection.task.abort();
            self.quota.free(client);
        }
    }

    /// Queues a message; `false` when the client reads too slowly or is gone.
    pub(super) fn send(&self, client: ClientAddr, message: &[u8]) -> bool {
        let connection = self.connections.get(&client);
        let outbox = connection.and_then(|connection| connection.outbox.as_ref());
        outbox.is_some_and(|outbox| outbox.put(message))
    }

    /// Turns a client's connection into a data connection; queued messages are still sent first.
    pub(super) fn carries_data(&mut self, client: ClientAddr) {
        if let Some(connection) = self.connections.get_mut(&client) {
            connection.outbox = None;
        }
    }

    /// Closes connections that have had no allocation for too long.
    pub(super) fn sweep(&mut self, now: Instant, has_allocation: impl Fn(ClientAddr) -> bool) {
        let mut idle = Vec::new();
        for (client, connection) in &mut self.connections {
            let is_used = connection.outbox.is_none() || has_allocation(*client);
            if connection.idle.is_over(now, is_used, self.quota.patience(*client)) {
                idle.push(*client);
            }
        }
        for client in idle {
            debug!(%client, "closing a connection without an allocation");
            self.close(client);
        }
    }

    /// The number of connections.
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
                // Disables Nagle's algorithm, so that small packets don't wait for acknowledgements. A failure only
                // costs delay.
                let _ = stream.set_nodelay(true);
                // The connection has already failed.
                let Ok(server) = stream.local_addr() else { continue };
                let client = ClientAddr::tcp(from).at(server);
                let accepted = StreamEvent::Accepted(Box::new(stream), client);
                if events.send(accepted).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                debug!(%error, "could not accept a connection");
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
    outbox: mpsc::Receiver<Waiting>,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut received = BytesMut::new();
    let reading = read(&mut reader, &mut received, (client, id), &events);
    let ended = match tokio::try_join!(reading, write(&mut writer, outbox)) {
        // Boxed, so that connections for messages don't reserve memory for it.
        Ok((join, ())) => Box::pin(splice((reader, writer), received, join)).await,
        Err(Ended(ended)) => ended,
    };
    if let Err(error) = ended {
        debug!(%client, %error, "connection failed");
    }
    // An error means that the server has stopped.
    let _ = events.send(StreamEvent::Ended(client, id)).await;
}

/// The end of a connection without a following data phase: the client closed the stream, or it failed.
struct Ended(io::Result<()>);

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Ended {
        Ended(Err(error))
    }
}

/// Reads messages until the stream becomes a data connection.
async fn read(
    reader: &mut ReadHalf<ClientStream>,
    received: &mut BytesMut,
    (client, id): (ClientAddr, ConnectionId),
    events: &mpsc::Sender<StreamEvent>,
) -> Result<Join, Ended> {
    loop {
        let malformed = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        while let Some(message) = next_message(received).map_err(malformed)? {
            let (verdict, decided) = oneshot::channel();
            let is_bind = message.starts_with(&CONNECTION_BIND);
            let event = match is_bind {
                true => StreamEvent::Bind(client, id, message, verdict),
                false => StreamEvent::Received(client, id, message),
            };
            if events.send(event).await.is_err() {
                return Err(Ended(Ok(())));
            }
            if is_bind && let Ok(join) = decided.await {
                return Ok(join);
            }
        }
        received.reserve(MAX_MESSAGE);
        if reader.read_buf(received).await? == 0 {
            return Err(Ended(Ok(())));
        }
    }
}

/// Writes messages until the outbox is closed.
async fn write(
    writer: &mut WriteHalf<ClientStream>,
    mut outbox: mpsc::Receiver<Waiting>,
) -> Result<(), Ended> {
    while let Some((message, _room)) = outbox.recv().await {
        writer.write_all(&message).await?;
        // TLS may buffer a part of a message; the queued messages push it out.
        if outbox.is_empty() {
            writer.flush().await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "a listener needs a socket")]
    async fn a_connection_without_an_allocation_is_closed_unless_it_carries_data() {
        let mut streams = Streams::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let now = Instant::now();
        let clients = [1, 2, 3].map(|port| ClientAddr::tcp(([192, 0, 2, 1], port).into()));
        let mut ends = Vec::new();
        for client in clients {
            let (ours, theirs) = tokio::io::duplex(64);
            streams.accept(now, Box::new(theirs), client);
            ends.push(ours);
        }
        let [allocated, data, idle] = clients;
        streams.carries_data(data);

        streams.sweep(now + Duration::from_secs(30), |client| client == allocated);

        assert!(streams.connections.contains_key(&allocated));
        assert!(streams.connections.contains_key(&data));
        assert!(!streams.connections.contains_key(&idle));
        assert!(!streams.send(data, b"a message"), "it takes no messages any more");
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "a listener needs a socket")]
    async fn little_waits_for_who_does_not_read_however_long_the_messages() {
        let mut streams = Streams::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let client = ClientAddr::tcp(([192, 0, 2, 1], 1).into());
        let (_ours, theirs) = tokio::io::duplex(64);
        streams.accept(Instant::now(), Box::new(theirs), client);

        let taken = |length| (0..1000).filter(|_| streams.send(client, &vec![0; length])).count();

        assert_eq!(taken(60_000), 5);
        assert_eq!(taken(1), 0);
    }
}
