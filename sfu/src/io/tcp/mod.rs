//! ICE-TCP (RFC 6544): the passive side of connections from clients whose network blocks UDP.
//!
//! ```text
//!   Handle ────────┐   (from a port shared with others)
//!   acceptor ──────┤
//!   a task for     ├─▶ events (bounded) ─▶ Shell ─▶ Worker
//!   each stream ───┘                         │
//!         ▲  "full"                          ▼
//!         └───────────────── stream ◀── backlog (bounded)
//! ```
//!
//! The tasks only wait: for connections, for bytes, and for room to write. Back-pressure ends in the client's own TCP
//! window for what it sends, and in datagrams dropped whole for what it receives. The worker has no state for a
//! connection until an ICE check has arrived on it, and the connection is closed when the worker has forgotten its
//! path.
#![expect(clippy::disallowed_methods, reason = "this is where the media plane's sockets are made")]

mod admission;

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use crate::transport::framing::{Backlog, Deframer};
use crate::transport::path::{ConnectionId, Path, canonical};
use admission::{Admission, Admitted};

/// Events queued for the worker; beyond, the streams wait, and eventually the clients.
const EVENTS: usize = 256;
/// Bytes read from a stream at a time.
const READ: usize = 8 * 1024;
/// The kernel's send buffer. It is small, because data in it can't be dropped any more: what is in front delays what
/// follows (head-of-line blocking).
const SEND_BUFFER: usize = 128 * 1024;
/// How often connections are checked for closing.
const SWEEP: Duration = Duration::from_secs(1);
/// The pause after the system refused a connection for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening socket that is not registered with a runtime yet.
pub(super) struct TcpSocket {
    listener: TcpListener,
    local_addr: SocketAddr,
    events: mpsc::Receiver<TcpEvent>,
    sender: mpsc::Sender<TcpEvent>,
}

impl TcpSocket {
    /// Binds an address, which the error names.
    pub(super) fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
        let failed = |error: io::Error| {
            io::Error::new(error.kind(), format!("can't bind TCP {address} for media: {error}"))
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        // Accepted connections inherit this.
        socket2::SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER).map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let (sender, events) = mpsc::channel(EVENTS);
        Ok(TcpSocket { listener, local_addr, events, sender })
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The sender for [`TcpEvent::HandedOver`].
    pub(super) fn sender(&self) -> mpsc::Sender<TcpEvent> {
        self.sender.clone()
    }

    /// Registers the socket with the current thread's runtime, and starts accepting.
    pub(super) fn into_async(self) -> io::Result<Tcp> {
        let TcpSocket { listener, events, sender, .. } = self;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let acceptor = tokio::spawn(accept(listener, sender.clone())).abort_handle();
        Ok(Tcp {
            events,
            sender,
            acceptor,
            connections: HashMap::new(),
            admission: Admission::default(),
            sweep_at: None,
            refused: 0,
            dropped: 0,
        })
    }
}

/// An event on the TCP side.
pub(super) enum TcpEvent {
    /// A client connected.
    Accepted(TcpStream, SocketAddr),
    /// A client connected to a port shared with others, and belongs to this worker. The stream is non-blocking and not
    /// registered with a runtime.
    HandedOver(std::net::TcpStream, SocketAddr),
    /// Bytes arrived.
    Received(ConnectionId, Vec<u8>),
    /// A stream that was full has room again.
    Writable(ConnectionId),
    /// The stream was closed or has failed.
    Ended(ConnectionId),
}

/// A worker's TCP connections.
pub(super) struct Tcp {
    events: mpsc::Receiver<TcpEvent>,
    sender: mpsc::Sender<TcpEvent>,
    acceptor: AbortHandle,
    connections: HashMap<ConnectionId, Connection>,
    admission: Admission,
    /// `None` while there are no connections.
    sweep_at: Option<Instant>,
    refused: u64,
    dropped: u64,
}

struct Connection {
    stream: Arc<TcpStream>,
    path: Path,
    is_proven: bool,
    deframer: Deframer,
    backlog: Backlog,
    /// Tells the task that the stream is full.
    full: Arc<Notify>,
    task: AbortHandle,
}

/// A connection whose bytes are being read.
pub(super) struct Reading {
    pub(super) path: Path,
    /// A valid check has arrived on it.
    pub(super) is_proven: bool,
    pub(super) deframer: Deframer,
}

impl Tcp {
    /// Waits for the next event. Cancel-safe.
    pub(super) async fn event(&mut self) -> TcpEvent {
        // The channel never closes, because this side keeps a sender.
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// The next event, if one is queued.
    pub(super) fn try_event(&mut self) -> Option<TcpEvent> {
        self.events.try_recv().ok()
    }

    /// Takes over a connection that another listener has accepted, or closes it at once.
    pub(super) fn adopt(&mut self, now: Instant, stream: std::net::TcpStream, remote: SocketAddr) {
        let is_small = socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER).is_ok();
        match TcpStream::from_std(stream) {
            Ok(stream) if is_small => self.accept(now, stream, remote),
            // The system has no room for it, or the client has gone.
            Ok(_) | Err(_) => self.refused += 1,
        }
    }

    /// Accepts a connection, or closes it at once.
    pub(super) fn accept(&mut self, now: Instant, stream: TcpStream, remote: SocketAddr) {
        let remote = canonical(remote);
        let is_ready = stream.set_nodelay(true).is_ok();
        let Some(Admitted { connection, instead_of }) =
            self.admission.admit(now, remote).filter(|_| is_ready)
        else {
            self.refused += 1;
            return;
        };
        if let Some(other) = instead_of {
            self.refused += 1;
            self.connections.remove(&other);
        }
        let (stream, full) = (Arc::new(stream), Arc::new(Notify::new()));
        let watch = watch(connection, Arc::clone(&stream), Arc::clone(&full), self.sender.clone());
        self.connections.insert(
            connection,
            Connection {
                stream,
                path: Path::Tcp(connection, remote),
                is_proven: false,
                deframer: Deframer::default(),
                backlog: Backlog::default(),
                full,
                task: tokio::spawn(watch).abort_handle(),
            },
        );
        self.sweep_at.get_or_insert(now + SWEEP);
    }

    /// Lends the parts needed to read a connection's bytes, until [`Self::end_reading`].
    pub(super) fn begin_reading(&mut self, connection: ConnectionId) -> Option<Reading> {
        let known = self.connections.get_mut(&connection)?;
        let deframer = std::mem::take(&mut known.deframer);
        Some(Reading { path: known.path, is_proven: known.is_proven, deframer })
    }

    /// Takes them back, and notes whether a valid check has arrived.
    pub(super) fn end_reading(&mut self, connection: ConnectionId, reading: Reading) {
        let Some(known) = self.connections.get_mut(&connection) else {
            return;
        };
        if reading.is_proven && !known.is_proven {
            self.admission.prove(connection);
        }
        (known.deframer, known.is_proven) = (reading.deframer, reading.is_proven);
    }

    /// Sends a run of datagrams, all `segment` bytes long except the last; drops those for which there is no room.
    pub(super) fn send(&mut self, connection: ConnectionId, run: &[u8], segment: usize) {
        let datagrams = run.chunks(segment);
        let Some(connection) = self.connections.get_mut(&connection) else {
            self.dropped += datagrams.len() as u64;
            return;
        };
        let is_waiting = !connection.backlog.is_empty();
        self.dropped +=
            datagrams.filter(|datagram| !connection.backlog.push(datagram)).count() as u64;
        if !is_waiting {
            connection.write();
        }
    }

    /// Continues writing queued datagrams.
    pub(super) fn write(&mut self, connection: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.write();
        }
    }

    /// Closes a connection, and returns its path if there was one.
    pub(super) fn close(&mut self, connection: ConnectionId) -> Option<Path> {
        self.admission.leave(connection);
        self.connections.remove(&connection).map(|closed| closed.path)
    }

    /// Closes connections on which no valid check arrived in time, and those whose path is no longer valid.
    pub(super) fn sweep(&mut self, now: Instant, is_validated: impl Fn(Path) -> bool) {
        if self.sweep_at.is_none_or(|at| now < at) {
            return;
        }
        while let Some(overdue) = self.admission.overdue(now) {
            self.refused += 1;
            self.close(overdue);
        }
        let is_over = |known: &Connection| known.is_proven && !is_validated(known.path);
        let over: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter_map(|(id, known)| is_over(known).then_some(*id))
            .collect();
        for connection in over {
            self.close(connection);
        }
        self.sweep_at = (!self.connections.is_empty()).then(|| now + SWEEP);
    }

    /// When to call [`Self::sweep`]; `None` while there are no connections.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.sweep_at
    }

    /// Current connections.
    pub(super) fn connections(&self) -> u64 {
        self.connections.len() as u64
    }

    /// Connections refused, or closed for lack of a valid check.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Datagrams dropped because a client reads too slowly.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Closes a connection that sent something else before its first valid check.
    pub(super) fn refuse(&mut self, connection: ConnectionId) {
        self.refused += 1;
        self.close(connection);
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

impl Connection {
    fn write(&mut self) {
        while !self.backlog.is_empty() {
            let (first, second) = self.backlog.parts();
            match self.stream.try_write_vectored(&[IoSlice::new(first), IoSlice::new(second)]) {
                Ok(written) => self.backlog.written(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.full.notify_one();
                    return;
                }
                // The reading side gets the error too, and ends the connection.
                Err(_) => return,
            }
        }
    }
}

impl Drop for Connection {
    /// The task also keeps the stream open.
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: tokio::net::TcpListener, events: mpsc::Sender<TcpEvent>) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                if events.send(TcpEvent::Accepted(stream, remote)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "could not accept a TCP connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Reports the bytes that arrive on a stream, when it has room again, and its end.
async fn watch(
    connection: ConnectionId,
    stream: Arc<TcpStream>,
    full: Arc<Notify>,
    events: mpsc::Sender<TcpEvent>,
) {
    let reading = async {
        while let Some(bytes) = read(&stream).await {
            if events.send(TcpEvent::Received(connection, bytes)).await.is_err() {
                return;
            }
        }
    };
    let writing = async {
        loop {
            full.notified().await;
            if stream.writable().await.is_err()
                || events.send(TcpEvent::Writable(connection)).await.is_err()
            {
                return;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
    // If nobody receives the event, the worker's thread has ended.
    let _ = events.send(TcpEvent::Ended(connection)).await;
}

/// The next bytes; `None` at the end.
async fn read(stream: &TcpStream) -> Option<Vec<u8>> {
    loop {
        stream.readable().await.ok()?;
        let mut bytes = Vec::with_capacity(READ);
        match stream.try_read_buf(&mut bytes) {
            Ok(0) => return None,
            Ok(_) => return Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn connected() -> (Tcp, ConnectionId, TcpStream) {
        let socket = TcpSocket::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = socket.local_addr();
        let mut tcp = socket.into_async().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        let TcpEvent::Accepted(stream, remote) = tcp.event().await else {
            panic!("nobody connected");
        };
        tcp.accept(Instant::now(), stream, remote);
        let connection = *tcp.connections.keys().next().unwrap();
        (tcp, connection, client)
    }

    /// A numbered packet of audio.
    fn datagram(number: u32, length: usize) -> Vec<u8> {
        let mut datagram = vec![0x80; length];
        datagram[4..8].copy_from_slice(&number.to_be_bytes());
        datagram
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_loses_whole_datagrams_but_not_the_order() {
        let (mut tcp, connection, mut client) = connected().await;
        let mut sent = 0;
        while tcp.dropped() < 100 {
            let run: Vec<u8> = (0..10).flat_map(|at| datagram(sent + at, 1200)).collect();
            tcp.send(connection, &run, 1200);
            sent += 10;
        }

        let mut deframer = Deframer::default();
        let mut numbers = Vec::new();
        let mut buffer = vec![0; 5000];
        while (numbers.len() as u64) < u64::from(sent) - tcp.dropped() {
            tokio::select! {
                event = tcp.event() => match event {
                    TcpEvent::Writable(connection) => tcp.write(connection),
                    _ => panic!("nothing else happens"),
                },
                length = client.read(&mut buffer) => {
                    let mut rest = &buffer[..length.unwrap()];
                    while let Some(datagram) = deframer.next(&mut rest) {
                        assert_eq!(datagram.len(), 1200);
                        numbers.push(u32::from_be_bytes(*datagram[4..].first_chunk().unwrap()));
                    }
                }
            }
        }
        assert!(numbers.is_sorted());

        tcp.send(connection, &datagram(sent, 40), 40);
        let length = client.read(&mut buffer).await.unwrap();
        assert_eq!(length, 42, "and then there is room again");
    }

    #[tokio::test]
    async fn a_connection_ends_when_either_side_closes_it() {
        let (mut tcp, connection, client) = connected().await;
        drop(client);
        let event = tcp.event().await;
        assert!(matches!(event, TcpEvent::Ended(ended) if ended == connection));
        assert!(matches!(tcp.close(connection), Some(Path::Tcp(..))));

        let (mut tcp, connection, mut client) = connected().await;
        tcp.close(connection);
        assert_eq!(client.read(&mut [0; 10]).await.unwrap(), 0);
        assert_eq!((tcp.connections(), tcp.poll_timeout().is_some()), (0, true));
    }

    #[tokio::test]
    async fn connections_without_a_valid_path_are_closed() {
        let (mut tcp, connection, mut client) = connected().await;
        let now = Instant::now();
        tcp.sweep(now + SWEEP, |_| false);
        assert_eq!(tcp.connections(), 1, "it still has time for a check");

        let mut reading = tcp.begin_reading(connection).unwrap();
        reading.is_proven = true;
        tcp.end_reading(connection, reading);
        tcp.sweep(now + 100 * SWEEP, |_| true);
        assert_eq!(tcp.connections(), 1, "it stays while its path is valid");
        tcp.sweep(now + 200 * SWEEP, |_| false);
        assert_eq!(client.read(&mut [0; 10]).await.unwrap(), 0);

        let (mut tcp, _, mut client) = connected().await;
        tcp.sweep(Instant::now() + 100 * SWEEP, |_| true);
        assert_eq!(client.read(&mut [0; 10]).await.unwrap(), 0);
        assert_eq!((tcp.connections(), tcp.refused()), (0, 1));
    }
}
