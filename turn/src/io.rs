//! The shell: the sockets, the clocks, and the mailbox through which the media engine's datagrams come.
#![expect(clippy::disallowed_methods, reason = "this module is where the clocks are read")]

mod streams;

use std::future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::{ClientAddr, Server, Stats, ToMedia, Transport};
use streams::{StreamEvent, Streams};

/// Datagrams that wait to be sent to clients: a tenth of a second at 40,000 packets a second. When full, further ones
/// are dropped and counted, as on any congested path.
const MAILBOX_DATAGRAMS: usize = 4096;

/// Datagrams handled per wake-up before the other source gets its turn.
const BATCH: usize = 64;

/// Between two looks at which connections are to be closed.
const SWEEP: Duration = Duration::from_secs(5);

/// The longest UDP datagram.
const MAX_DATAGRAM: usize = 65_535;

/// Payloads for the media engine are cut from blocks of this size, so that there is one allocation for many packets.
const BLOCK_BYTES: usize = 64 * 1024;

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

/// The clonable sender to the running server.
#[derive(Clone, Debug)]
pub struct Handle {
    sender: mpsc::Sender<Datagram>,
    dropped: Arc<AtomicU64>,
    stats: watch::Receiver<Stats>,
}

/// The server's end of a [`Handle`]; goes into [`run`].
#[derive(Debug)]
pub struct Mailbox {
    receiver: mpsc::Receiver<Datagram>,
    stats: watch::Sender<Stats>,
}

/// Makes the two ends. The handle can be given to the media engine before the server exists, which needs the engine's
/// addresses for its configuration.
pub fn mailbox() -> (Handle, Mailbox) {
    let (sender, receiver) = mpsc::channel(MAILBOX_DATAGRAMS);
    let (publisher, stats) = watch::channel(Stats::default());
    let handle = Handle { sender, dropped: Arc::default(), stats };
    let mailbox = Mailbox { receiver, stats: publisher };
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

    /// The counters as of the server's last wake-up.
    pub fn stats(&self) -> Stats {
        Stats { dropped_mailbox_full: self.dropped.load(Ordering::Relaxed), ..*self.stats.borrow() }
    }
}

/// Where clients come to, at the same port commonly.
#[derive(Debug)]
pub struct Listeners {
    /// For datagrams.
    pub udp: UdpSocket,
    /// For connections.
    pub tcp: TcpListener,
}

/// Serves clients on `listeners` until `shutdown` is cancelled. Datagrams for the media engine are given to `deliver`, which
/// must not block.
///
/// # Errors
/// When the runtime can't wait for the socket any more. A datagram that can't be received or sent is no error.
pub async fn run(
    listeners: Listeners,
    server: Server,
    mailbox: Mailbox,
    deliver: impl Fn(Datagram),
    shutdown: CancellationToken,
) -> io::Result<()> {
    let Mailbox { mut receiver, stats } = mailbox;
    let mut shell = Shell {
        socket: listeners.udp,
        streams: Streams::new(listeners.tcp),
        server,
        deliver,
        send_refused: 0,
        block: BytesMut::new(),
        outgoing: Vec::new(),
    };
    let mut incoming = vec![0; MAX_DATAGRAM];
    let mut waiting = Vec::with_capacity(BATCH);
    let mut sweeps = tokio::time::interval(SWEEP);
    info!("TURN is served");
    // A fresh socket counts as not writable until the runtime has heard of it.
    shell.socket.writable().await?;
    loop {
        let deadline = shell.server.poll_timeout();
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            readable = shell.socket.readable() => {
                readable?;
                shell.serve_clients(&mut incoming);
            }
            event = shell.streams.event() => shell.handle_stream(event),
            _ = sweeps.tick() => shell.sweep(),
            // Without any handle left, this branch rests; clients are served on.
            1.. = receiver.recv_many(&mut waiting, BATCH) => shell.serve_media(&mut waiting),
            () = sleep_until(deadline) => shell.server.handle_timeout(Instant::now()),
        }
        stats.send_replace(shell.stats());
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => future::pending().await,
    }
}

struct Shell<F> {
    socket: UdpSocket,
    streams: Streams,
    server: Server,
    deliver: F,
    /// What the socket, or a slow client's connection, didn't take.
    send_refused: u64,
    /// What payloads for the media engine are cut from.
    block: BytesMut,
    /// Where datagrams for clients are framed.
    outgoing: Vec<u8>,
}

impl<F: Fn(Datagram)> Shell<F> {
    fn serve_clients(&mut self, incoming: &mut [u8]) {
        let (now, unix_now) = (Instant::now(), unix_now());
        for _ in 0..BATCH {
            let (length, client) = match self.socket.try_recv_from(incoming) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    debug!(%error, "a datagram could not be received");
                    return;
                }
            };
            self.handle_message(now, unix_now, ClientAddr::udp(client), &incoming[..length]);
        }
    }

    fn handle_stream(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Accepted(stream, client) => {
                // The same address again: its former connection is gone, whoever has heard of that.
                self.server.handle_closed(client);
                self.streams.accept(Instant::now(), stream, client);
            }
            StreamEvent::Received(client, message) => {
                self.handle_message(Instant::now(), unix_now(), client, &message);
            }
            StreamEvent::Ended(client, connection) => {
                if self.streams.is_present(client, connection) {
                    self.streams.close(client);
                    self.server.handle_closed(client);
                }
            }
        }
    }

    fn handle_message(
        &mut self,
        now: Instant,
        unix_now: Duration,
        client: ClientAddr,
        message: &[u8],
    ) {
        if let Some(relay) = self.server.handle_datagram(now, unix_now, client, message) {
            (self.deliver)(own(&mut self.block, relay));
        }
        while let Some(answer) = self.server.poll_transmit() {
            self.send(answer.client, &answer.payload);
        }
    }

    fn sweep(&mut self) {
        self.streams.sweep(Instant::now(), |client| self.server.has_allocation(client));
    }

    fn stats(&self) -> Stats {
        Stats {
            send_refused: self.send_refused,
            connections: self.streams.len() as u64,
            connections_refused: self.streams.refused,
            ..self.server.stats()
        }
    }

    fn serve_media(&mut self, waiting: &mut Vec<Datagram>) {
        let now = Instant::now();
        let mut outgoing = std::mem::take(&mut self.outgoing);
        for datagram in waiting.drain(..) {
            let client = self.server.handle_media(
                now,
                datagram.relayed,
                datagram.media,
                &datagram.payload,
                &mut outgoing,
            );
            if let Some(client) = client {
                self.send(client, &outgoing);
            }
        }
        self.outgoing = outgoing;
    }

    fn send(&mut self, client: ClientAddr, payload: &[u8]) {
        // Waiting for a full socket would delay everybody else's packets; a dropped one is asked for again.
        let is_sent = match client.transport {
            Transport::Udp => self.socket.try_send_to(payload, client.addr).is_ok(),
            Transport::Tcp => self.streams.send(client, payload),
        };
        if !is_sent {
            self.send_refused += 1;
        }
    }
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

/// The datagram with a payload of its own, cut from the block; a used-up block lives until its last payload is gone.
fn own(block: &mut BytesMut, relay: ToMedia<'_>) -> Datagram {
    if block.capacity() < relay.payload.len() {
        block.reserve(BLOCK_BYTES);
    }
    block.extend_from_slice(relay.payload);
    Datagram { relayed: relay.relayed, media: relay.media, payload: block.split().freeze() }
}
