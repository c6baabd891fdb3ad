//! What a room does to the world.

use std::collections::HashSet;
use std::sync::Arc;

use madang_sfu::{Mid, PeerId, Source};
use madang_wire::{Event, Request, Secret, Signal};

use super::{Keeping, rights};
use crate::auth::Grant;
use crate::broker::{Requester, SessionId};
use crate::store::{ChatRecord, NewChatMessage};

/// Everything that a room can do. The task carries effects out in their order.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Ask the media engine for an answer, and call `handle_answer` with it before anything else.
    Offer { peer: PeerId, sdp: String },
    /// Show a source in a peer's slot, or nothing.
    Assign { peer: PeerId, slot: Mid, source: Option<Source> },
    /// Forward what a peer publishes on an m-line, or drop it.
    Permit { peer: PeerId, mid: Mid, is_permitted: bool },
    /// End a peer's media.
    RemovePeer { peer: PeerId },
    /// Tell one session something.
    Signal { to: Requester, signal: Signal },
    /// Tell those who listen to the room's events.
    Publish { event: Event, to: Audience },
    /// Store a chat message, then deliver it and acknowledge it, in the order in which they were given.
    StoreChat { from: Requester, message: NewChatMessage },
    /// Have a password checked, and call `handle_verified` with the result.
    Verify { ticket: u64, password: Secret, hash: String },
    /// Have the store keep something, and tell `from` that it is done.
    Keep { from: Option<Requester>, keeping: Box<Keeping> },
    /// Delete a chat message, if they may, and call `handle_deleted`.
    DeleteMessage { deleter: Deleter, id: String },
    /// Delete the room with all that the store has of it, once its chat is stored; nothing comes after it.
    DeleteRoom,
    /// There are so many participants from here on; the room's summary may be another besides.
    Count(u32),
}

/// Who of those that subscribed gets something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    Everybody,
    These(Arc<HashSet<SessionId>>),
}

impl Audience {
    pub(crate) fn has(&self, session: SessionId) -> bool {
        match self {
            Audience::Everybody => true,
            Audience::These(sessions) => sessions.contains(&session),
        }
    }
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

/// Who wants a message deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deleter {
    /// For the audit.
    pub(crate) name: String,
    /// Whether they may delete what others wrote.
    pub(crate) moderates: bool,
    pub(crate) participant: Option<String>,
    pub(crate) user: Option<String>,
    /// Who hears `done`.
    pub(crate) from: Option<Requester>,
}

impl Deleter {
    /// See [`rights::may_delete`].
    pub(crate) fn may_delete(&self, found: &ChatRecord) -> bool {
        let is_author = self.participant.as_ref() == Some(&found.message.from.id)
            || (self.user.is_some() && self.user == found.from_user);
        rights::may_delete(is_author, self.moderates, &found.message)
    }
}
