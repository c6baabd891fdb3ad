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
//!
//! After a ConnectionBind nothing is read until the server has decided: what follows may be data, in a connection that
//! the task then passes on as it is (`splice`).

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

/// Events that wait for the server; beyond, the streams wait, and at last the clients.
const EVENTS: usize = 256;
/// Messages that wait for a slow reader; a further one is dropped.
const OUTBOX: usize = 256;
/// What they may have together, in bytes.
const OUTBOX_BYTES: usize = 300_000;
/// After the system refused a connection, for want of file descriptors perhaps.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How a ConnectionBind request begins (RFC 6062 §6.1).
const CONNECTION_BIND: [u8; 2] = [0x00, 0x0b];

/// Tells connections from the same address apart, one after the other.
pub(super) type ConnectionId = u64;

/// What happened on the TCP side.
pub(super) enum StreamEvent {
    /// Somebody connected.
    Accepted(ClientStream, ClientAddr),
    /// A whole message came.
    Received(ClientAddr, ConnectionId, Bytes),
    /// A ConnectionBind request came, and its stream waits: for what it is to be joined with, or for the sender to be
    /// dropped.
    Bind(ClientAddr, ConnectionId, Bytes, oneshot::Sender<Join>),
    /// The stream was closed, broke, or made no sense.
    Ended(ClientAddr, ConnectionId),
}

/// All connections.
pub(super) struct Streams {
    events: mpsc::Receiver<StreamEvent>,
    sender: mpsc::Sender<StreamEvent>,
    acceptor: AbortHandle,
    connections: HashMap<ClientAddr, Connection>,
    quota: ConnectionQuota,
    next_id: ConnectionId,
    /// Connections that were too many.
    pub(super) refused: u64,
}

struct Connection {
    id: ConnectionId,
    /// None when it carries data (RFC 6062) rather than messages. It needs no allocation then.
    outbox: Option<Outbox>,
    task: AbortHandle,
    idle: IdleSince,
}

/// What waits to be written.
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

    /// `false` when there is no room, or nobody to read it.
    fn put(&self, message: &[u8]) -> bool {
        let room = self.room.clone().try_acquire_many_owned(message.len() as u32);
        room.is_ok_and(|room| {
            self.messages.try_send((Bytes::copy_from_slice(message), room)).is_ok()
        })
    }
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
            quota: ConnectionQuota::new(),
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

    /// What has happened already.
    pub(super) fn try_event(&mut self) -> Option<StreamEvent> {
        self.events.try_recv().ok()
    }

    /// Takes a connection, or closes it when there are enough.
    pub(super) fn accept(&mut self, now: Instant, stream: ClientStream, client: ClientAddr) {
        // One that the system has given up may have an event on its way that tells of it.
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

    /// Whether an event tells of the client's present connection.
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

    /// Sends a message; `false` when the client reads too slowly, or is gone.
    pub(super) fn send(&self, client: ClientAddr, message: &[u8]) -> bool {
        let connection = self.connections.get(&client);
        let outbox = connection.and_then(|connection| connection.outbox.as_ref());
        outbox.is_some_and(|outbox| outbox.put(message))
    }

    /// A client's connection carries data from now on; what waits for it is still sent before.
    pub(super) fn carries_data(&mut self, client: ClientAddr) {
        if let Some(connection) = self.connections.get_mut(&client) {
            connection.outbox = None;
        }
    }

    /// Closes what has had no allocation for a while.
    pub(super) fn sweep(&mut self, now: Instant, has_allocation: impl Fn(ClientAddr) -> bool) {
        let mut idle = Vec::new();
        for (client, connection) in &mut self.connections {
            let is_used = connection.outbox.is_none() || has_allocation(*client);
            if connection.idle.is_over(now, is_used, self.quota.patience(*client)) {
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
                // Broken already.
                let Ok(server) = stream.local_addr() else { continue };
                let client = ClientAddr::tcp(from).at(server);
                let accepted = StreamEvent::Accepted(Box::new(stream), client);
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
    outbox: mpsc::Receiver<Waiting>,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut received = BytesMut::new();
    let reading = read(&mut reader, &mut received, (client, id), &events);
    let ended = match tokio::try_join!(reading, write(&mut writer, outbox)) {
        // Boxed, so that connections for messages need no room for it.
        Ok((join, ())) => Box::pin(splice((reader, writer), received, join)).await,
        Err(Ended(ended)) => ended,
    };
    if let Err(error) = ended {
        debug!(%client, %error, "a connection broke");
    }
    // The server has ended when nobody listens.
    let _ = events.send(StreamEvent::Ended(client, id)).await;
}

/// There are no more messages, and nothing else comes after them: the client closed the stream, or it broke.
struct Ended(io::Result<()>);

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Ended {
        Ended(Err(error))
    }
}

/// Reads messages until the stream becomes one for data.
async fn read(
    reader: &mut ReadHalf<ClientStream>,
    received: &mut BytesMut,
    (client, id): (ClientAddr, ConnectionId),
    events: &mpsc::Sender<StreamEvent>,
) -> Result<Join, Ended> {
    loop {
        let made_no_sense = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        while let Some(message) = next_message(received).map_err(made_no_sense)? {
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

/// Writes messages as long as there may be some.
async fn write(
    writer: &mut WriteHalf<ClientStream>,
    mut outbox: mpsc::Receiver<Waiting>,
) -> Result<(), Ended> {
    while let Some((message, _room)) = outbox.recv().await {
        writer.write_all(&message).await?;
        // TLS may keep a part of it; what waits behind goes with the next.
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
