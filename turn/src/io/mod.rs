//! The shell around the server: its sockets and clocks, and the mailbox for datagrams from the media engine.
#![expect(clippy::disallowed_methods, reason = "this module is where the clocks are read")]

mod commands;
mod dtls;
mod mailbox;
mod own_addresses;
mod peer_connections;
mod readable;
mod relays;
mod run;
mod sockets;
mod splice;
mod streams;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{ClientAddr, Path, Server, Stats, ToPeer, Transport};
pub use dtls::DtlsListener;
use dtls::DtlsSide;
use mailbox::ClientStream;
pub use mailbox::{Datagram, Handle, Mailbox, Stream, mailbox};
use peer_connections::PeerConnections;
use relays::Relays;
use run::Run;
use sockets::{BatchSocket, Received};
use splice::{Carried, Join};
use streams::{StreamEvent, Streams};

/// The maximum number of media datagrams, receive calls, or connection events handled per wake-up before the other
/// sources get their turn.
const BATCH: usize = 64;

/// The number of client datagrams after which a wake-up makes no further receive call. One call may return 2000 small
/// datagrams.
const BATCH_OF_CLIENTS: usize = 512;

/// The interval between checks for idle connections.
const SWEEP: Duration = Duration::from_secs(1);

/// The size of the blocks from which payloads for the media engine are cut, so that many packets share one memory
/// allocation.
const BLOCK_BYTES: usize = 64 * 1024;

/// The listeners for clients. UDP and TCP usually have the same port number.
#[derive(Debug)]
pub struct Listeners {
    /// The UDP socket.
    pub udp: UdpSocket,
    /// The TCP listener.
    pub tcp: TcpListener,
    /// The listener for DTLS, on another port.
    pub dtls: Option<DtlsListener>,
}

/// Serves clients on `listeners` until `shutdown` is cancelled. Passes datagrams for the media engine to `deliver`,
/// which must not block.
///
/// # Errors
/// When the runtime can no longer wait for a socket. A datagram that can't be received or sent is not an error.
pub async fn run(
    listeners: Listeners,
    server: Server,
    mailbox: Mailbox,
    deliver: impl Fn(Datagram),
    shutdown: CancellationToken,
) -> io::Result<()> {
    let Mailbox { mut receiver, mut connections, stats } = mailbox;
    let mut shell = Shell {
        clients: BatchSocket::of_clients(listeners.udp)?,
        streams: Streams::new(listeners.tcp),
        dtls: listeners.dtls.map(DtlsSide::new).transpose()?,
        relays: Relays::new(),
        peers: PeerConnections::new(),
        carried: Arc::default(),
        binding: None,
        server,
        deliver,
        send_refused: 0,
        block: BytesMut::new(),
        to_clients: Run::new(),
        to_peers: Run::new(),
    };
    let mut received = Received::new();
    let mut waiting = Vec::with_capacity(BATCH);
    let mut sweeps = tokio::time::interval(SWEEP);
    let mut alarm = pin!(tokio::time::sleep(Duration::ZERO));
    info!("TURN is served");
    loop {
        let deadlines = [shell.server.poll_timeout(), DtlsSide::poll_timeout(&shell.dtls)];
        let deadline = deadlines.into_iter().flatten().min();
        if let Some(deadline) = deadline.map(Into::into)
            && alarm.deadline() != deadline
        {
            alarm.as_mut().reset(deadline);
        }
        tokio::select! {
            () = shutdown.cancelled() => {
                shell.close_dtls();
                return Ok(());
            }
            readable = shell.clients.readable() => {
                readable?;
                shell.serve_clients(&mut received);
            }
            readable = DtlsSide::readable(&shell.dtls) => {
                readable?;
                shell.serve_dtls(&mut received);
            }
            () = shell.relays.ready() => shell.serve_relays(&mut received),
            event = shell.streams.event() => shell.serve_streams(event),
            event = shell.peers.event() => shell.handle_peer_event(event),
            Some((stream, client)) = connections.recv() => {
                shell.handle_stream(StreamEvent::Accepted(stream, client));
            }
            _ = sweeps.tick() => shell.sweep(),
            // When all handles are dropped, this branch is disabled; clients are still served.
            1.. = receiver.recv_many(&mut waiting, BATCH) => shell.serve_media(&mut waiting),
            () = &mut alarm, if deadline.is_some() => {
                let now = Instant::now();
                shell.server.handle_timeout(now);
                shell.handle_dtls_timeout(now);
            }
        }
        shell.carry_out_commands();
        shell.flush();
        stats.send_replace(shell.stats());
    }
}

struct Shell<F> {
    clients: BatchSocket,
    streams: Streams,
    dtls: Option<DtlsSide>,
    relays: Relays,
    peers: PeerConnections,
    /// The bytes carried by data connections.
    carried: Arc<Carried>,
    /// The client whose ConnectionBind is being handled, and the channel that tells its task the result.
    binding: Option<(ClientAddr, oneshot::Sender<Join>)>,
    server: Server,
    deliver: F,
    /// Datagrams and messages that a socket, or the outbox of a slow client, refused.
    send_refused: u64,
    /// The block from which payloads for the media engine are cut.
    block: BytesMut,
    /// The buffer in which datagrams for clients are framed.
    to_clients: Run<ClientAddr>,
    /// Datagrams from relayed addresses to peers.
    to_peers: Run<Way>,
}

/// The path of a datagram to a peer.
#[derive(Clone, Copy, PartialEq)]
struct Way {
    relayed: SocketAddr,
    peer: SocketAddr,
    dont_fragment: bool,
}

impl<F: Fn(Datagram)> Shell<F> {
    fn serve_clients(&mut self, received: &mut Received) {
        let (now, unix_now) = (Instant::now(), unix_now());
        let mut served = 0;
        for _ in 0..BATCH {
            let may_be_more = self.clients.receive(received);
            for (from, to, datagram) in received.datagrams() {
                let client = ClientAddr::udp(from).at(self.clients.reached_at(to));
                self.handle_message(now, unix_now, client, datagram);
                served += 1;
            }
            if !may_be_more || served >= BATCH_OF_CLIENTS {
                return;
            }
        }
    }

    fn serve_streams(&mut self, event: StreamEvent) {
        self.handle_stream(event);
        for _ in 1..BATCH {
            let Some(event) = self.streams.try_event() else { return };
            self.handle_stream(event);
        }
    }

    fn serve_relays(&mut self, received: &mut Received) {
        let now = Instant::now();
        // Read each socket once; a socket with data left is then ready again.
        for _ in 0..self.relays.ready_count() {
            let Some(relayed) = self.relays.receive(received) else { continue };
            for (peer, _, payload) in received.datagrams() {
                let start = self.to_clients.bytes.len();
                let out = &mut self.to_clients.bytes;
                if let Some(client) = self.server.handle_peer(now, relayed, peer, payload, out) {
                    self.framed(start, client);
                }
            }
        }
    }

    fn handle_stream(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Accepted(stream, client) => {
                // A new connection with the same addresses proves that the previous one is gone.
                self.server.handle_closed(client);
                self.streams.accept(Instant::now(), stream, client);
            }
            // An event of a connection that was closed meanwhile. Another connection may have the same addresses.
            StreamEvent::Received(client, connection, _)
            | StreamEvent::Bind(client, connection, ..)
            | StreamEvent::Ended(client, connection)
                if !self.streams.is_present(client, connection) => {}
            StreamEvent::Received(client, _, message) => {
                self.handle_message(Instant::now(), unix_now(), client, &message);
            }
            StreamEvent::Bind(client, _, message, verdict) => {
                self.binding = Some((client, verdict));
                self.handle_message(Instant::now(), unix_now(), client, &message);
                self.binding = None;
            }
            StreamEvent::Ended(client, _) => {
                self.streams.close(client);
                self.server.handle_closed(client);
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
        match self.server.handle_datagram(now, unix_now, client, message) {
            Some(relay) if relay.path == Path::Media => {
                (self.deliver)(own(&mut self.block, relay));
            }
            Some(relay) => self.send_to_peer(relay),
            None => self.carry_out_commands(),
        }
        self.send_answers();
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        self.streams.sweep(now, |client| self.server.has_allocation(client));
        self.sweep_dtls(now);
    }

    fn stats(&self) -> Stats {
        let stats = Stats {
            send_refused: self.send_refused,
            connections: self.streams.len() as u64,
            connections_refused: self.streams.refused,
            ..self.server.stats()
        };
        let stats = self.carried.add_to(stats);
        self.dtls.as_ref().map_or(stats, |side| side.add_to(stats))
    }

    fn serve_media(&mut self, waiting: &mut Vec<Datagram>) {
        let now = Instant::now();
        for Datagram { relayed, media, payload } in waiting.drain(..) {
            let start = self.to_clients.bytes.len();
            let out = &mut self.to_clients.bytes;
            if let Some(client) = self.server.handle_media(now, relayed, media, &payload, out) {
                self.framed(start, client);
            }
        }
    }

    fn send(&mut self, client: ClientAddr, payload: &[u8]) {
        let start = self.to_clients.bytes.len();
        self.to_clients.bytes.extend_from_slice(payload);
        self.framed(start, client);
    }

    /// Sends the datagram framed from `start` on to this client.
    fn framed(&mut self, start: usize, client: ClientAddr) {
        let Shell { clients, streams, to_clients, send_refused, .. } = self;
        match client.transport {
            Transport::Udp => {
                let most = clients.longest_run();
                to_clients.appended(start, client, most, |to, bytes, segment| {
                    *send_refused += clients.answer(to, bytes, segment);
                });
            }
            Transport::Tcp | Transport::Tls => {
                if !streams.send(client, &to_clients.bytes[start..]) {
                    *send_refused += 1;
                }
                to_clients.bytes.truncate(start);
            }
            Transport::Dtls => {
                self.send_by_dtls(client, start..self.to_clients.bytes.len());
                self.to_clients.bytes.truncate(start);
            }
        }
    }

    fn send_to_peer(&mut self, relay: ToPeer<'_>) {
        let Shell { relays, to_peers, send_refused, clients, .. } = self;
        let ToPeer { relayed, peer, payload, dont_fragment, .. } = relay;
        let start = to_peers.bytes.len();
        to_peers.bytes.extend_from_slice(payload);
        // The kernel's limit is the same for all sockets.
        let most = clients.longest_run();
        let way = Way { relayed, peer, dont_fragment };
        to_peers.appended(start, way, most, |way, bytes, segment| {
            *send_refused += send_to_peer(relays, way, bytes, segment);
        });
    }

    /// Sends the collected datagrams; none waits longer than one wake-up.
    fn flush(&mut self) {
        let Shell { relays, clients, dtls, to_peers, to_clients, send_refused, .. } = self;
        if let Some(side) = dtls {
            side.flush();
        }
        to_clients.flush(|to, bytes, segment| {
            *send_refused += clients.answer(to, bytes, segment);
        });
        to_peers.flush(|way, bytes, segment| {
            *send_refused += send_to_peer(relays, way, bytes, segment);
        });
    }
}

/// Sends a run from a relayed address to a peer; returns how many datagrams were refused.
fn send_to_peer(relays: &Relays, way: Way, bytes: &[u8], segment: usize) -> u64 {
    match relays.get(way.relayed) {
        Some(socket) if way.dont_fragment => socket.send_whole(way.peer, bytes, segment),
        Some(socket) => socket.send(way.peer, bytes, segment),
        // The socket has just been closed.
        None => 1,
    }
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

/// Copies the payload into the block. A used-up block lives until its last payload is dropped.
fn own(block: &mut BytesMut, relay: ToPeer<'_>) -> Datagram {
    if block.capacity() < relay.payload.len() {
        block.reserve(BLOCK_BYTES);
    }
    block.extend_from_slice(relay.payload);
    Datagram { relayed: relay.relayed, media: relay.peer, payload: block.split().freeze() }
}
