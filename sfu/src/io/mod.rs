//! Threads, sockets and clocks: the I/O shell around the sans-IO worker.
//!
//! [`Engine::start`] binds a UDP and a TCP socket for each worker and gives each a thread of its own. A [`Handle`]
//! talks to the workers over bounded queues. A room is placed on one worker, the one with the fewest peers when it
//! opens, until it is too large for that; then the workers that share it hand each other packets through bounded rings.

mod addresses;
mod clerk;
mod command;
mod config;
mod placement;
mod sendmmsg;
mod socket;
mod tcp;
mod thread;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use crate::sdp::Offer;
use crate::transport::dtls::Identity;
use crate::transport::{framing, ice};
use crate::{Answer, Event, Mid, OfferError, PeerId, Receivers, RoomId, Source, Stats};
use addresses::Opened;
use clerk::Clerk;
use command::Command;
pub use command::{RelaySink, RelayedDatagram};
pub use config::{Config, StartError};
use placement::{Place, Placement};
use tcp::TcpEvent;
use thread::Thread;

/// Commands queued for a worker; beyond, the sender waits (back-pressure).
const COMMANDS: usize = 1024;
/// Relayed datagrams queued for a worker; beyond, they are dropped, as on a network.
const RELAYED: usize = 4096;
/// Events queued for the caller; beyond, they stay in the worker.
const EVENTS: usize = 4096;

/// The running engine. Dropping it does not stop it; [`Engine::shutdown`] does.
#[derive(Debug)]
pub struct Engine {
    handle: Handle,
    threads: Vec<JoinHandle<()>>,
    media_addresses: Vec<SocketAddr>,
    media_tcp_addresses: Vec<SocketAddr>,
}

/// A clonable handle for sending commands to the engine.
#[derive(Clone)]
pub struct Handle {
    clerk: Clerk,
    workers: Arc<[WorkerHandle]>,
    placement: Arc<Placement>,
}

struct WorkerHandle {
    commands: mpsc::Sender<Command>,
    streams: mpsc::Sender<TcpEvent>,
    relayed: mpsc::Sender<RelayedDatagram>,
    media_address: SocketAddr,
    stats: Arc<Mutex<Stats>>,
}

impl Engine {
    /// Binds the sockets and starts the workers. `relay` receives the datagrams for clients behind the bundled relay.
    ///
    /// # Errors
    /// If a socket can't be bound, or a thread can't be started.
    pub fn start(
        config: Config,
        relay: RelaySink,
    ) -> Result<(Engine, Handle, mpsc::Receiver<Event>), StartError> {
        let identity = Identity::generate().map_err(|error| {
            io::Error::other(format!("could not generate a DTLS certificate: {error}"))
        })?;
        let (events, event_receiver) = mpsc::channel(EVENTS);
        let relay: Arc<RelaySink> = Arc::new(relay);
        let placement =
            Arc::new(Placement::new(config.workers.max(1), config.peers_per_worker_and_room));
        let mut workers = Vec::new();
        let mut threads = Vec::new();
        let mut media_tcp_addresses = Vec::new();
        // Bounded by what is sent: packets by the rings of the lanes, and other messages are few per command and peer.
        let queues = (0..config.workers.max(1)).map(|_| mpsc::unbounded_channel());
        let (others, inboxes): (Vec<_>, Vec<_>) = queues.unzip();
        let others: Arc<[_]> = others.into();
        for (number, inbox) in inboxes.into_iter().enumerate() {
            let opened = Opened::open(&config, number)?;
            let media_address = opened.media_address;
            media_tcp_addresses.push(opened.media_tcp_address);
            let streams = opened.tcp.sender();
            let (commands, command_receiver) = mpsc::channel(COMMANDS);
            let (relayed, relayed_receiver) = mpsc::channel(RELAYED);
            let stats = Arc::new(Mutex::new(Stats::default()));
            let thread = Thread {
                number,
                inbox,
                others: Arc::clone(&others),
                media_address,
                commands: command_receiver,
                relayed: relayed_receiver,
                relay: Arc::clone(&relay),
                events: events.clone(),
                placement: Arc::clone(&placement),
                stats: Arc::clone(&stats),
                bitrate_limits: config.bitrate_limits,
            };
            threads.push(thread.spawn(opened, identity.clone())?);
            workers.push(WorkerHandle { commands, streams, relayed, media_address, stats });
        }
        let media_addresses = workers.iter().map(|worker| worker.media_address).collect();
        let handle = Handle { clerk: Clerk::new(), workers: workers.into(), placement };
        let engine =
            Engine { handle: handle.clone(), threads, media_addresses, media_tcp_addresses };
        Ok((engine, handle, event_receiver))
    }

    /// The first UDP candidate of each worker, in the order of workers.
    pub fn media_addresses(&self) -> &[SocketAddr] {
        &self.media_addresses
    }

    /// The first TCP candidate of each worker, in the order of workers.
    pub fn media_tcp_addresses(&self) -> &[SocketAddr] {
        &self.media_tcp_addresses
    }

    /// Closes the connections of all peers with a DTLS close_notify, and ends the threads.
    pub async fn shutdown(self) {
        for worker in self.handle.workers.iter() {
            // A closed queue means that the thread has already ended.
            let _ = worker.commands.send(Command::Shutdown).await;
        }
        let threads = self.threads;
        let join = move || threads.into_iter().map(JoinHandle::join).all(|ended| ended.is_ok());
        if !tokio::task::spawn_blocking(join).await.unwrap_or(false) {
            tracing::error!("a media worker thread panicked or could not be joined");
        }
    }
}

impl Handle {
    /// Answers an offer. The first one adds the peer (and the room, with its first peer); later ones of the same peer
    /// renegotiate: more slots, other m-lines, an ICE restart. `receivers` are the other peers of the room that receive
    /// video; the answer puts first what most of them can decode.
    ///
    /// # Errors
    /// See [`OfferError`]. A refused first offer leaves no peer behind; a refused later one leaves the peer as it was.
    pub async fn offer(
        &self,
        room: RoomId,
        peer: PeerId,
        sdp: String,
        receivers: Receivers,
    ) -> Result<Answer, OfferError> {
        let offer = self.clerk.read(sdp, receivers).await?;
        self.place(room, peer, offer).await
    }

    /// Answers a later offer of the client whose peer is `current`. It renegotiates that peer if it comes from the same
    /// `RTCPeerConnection`, which is known by its DTLS association: its certificate and, if the offers have one, its
    /// `a=tls-id` (RFC 8842 §4). Otherwise, or if `current` has ended, it adds the peer `fresh`; the caller then removes
    /// `current`. [`Answer::peer`] tells which of the two it was.
    ///
    /// # Errors
    /// See [`OfferError`]. A refused offer changes nothing.
    pub async fn offer_again(
        &self,
        room: RoomId,
        current: PeerId,
        fresh: PeerId,
        sdp: String,
        receivers: Receivers,
    ) -> Result<Answer, OfferError> {
        let offer = self.clerk.read(sdp, receivers).await?;
        match self.placement.worker_of(current) {
            Some(worker) => self.ask(worker, room, fresh, Some(current), offer).await,
            None => self.place(room, fresh, offer).await,
        }
    }

    /// Gives an offer to the worker of its peer, which is chosen if the peer is new.
    async fn place(
        &self,
        room: RoomId,
        peer: PeerId,
        offer: Box<Offer>,
    ) -> Result<Answer, OfferError> {
        let Place { worker, is_new } = self.placement.place(room, peer);
        let answer = self.ask(worker, room, peer, None, offer).await;
        if is_new && answer.is_err() {
            self.placement.forget(peer);
        }
        answer
    }

    async fn ask(
        &self,
        worker: usize,
        room: RoomId,
        peer: PeerId,
        current: Option<PeerId>,
        offer: Box<Offer>,
    ) -> Result<Answer, OfferError> {
        let (reply, agreed) = oneshot::channel();
        let command = Command::Offer { room, peer, current, offer, reply };
        // A closed queue means that the engine has ended.
        let sent = self.workers[worker].commands.send(command).await;
        sent.map_err(|_| OfferError::Overloaded)?;
        let (offer, agreement) = agreed.await.map_err(|_| OfferError::Overloaded)?;
        self.clerk.write(offer, agreement?).await
    }

    /// Puts a source into a video slot, or empties the slot. The slot starts on a key frame, which is requested.
    /// In an audio slot, pins a voice, which is then heard whoever else speaks, or leaves the slot to the active speakers.
    /// Unknown peers and slots are ignored, since they may have gone in the meantime.
    pub async fn assign(&self, peer: PeerId, slot: Mid, source: Option<Source>) {
        self.send(peer, Command::Assign { peer, slot, source }).await;
    }

    /// Sets whether what a peer publishes on an m-line is forwarded; by default it is. Forbidden media is dropped on
    /// arrival, in all its layers, whatever the client sends: nobody receives it, it makes nobody an active speaker and
    /// takes no audio slot, and nothing received before is sent from then on. When it is permitted again, video starts
    /// on a key frame, which is requested.
    ///
    /// The setting holds for this m-line through all later offers of the peer, and may be made before the offer that
    /// adds the m-line. Unknown peers are ignored. So for a peer's first offer, make it after the answer has returned
    /// and before the client gets that answer, without which no media can flow.
    pub async fn permit(&self, peer: PeerId, mid: Mid, is_permitted: bool) {
        self.send(peer, Command::Permit { peer, mid, is_permitted }).await;
    }

    /// Removes a peer: its media stops, and its slots vanish. The last peer takes the room with it.
    pub async fn remove(&self, peer: PeerId) {
        self.send(peer, Command::Remove { peer }).await;
        self.placement.forget(peer);
    }

    async fn send(&self, peer: PeerId, command: Command) {
        if let Some(worker) = self.placement.worker_of(peer) {
            // A closed queue means that the engine has ended, and the peer with it.
            let _ = self.workers[worker].commands.send(command).await;
        }
    }

    /// Delivers a datagram that arrived through a relay. Never blocks; drops the datagram if the worker is behind.
    pub fn deliver_relayed(&self, datagram: RelayedDatagram) {
        let mut workers = self.workers.iter();
        if let Some(worker) = workers.find(|worker| worker.media_address == datagram.media) {
            // A full queue drops it, as a network would.
            let _ = worker.relayed.try_send(datagram);
        }
    }

    /// Takes over a connection that arrived at a port shared with others; see [`Config::shared_tcp`]. `first` is what
    /// will be read from it first: at least one whole framed datagram (RFC 4571 §2). It must be an ICE check with the
    /// ufrag of a peer, which identifies the worker. Otherwise, or if the worker has too many connections, the
    /// connection is closed. Waits while the worker is behind.
    pub async fn accept_tcp(&self, stream: TcpStream, remote: SocketAddr, first: &[u8]) {
        let worker = framing::first(first).and_then(ice::worker_addressed);
        let Some(worker) = worker.and_then(|number| self.workers.get(number)) else {
            return tracing::debug!(
                "closing a connection whose first datagram is not an ICE check for a known worker"
            );
        };
        // Until then, the stream belongs to the runtime that accepted it.
        match stream.into_std() {
            Ok(stream) => {
                // A closed queue means that the engine has ended.
                let _ = worker.streams.send(TcpEvent::HandedOver(stream, remote)).await;
            }
            Err(error) => tracing::debug!(%error, "could not hand a connection to its worker"),
        }
    }

    /// A snapshot of each worker's counters, in the order of workers; at most 200 ms old.
    pub fn stats(&self) -> Vec<Stats> {
        let snapshot =
            |worker: &WorkerHandle| *worker.stats.lock().unwrap_or_else(PoisonError::into_inner);
        self.workers.iter().map(snapshot).collect()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("workers", &self.workers.len()).finish()
    }
}
