//! The effects and inputs of a room.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use madang_sfu::{Mid, PeerId, Receivers, Source};
use madang_wire::{Event, Request, Secret, Signal};

use super::{Keeping, rights};
use crate::auth::Grant;
use crate::broker::{Requester, SessionId};
use crate::rooms::account::Account;
use crate::store::{ChatRecord, NewChatMessage};

/// Everything that a room can do to the outside. The task carries effects out in order.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Pass an offer to the media engine, and call `handle_answer` with its answer before anything else. The offer is
    /// for the client's `current` peer or, if it comes from another connection, for the new `peer`. `receivers` are the
    /// others in the room.
    Offer { peer: PeerId, current: Option<PeerId>, sdp: String, receivers: Receivers },
    /// Show a source in a peer's slot; `None` empties the slot.
    Assign { peer: PeerId, slot: Mid, source: Option<Source> },
    /// Forward or drop what a peer publishes on an m-line.
    Permit { peer: PeerId, mid: Mid, is_permitted: bool },
    /// End a peer's media.
    RemovePeer { peer: PeerId },
    /// Send a signal to one session.
    Signal { to: Requester, signal: Signal },
    /// Publish an event to subscribers of the room's events.
    Publish { event: Event, to: Audience },
    /// Store a chat message, then deliver and acknowledge it. Messages keep the order of their effects.
    StoreChat { from: Requester, account: Account, message: NewChatMessage },
    /// Check a password, and call `handle_verified` with the result.
    Verify { ticket: u64, account: Account, password: Secret, hash: String },
    /// Store a change and its audit entry, then send `done` to `from`.
    Keep { from: Option<Requester>, keeping: Box<Keeping> },
    /// Delete a chat message if the deleter may, and call `handle_deleted`.
    DeleteMessage { deleter: Deleter, id: String },
    /// Delete everything that the store has of the room, once pending chat is stored. The room's task then ends.
    DeleteRoom,
    /// The number of participants; the room's summary may have changed too.
    Count(u32),
}

/// The subscribers who receive an event.
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
    /// The client's address.
    pub(crate) address: IpAddr,
    /// The sender's permissions.
    pub(crate) grant: Arc<Grant>,
    /// The `resume` header.
    pub(crate) resume: Option<String>,
    /// The `message-id` header, with which a client makes sure that a message is stored only once.
    pub(crate) message_id: Option<String>,
    pub(crate) request: Request,
}

impl Asked {
    /// The account whose shares the request counts for.
    pub(crate) fn account(&self) -> Account {
        Account::of(&self.grant, self.address)
    }
}

/// The requester of a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deleter {
    /// For the audit log.
    pub(crate) name: String,
    /// Whether they may moderate, and so delete public messages of others.
    pub(crate) moderates: bool,
    pub(crate) participant: Option<String>,
    pub(crate) user: Option<String>,
    /// The session that receives `done`.
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
