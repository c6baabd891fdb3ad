//! The stored state of a room: its record, and the roles and bans of users.
//!
//! A room is the only writer of this state. It changes its copy here and has the store keep the change before anybody
//! receives `done`.

use std::collections::HashMap;

use jiff::Timestamp;
use madang_wire::Role;

use super::rights;
use crate::auth::Grant;
use crate::store::{AuditEntry, Ban, RoomRecord};

/// Most bans of a room, and most roles; the store has the same limit.
pub(super) const MAX_PEOPLE: usize = 10_000;

/// The stored state of a room, loaded when it opens.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) record: RoomRecord,
    /// By user. At most [`MAX_PEOPLE`].
    pub(crate) roles: HashMap<String, Role>,
    /// At most [`MAX_PEOPLE`], one per user; a further one is refused.
    pub(crate) bans: Vec<Ban>,
}

/// A change to store, and its audit entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Keeping {
    /// `None`: only the audit entry is stored.
    pub(crate) change: Option<Change>,
    pub(crate) entry: AuditEntry,
}

/// A change of the stored state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// The room's record.
    Record(RoomRecord),
    /// A user's role; `None`: the role in the user's token applies again.
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
    /// The role that the room stores for the holder of a grant; `None` for guests.
    pub(super) fn role_of(&self, grant: &Grant) -> Option<Role> {
        if grant.is_guest { None } else { self.roles.get(&grant.user).copied() }
    }

    /// The ban that keeps out the holder of a grant.
    pub(super) fn ban_of(&self, grant: &Grant, now: Timestamp) -> Option<&Ban> {
        rights::ban_of(&self.bans, grant, now)
    }

    /// Adds a ban and returns the ban to store, or `None` at [`MAX_PEOPLE`] bans. A user has at most one ban, so two
    /// bans of one user are merged into one that covers both.
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

    /// Sets or removes a user's role; false at [`MAX_PEOPLE`] roles.
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
