//! Threads, sockets and clocks: the shell around the sans-IO worker.

use std::net::SocketAddr;

use tokio::sync::mpsc;

use crate::{Answer, Mid, OfferError, PeerId, RoomId, Source, Stats};

/// How the engine runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the first worker listens (UDP); worker n takes the port plus n. Port 0 lets the system choose for each.
    pub listen: SocketAddr,
    /// The address that goes into host candidates in place of `listen`'s.
    pub public_ip: Option<std::net::IpAddr>,
    /// Worker threads, at least 1.
    pub workers: usize,
}

/// What the engine has to say without being asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// ICE and DTLS of this peer are up; media flows.
    Connected {
        /// The peer.
        peer: PeerId,
    },
    /// The peer is gone for the engine: its consent ran out (RFC 7675), DTLS failed or was closed. The engine has
    /// forgotten it; `Handle::remove` is not needed.
    Disconnected {
        /// The peer.
        peer: PeerId,
        /// Why, in words for a log.
        reason: &'static str,
    },
    /// An audio slot carries another speaker from here on, or nobody.
    AudioSlot {
        /// The receiving peer.
        peer: PeerId,
        /// Its slot.
        slot: Mid,
        /// Whom it hears there.
        source: Option<Source>,
    },
    /// Who speaks in a room, loudest first; empty when it became quiet. At most 5 a second and room, only on change.
    Speakers {
        /// The room.
        room: RoomId,
        /// Peer and level in −dBov (0 is loudest, 127 silence; RFC 6464).
        levels: Vec<(PeerId, u8)>,
    },
}

/// A datagram that came through, or goes to, a relay in this process (the bundled TURN server).
#[derive(Clone, Debug)]
pub struct RelayedDatagram {
    /// The relayed transport address of the client's allocation.
    pub relayed: SocketAddr,
    /// The media address of this engine on the other side.
    pub media: SocketAddr,
    /// The payload.
    pub payload: bytes::Bytes,
}

/// Takes datagrams for relayed addresses; must neither block nor panic.
pub type RelaySink = Box<dyn Fn(RelayedDatagram) + Send + Sync>;

/// The running engine. Dropping it does not stop it; `shutdown` does.
#[derive(Debug)]
pub struct Engine {}

/// The clonable sender to the engine.
#[derive(Clone, Debug)]
pub struct Handle {}

impl Engine {
    /// Binds the sockets and starts the workers. `relay` gets what is sent to addresses behind the bundled relay.
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When a socket can't be bound; the text names the address.
    pub fn start(
        _config: Config,
        _relay: RelaySink,
    ) -> std::io::Result<(Engine, Handle, mpsc::Receiver<Event>)> {
        unimplemented!()
    }

    /// The addresses in the host candidates, one per worker, in the workers' order.
    pub fn media_addresses(&self) -> &[SocketAddr] {
        unimplemented!()
    }

    /// Tells every peer goodbye (DTLS close_notify) and ends the threads.
    pub async fn shutdown(self) {
        unimplemented!()
    }
}

impl Handle {
    /// Answers an offer. The first one creates the peer (and the room, with its first peer); a later one of the same
    /// peer renegotiates: more slots, other m-lines, an ICE restart.
    ///
    /// # Errors
    /// See [`OfferError`]. A refused first offer leaves no peer behind; a refused later one leaves the peer as it was.
    pub async fn offer(&self, _room: RoomId, _peer: PeerId, _sdp: String) -> Result<Answer, OfferError> {
        unimplemented!()
    }

    /// Puts a source into a video slot, or empties it. The slot starts on a key frame, which is asked for.
    /// Unknown peers and slots are ignored: they may have gone in the meantime.
    pub async fn assign(&self, _peer: PeerId, _slot: Mid, _source: Option<Source>) {
        unimplemented!()
    }

    /// Forgets a peer: its media stops, its slots vanish. The last peer takes the room with it.
    pub async fn remove(&self, _peer: PeerId) {
        unimplemented!()
    }

    /// Hands in a datagram that arrived by a relay. Never blocks; dropped when the worker is behind.
    pub fn deliver_relayed(&self, _datagram: RelayedDatagram) {
        unimplemented!()
    }

    /// A snapshot of each worker's counters, in the workers' order.
    pub fn stats(&self) -> Vec<Stats> {
        unimplemented!()
    }
}
