//! Commands and datagrams that the rest of the process sends to a worker.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::sdp::Offer;
use crate::worker::Agreement;
use crate::{Mid, OfferError, PeerId, RoomId, Source};

/// Everything that can be asked of a worker.
pub(super) enum Command {
    Offer {
        room: RoomId,
        peer: PeerId,
        /// The client's peer so far; see [`super::Handle::offer_again`].
        current: Option<PeerId>,
        offer: Box<Offer>,
        /// Takes the offer back, too: the answer is written from both, and the worker need not drop a large one.
        reply: oneshot::Sender<(Box<Offer>, Result<Agreement, OfferError>)>,
    },
    Assign {
        peer: PeerId,
        slot: Mid,
        source: Option<Source>,
    },
    Permit {
        peer: PeerId,
        mid: Mid,
        is_permitted: bool,
    },
    Remove {
        peer: PeerId,
    },
    Shutdown,
}

/// A datagram from or to a client behind a relay in this process (the bundled TURN server).
#[derive(Clone, Debug)]
pub struct RelayedDatagram {
    /// The relayed transport address of the client's allocation.
    pub relayed: SocketAddr,
    /// The media address of this engine that the relay talks to.
    pub media: SocketAddr,
    /// The payload.
    pub payload: Bytes,
}

/// Accepts datagrams to relayed addresses; must neither block nor panic.
pub type RelaySink = Box<dyn Fn(RelayedDatagram) + Send + Sync>;
