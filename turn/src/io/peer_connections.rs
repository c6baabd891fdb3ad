//! The TCP connections of relayed addresses (RFC 6062): listeners, connection attempts to peers, and connected peers
//! that wait for their client.
//!
//! ```text
//!   a task for each listener ──┐
//!   a task for each attempt ───┴─▶ events (bounded) ─▶ Shell ─▶ Server
//!                                                       │
//!                                   waiting ◀───────────┤
//!                                      └── Join ─▶ the task of the client's connection (`streams`, `splice`)
//! ```
//!
//! The shell does not read from a waiting peer: its data stays in the kernel until the receive window is full
//! (back-pressure).

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::debug;

use super::sockets::bind_relayed;
use super::streams::ACCEPT_PAUSE;
use super::{Datagram, Shell};
use crate::PeerConnectionId;

/// The maximum number of queued events. When full, listeners and connection attempts wait, and finally the peers.
const EVENTS: usize = 64;
/// The backlog of a listener; the kernel refuses more connections.
const BACKLOG: u32 = 64;

/// An event on the peers' side.
pub(super) enum PeerEvent {
    /// A peer has connected to a relayed address.
    Incoming { relayed: SocketAddr, peer: SocketAddr, stream: TcpStream },
    /// The result of a connection attempt.
    Called { id: PeerConnectionId, outcome: io::Result<TcpStream> },
}

/// All listeners, connection attempts and waiting peers. The server limits their number.
pub(super) struct PeerConnections {
    events: mpsc::Receiver<PeerEvent>,
    sender: mpsc::Sender<PeerEvent>,
    listeners: HashMap<SocketAddr, AbortHandle>,
    calls: HashMap<PeerConnectionId, AbortHandle>,
    waiting: HashMap<PeerConnectionId, TcpStream>,
}

impl PeerConnections {
    pub(super) fn new() -> PeerConnections {
        let (sender, events) = mpsc::channel(EVENTS);
        PeerConnections {
            events,
            sender,
            listeners: HashMap::new(),
            calls: HashMap::new(),
            waiting: HashMap::new(),
        }
    }

    /// Waits for the next event. Cancel safe.
    pub(super) async fn event(&mut self) -> PeerEvent {
        // This struct keeps a sender, so the channel is never closed.
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// Listens at a relayed address; `false` on failure.
    pub(super) fn listen(&mut self, relayed: SocketAddr) -> bool {
        match listen(relayed) {
            Ok(listener) => {
                let task = tokio::spawn(accept(listener, relayed, self.sender.clone()));
                self.listeners.insert(relayed, task.abort_handle());
                true
            }
            Err(error) => {
                debug!(%relayed, %error, "could not listen at a relayed address");
                false
            }
        }
    }

    pub(super) fn close(&mut self, relayed: SocketAddr) {
        if let Some(task) = self.listeners.remove(&relayed) {
            task.abort();
        }
    }

    pub(super) fn call(&mut self, id: PeerConnectionId, relayed: SocketAddr, peer: SocketAddr) {
        let events = self.sender.clone();
        let task = tokio::spawn(async move {
            let outcome = call(relayed, peer).await;
            // An error means that the server has stopped.
            let _ = events.send(PeerEvent::Called { id, outcome }).await;
        });
        self.calls.insert(id, task.abort_handle());
    }

    pub(super) fn disconnect(&mut self, id: PeerConnectionId) {
        self.waiting.remove(&id);
        if let Some(task) = self.calls.remove(&id) {
            task.abort();
        }
    }

    /// Removes and returns a waiting peer.
    pub(super) fn take(&mut self, id: PeerConnectionId) -> Option<TcpStream> {
        self.waiting.remove(&id)
    }
}

impl Drop for PeerConnections {
    fn drop(&mut self) {
        for task in self.listeners.values().chain(self.calls.values()) {
            task.abort();
        }
    }
}

impl<F: Fn(Datagram)> Shell<F> {
    pub(super) fn handle_peer_event(&mut self, event: PeerEvent) {
        let now = Instant::now();
        match event {
            PeerEvent::Incoming { relayed, peer, stream } => {
                if let Some(id) = self.server.handle_incoming(now, relayed, peer) {
                    self.peers.waiting.insert(id, stream);
                }
            }
            PeerEvent::Called { id, outcome } => {
                // The attempt may have been cancelled meanwhile.
                if self.peers.calls.remove(&id).is_some() {
                    let is_connected = outcome.is_ok();
                    match outcome {
                        Ok(stream) => drop(self.peers.waiting.insert(id, stream)),
                        Err(error) => debug!(%error, "could not connect to a peer"),
                    }
                    self.server.handle_connected(now, id, is_connected);
                }
            }
        }
    }
}

/// Listens exclusively, and then allows outgoing connections from the same address.
fn listen(relayed: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(relayed)?;
    bind_relayed(relayed, |addr| socket.bind(addr))?;
    let listener = socket.listen(BACKLOG)?;
    SockRef::from(&listener).set_reuse_port(true)?;
    Ok(listener)
}

/// Connects to a peer. RFC 6062 §5.2: "The local endpoint is the relayed transport address".
async fn call(relayed: SocketAddr, peer: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket(relayed)?;
    socket.set_reuseport(true)?;
    bind_relayed(relayed, |addr| socket.bind(addr))?;
    let stream = socket.connect(peer).await?;
    hurry(&stream);
    Ok(stream)
}

/// Creates a socket that can be bound while earlier connections from the same address are in TIME_WAIT.
fn socket(relayed: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match relayed {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    if relayed.is_ipv6() {
        // The same port of IPv4 may belong to another client.
        SockRef::from(&socket).set_only_v6(true)?;
    }
    Ok(socket)
}

/// Disables Nagle's algorithm, to pass data on without delay. A failure only costs delay.
fn hurry(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
}

async fn accept(listener: TcpListener, relayed: SocketAddr, events: mpsc::Sender<PeerEvent>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                hurry(&stream);
                let incoming = PeerEvent::Incoming { relayed, peer, stream };
                if events.send(incoming).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                debug!(%error, "could not accept a peer's connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
