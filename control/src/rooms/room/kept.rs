//! What a room remembers beyond its participants: how it is set, the roles and the bans of users.
//!
//! A room is the one writer of all that: it changes what it has here, and asks the store to keep the change before
//! anybody hears that it is done.

use std::collections::HashMap;

use jiff::Timestamp;
use madang_wire::Role;

use super::rights;
use crate::auth::Grant;
use crate::store::{AuditEntry, Ban, RoomRecord};

/// Bans of a room, and roles; the store has no more of them either.
pub(super) const MAX_PEOPLE: usize = 10_000;

/// What the store has of a room when it opens.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) record: RoomRecord,
    /// By user. At most [`MAX_PEOPLE`].
    pub(crate) roles: HashMap<String, Role>,
    /// At most [`MAX_PEOPLE`], one per user; a further one is refused.
    pub(crate) bans: Vec<Ban>,
}

/// Something for the store to keep, and what the audit says of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Keeping {
    /// None: there is nothing to keep but the entry.
    pub(crate) change: Option<Change>,
    pub(crate) entry: AuditEntry,
}

/// A change of what is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// The room's record.
    Record(RoomRecord),
    /// A user's role; None: the one of their token counts again.
    Role {
        user: String,
        role: Option<Role>,
    },
    Ban(Ban),
    Unban {
        user: String,
    },
}

impl Kept {
    /// The role that the room keeps for somebody.
    pub(super) fn role_of(&self, grant: &Grant) -> Option<Role> {
        if grant.is_guest { None } else { self.roles.get(&grant.user).copied() }
    }

    /// The ban that keeps somebody out.
    pub(super) fn ban_of(&self, grant: &Grant, now: Timestamp) -> Option<&Ban> {
        rights::ban_of(&self.bans, grant, now)
    }

    /// Adds a ban; returns it as it is to be kept, or None when there are too many. A user has one ban: what was
    /// kept out before stays out, so two bans of one user become one that covers both.
    pub(super) fn add_ban(&mut self, ban: Ban, now: Timestamp) -> Option<Ban> {
        self.bans.retain(|ban| rights::is_active(ban, now));
        let Some(before) = self.bans.iter_mut().find(|other| other.user == ban.user) else {
            if self.bans.len() >= MAX_PEOPLE {
                return None;
            }
            self.bans.push(ban.clone());
            return Some(ban);
        };
        let token = if before.token == ban.token { ban.token.clone() } else { None };
        let until = before.until.zip(ban.until).map(|(one, other)| one.max(other));
        *before = Ban { token, until, ..ban };
        Some(before.clone())
    }

    /// Sets or takes away a user's role; false when there are too many.
    pub(super) fn set_role(&mut self, user: &str, role: Option<Role>) -> bool {
        match role {
            None => {
                self.roles.remove(user);
            }
            Some(_) if self.roles.len() >= MAX_PEOPLE && !self.roles.contains_key(user) => {
                return false;
            }
            Some(role) => {
                self.roles.insert(user.to_owned(), role);
            }
        }
        true
    }
}
