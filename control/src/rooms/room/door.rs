//! Who stands at the door: those whose password is being checked, those who wait to be let in, those turned away.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use madang_wire::request::Mids;
use madang_wire::{Role, Waiting};

use crate::auth::Grant;
use crate::broker::{Requester, SessionId};

/// Who may wait at a time; one more is refused.
const MAX_WAITING: usize = 100;
/// Bytes of SDP that all who wait have brought; whoever brings more is refused.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;
/// Passwords of one room that are checked at a time; one more is refused.
const MAX_KNOCKING: usize = 64;
/// Wrong passwords of a session within [`FORGIVEN_AFTER`]; then it has to wait.
const MAX_TRIES: u32 = 5;
/// How long after the last wrong password a session's tries are forgotten.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);
/// Sessions whose wrong passwords are remembered; nobody else's are checked while there are so many.
const MAX_TRIERS: usize = 10_000;
/// Sessions of guests that were removed; the one removed first is forgotten for one more.
const MAX_TURNED_AWAY: usize = 10_000;

/// Somebody who wants to come in.
#[derive(Clone, Debug)]
pub(super) struct Joiner {
    pub(super) from: Requester,
    pub(super) grant: Arc<Grant>,
    /// Checked.
    pub(super) name: String,
    /// What they asked for.
    pub(super) role: Option<Role>,
    /// Checked.
    pub(super) mids: Mids,
    pub(super) sdp: Option<String>,
}

/// All who are not in yet.
#[derive(Debug, Default)]
pub(super) struct Door {
    /// By ticket; at most [`MAX_KNOCKING`].
    knocking: HashMap<u64, Joiner>,
    last_ticket: u64,
    /// In the order in which they came; bounded by [`MAX_WAITING`] and [`MAX_WAITING_BYTES`].
    waiting: Vec<(String, Joiner)>,
    /// At most [`MAX_TRIERS`].
    tries: HashMap<SessionId, Tries>,
    /// At most [`MAX_TURNED_AWAY`].
    turned_away: VecDeque<SessionId>,
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    wrong: u32,
    until: Instant,
}

impl Door {
    /// Whether a session is here already.
    pub(super) fn has(&self, session: SessionId) -> bool {
        self.knocking.values().any(|joiner| joiner.from.session == session)
            || self.is_waiting(session)
    }

    /// Whether a session waits to be let in.
    pub(super) fn is_waiting(&self, session: SessionId) -> bool {
        self.waiting.iter().any(|(_, joiner)| joiner.from.session == session)
    }

    /// Forgets a session that does not want in any more; says whether it was here.
    pub(super) fn leave(&mut self, session: SessionId) -> bool {
        let before = self.knocking.len() + self.waiting.len();
        self.knocking.retain(|_, joiner| joiner.from.session != session);
        self.waiting.retain(|(_, joiner)| joiner.from.session != session);
        self.knocking.len() + self.waiting.len() < before
    }

    /// Forgets all of a session that is over.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.leave(session);
        self.tries.remove(&session);
        self.turned_away.retain(|other| *other != session);
    }

    /// Whether nothing here needs the room to stay open.
    pub(super) fn is_empty(&self) -> bool {
        self.knocking.is_empty() && self.waiting.is_empty() && self.tries.is_empty()
    }

    /// Whether a session has tried too many passwords.
    pub(super) fn has_tried_enough(&self, session: SessionId) -> bool {
        match self.tries.get(&session) {
            Some(tries) => tries.wrong >= MAX_TRIES,
            None => self.tries.len() >= MAX_TRIERS,
        }
    }

    /// Remembers a wrong password.
    pub(super) fn tried(&mut self, session: SessionId, now: Instant) {
        let until = now + FORGIVEN_AFTER;
        let tries = self.tries.entry(session).or_insert(Tries { wrong: 0, until });
        *tries = Tries { wrong: tries.wrong + 1, until };
    }

    /// Forgets old wrong passwords.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.tries.retain(|_, tries| tries.until > now);
    }

    /// When to call `handle_timeout`.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.tries.values().map(|tries| tries.until).min()
    }

    /// Takes in somebody whose password is to be checked; None when there are too many.
    pub(super) fn knock(&mut self, joiner: Joiner) -> Option<u64> {
        if self.knocking.len() >= MAX_KNOCKING {
            return None;
        }
        self.last_ticket += 1;
        self.knocking.insert(self.last_ticket, joiner);
        Some(self.last_ticket)
    }

    /// Whose password was checked, if they are there still.
    pub(super) fn knocked(&mut self, ticket: u64) -> Option<Joiner> {
        self.knocking.remove(&ticket)
    }

    /// Takes in somebody who has to wait; false when there are too many.
    pub(super) fn wait(&mut self, id: String, joiner: Joiner) -> bool {
        let bytes = |joiner: &Joiner| joiner.sdp.as_ref().map_or(0, String::len);
        let all: usize = self.waiting.iter().map(|(_, joiner)| bytes(joiner)).sum();
        if self.waiting.len() >= MAX_WAITING || all + bytes(&joiner) > MAX_WAITING_BYTES {
            return false;
        }
        self.waiting.push((id, joiner));
        true
    }

    /// Whether somebody of this id waits.
    pub(super) fn has_waiting(&self, id: &str) -> bool {
        self.waiting.iter().any(|(other, _)| other == id)
    }

    /// Takes one out who waits.
    pub(super) fn take(&mut self, id: &str) -> Option<Joiner> {
        let index = self.waiting.iter().position(|(other, _)| other == id)?;
        Some(self.waiting.remove(index).1)
    }

    /// Takes all out of whom something is true.
    pub(super) fn take_out(&mut self, is_it: impl Fn(&Joiner) -> bool) -> Vec<Joiner> {
        let knocking = self.knocking.extract_if(|_, joiner| is_it(joiner));
        let mut out: Vec<Joiner> = knocking.map(|(_, joiner)| joiner).collect();
        let waiting = self.waiting.extract_if(.., |(_, joiner)| is_it(joiner));
        out.extend(waiting.map(|(_, joiner)| joiner));
        out
    }

    /// Takes one out who waits, the first of them.
    pub(super) fn take_first(&mut self) -> Option<Joiner> {
        (!self.waiting.is_empty()).then(|| self.waiting.remove(0).1)
    }

    /// Who waits, as moderators hear it.
    pub(super) fn list(&self) -> Vec<Waiting> {
        let waiting = self.waiting.iter();
        waiting.map(|(id, joiner)| Waiting { id: id.clone(), name: joiner.name.clone() }).collect()
    }

    /// Does not let a session in again.
    pub(super) fn turn_away(&mut self, session: SessionId) {
        if self.turned_away.len() >= MAX_TURNED_AWAY {
            self.turned_away.pop_front();
        }
        self.turned_away.push_back(session);
    }

    /// Whether a session was removed.
    pub(super) fn turns_away(&self, session: SessionId) -> bool {
        self.turned_away.contains(&session)
    }

    /// Whether anybody was.
    pub(super) fn turns_anybody_away(&self) -> bool {
        !self.turned_away.is_empty()
    }
}
