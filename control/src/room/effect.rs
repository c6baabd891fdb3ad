//! What a room does to the world.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use madang_sfu::{Mid, PeerId, RoomId, Source};
use madang_wire::{Event, Request, RoomName, Signal};

use crate::auth::Grant;
use crate::broker::SessionId;
use crate::hub::{IceServers, Limits};
use crate::store::NewChatMessage;

/// Everything that a room can do. The task carries effects out in their order.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Ask the media engine for an answer, and call `handle_answer` with it before anything else.
    Offer { peer: PeerId, sdp: String },
    /// Show a source in a peer's slot, or nothing.
    Assign { peer: PeerId, slot: Mid, source: Option<Source> },
    /// End a peer's media.
    RemovePeer { peer: PeerId },
    /// Tell one session something.
    Signal { to: Requester, signal: Signal },
    /// Tell everybody who listens to the room's events.
    Publish(Event),
    /// Store a chat message, then deliver it and acknowledge it, in the order in which they were given.
    StoreChat { from: Requester, message: NewChatMessage },
    /// There are so many participants from here on.
    Count(u32),
}

/// A session, and the request that is being answered, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requester {
    pub(crate) session: SessionId,
    /// Its header `correlation-id`.
    pub(crate) correlation_id: Option<String>,
}

/// A request on its way to a room.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) from: Requester,
    /// What its sender may do.
    pub(crate) grant: Arc<Grant>,
    /// The header `resume`.
    pub(crate) resume: Option<String>,
    /// The header `message-id`, by which a client makes sure that a message is stored once.
    pub(crate) message_id: Option<String>,
    pub(crate) request: Request,
}

impl From<SessionId> for Requester {
    fn from(session: SessionId) -> Requester {
        Requester { session, correlation_id: None }
    }
}

/// What time it is, for timers and for people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) instant: Instant,
    pub(crate) utc: Timestamp,
}

/// What a room is given at its start.
#[derive(Clone)]
pub(crate) struct RoomConfig {
    pub(crate) name: RoomName,
    pub(crate) id: RoomId,
    pub(crate) limits: Arc<Limits>,
    pub(crate) resume_grace: Duration,
    pub(crate) ice_servers: IceServers,
}
