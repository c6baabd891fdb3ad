//! Sessions that are not in the room yet: those whose password is being checked, those in the waiting room, and guests
//! that were turned away.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use madang_wire::request::Mids;
use madang_wire::{Role, Waiting};

use crate::auth::Grant;
use crate::broker::{Requester, SessionId};
use crate::rooms::account::Account;

/// Most joiners in the waiting room; one more is refused.
const MAX_WAITING: usize = 100;
/// Most bytes of SDP held for the waiting room as a whole; a joiner who would exceed it is refused.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;
/// Most password checks of one room in progress; one more is refused.
const MAX_KNOCKING: usize = 64;
/// Most sessions of removed guests that are remembered; one more replaces the oldest.
const MAX_TURNED_AWAY: usize = 10_000;

/// Somebody who wants to join.
#[derive(Clone, Debug)]
pub(super) struct Joiner {
    pub(super) from: Requester,
    pub(super) grant: Arc<Grant>,
    /// The account that its wrong passwords count for.
    pub(super) account: Account,
    /// Already validated.
    pub(super) name: String,
    /// The requested role.
    pub(super) role: Option<Role>,
    /// Already validated.
    pub(super) mids: Mids,
    pub(super) sdp: Option<String>,
}

/// Everyone who is not in the room yet.
#[derive(Debug, Default)]
pub(super) struct Door {
    /// By ticket; at most [`MAX_KNOCKING`].
    knocking: HashMap<u64, Joiner>,
    last_ticket: u64,
    /// In order of arrival; bounded by [`MAX_WAITING`] and [`MAX_WAITING_BYTES`].
    waiting: Vec<(String, Joiner)>,
    /// At most [`MAX_TURNED_AWAY`].
    turned_away: VecDeque<SessionId>,
}

impl Door {
    /// Whether a session has a password check in progress or is in the waiting room.
    pub(super) fn has(&self, session: SessionId) -> bool {
        self.knocking.values().any(|joiner| joiner.from.session == session)
            || self.is_waiting(session)
    }

    /// Whether a session is in the waiting room.
    pub(super) fn is_waiting(&self, session: SessionId) -> bool {
        self.waiting.iter().any(|(_, joiner)| joiner.from.session == session)
    }

    /// Removes a session that no longer wants to join; returns whether it was here.
    pub(super) fn leave(&mut self, session: SessionId) -> bool {
        let before = self.knocking.len() + self.waiting.len();
        self.knocking.retain(|_, joiner| joiner.from.session != session);
        self.waiting.retain(|(_, joiner)| joiner.from.session != session);
        self.knocking.len() + self.waiting.len() < before
    }

    /// Forgets everything about a session that has ended.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.leave(session);
        self.turned_away.retain(|other| *other != session);
    }

    /// Whether the room may close as far as the door is concerned.
    pub(super) fn is_empty(&self) -> bool {
        self.knocking.is_empty() && self.waiting.is_empty()
    }

    /// Adds a joiner whose password is about to be checked. Returns their ticket, or `None` at [`MAX_KNOCKING`].
    pub(super) fn knock(&mut self, joiner: Joiner) -> Option<u64> {
        if self.knocking.len() >= MAX_KNOCKING {
            return None;
        }
        self.last_ticket += 1;
        self.knocking.insert(self.last_ticket, joiner);
        Some(self.last_ticket)
    }

    /// Removes and returns the joiner whose password was checked, if they have not left.
    pub(super) fn knocked(&mut self, ticket: u64) -> Option<Joiner> {
        self.knocking.remove(&ticket)
    }

    /// Adds a joiner to the waiting room; false when it is full.
    pub(super) fn wait(&mut self, id: String, joiner: Joiner) -> bool {
        let bytes = |joiner: &Joiner| joiner.sdp.as_ref().map_or(0, String::len);
        let all: usize = self.waiting.iter().map(|(_, joiner)| bytes(joiner)).sum();
        if self.waiting.len() >= MAX_WAITING || all + bytes(&joiner) > MAX_WAITING_BYTES {
            return false;
        }
        self.waiting.push((id, joiner));
        true
    }

    /// Whether somebody with this id is in the waiting room.
    pub(super) fn has_waiting(&self, id: &str) -> bool {
        self.waiting.iter().any(|(other, _)| other == id)
    }

    /// Removes and returns a joiner from the waiting room.
    pub(super) fn take(&mut self, id: &str) -> Option<Joiner> {
        let index = self.waiting.iter().position(|(other, _)| other == id)?;
        Some(self.waiting.remove(index).1)
    }

    /// Removes and returns everyone matching the predicate.
    pub(super) fn take_out(&mut self, is_it: impl Fn(&Joiner) -> bool) -> Vec<Joiner> {
        let knocking = self.knocking.extract_if(|_, joiner| is_it(joiner));
        let mut out: Vec<Joiner> = knocking.map(|(_, joiner)| joiner).collect();
        let waiting = self.waiting.extract_if(.., |(_, joiner)| is_it(joiner));
        out.extend(waiting.map(|(_, joiner)| joiner));
        out
    }

    /// Removes and returns the first joiner in the waiting room.
    pub(super) fn take_first(&mut self) -> Option<Joiner> {
        (!self.waiting.is_empty()).then(|| self.waiting.remove(0).1)
    }

    /// The waiting room as sent to moderators.
    pub(super) fn list(&self) -> Vec<Waiting> {
        let waiting = self.waiting.iter();
        waiting.map(|(id, joiner)| Waiting { id: id.clone(), name: joiner.name.clone() }).collect()
    }

    /// Turns a session away from now on.
    pub(super) fn turn_away(&mut self, session: SessionId) {
        if self.turned_away.len() >= MAX_TURNED_AWAY {
            self.turned_away.pop_front();
        }
        self.turned_away.push_back(session);
    }

    /// Whether the session's guest was removed.
    pub(super) fn turns_away(&self, session: SessionId) -> bool {
        self.turned_away.contains(&session)
    }

    /// Whether any guest was removed.
    pub(super) fn turns_anybody_away(&self) -> bool {
        !self.turned_away.is_empty()
    }
}
