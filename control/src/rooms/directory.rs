//! The directory of open rooms.
//!
//! Letters are posted under the directory's lock, and rooms retire under the same lock, so no letter can land in the
//! mailbox of a room that has just closed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use madang_sfu::RoomId;
use madang_wire::{Destination, RoomName, RoomSummary};
use tokio::sync::mpsc;

use super::account::{Account, Opener};
use super::inbox::Inbox;
use super::letter::Letter;
use crate::broker::{Broker, Kind, Message};
use crate::limits::{Limits, is_reached};
use crate::refusal::Refusal;
use crate::tally::Tally;

/// Most letters that wait in a room's mailbox; one more request gets `overloaded`.
const MAILBOX: usize = 1_024;

/// The part of all rooms that only operators open, so that they can act when clients have opened all others.
const OPERATORS_PART: usize = 20;

/// Finds open rooms, and publishes changes of the list of rooms. Clones share one directory.
#[derive(Clone)]
pub(super) struct Directory {
    entries: Arc<Mutex<Entries>>,
    broker: Broker,
}

/// The open rooms by name and id. Bounded by `Limits::rooms`.
#[derive(Default)]
pub(super) struct Entries {
    rooms: HashMap<RoomName, Entry>,
    inboxes: HashMap<RoomId, Arc<Inbox>>,
    /// The rooms that each account has opened.
    opened: Tally<Account>,
    /// Room ids start at 1. An id has 32 bits, because a peer's id contains that of its room.
    last_id: u32,
    is_closed: bool,
}

/// An open room.
pub(super) struct Entry {
    id: RoomId,
    mailbox: mpsc::Sender<Letter>,
    opener: Opener,
    /// The entry in the list of rooms; `None` until somebody is in the room.
    summary: Option<RoomSummary>,
}

impl Directory {
    pub(super) fn new(broker: Broker) -> Directory {
        Directory { entries: Arc::default(), broker }
    }

    /// Locks the directory. Rooms do not open, retire or change while it is locked.
    pub(super) fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Updates a room's entry in the list of rooms and publishes it. A room without participants leaves the list.
    pub(super) fn update(&self, summary: &RoomSummary) {
        let mut entries = self.lock();
        let Some(entry) = entries.rooms.get_mut(&summary.name) else {
            return;
        };
        if summary.participants > 0 {
            entry.summary = Some(summary.clone());
            self.broker.publish_of_room(&summary.name, &listed(summary), |_| true);
        } else {
            self.unlist(entry);
        }
    }

    /// Removes an idle room, unless a letter waits in its mailbox. Returns whether the room was removed.
    pub(super) fn retire(&self, name: &RoomName, mailbox: &mpsc::Receiver<Letter>) -> bool {
        let mut entries = self.lock();
        if !mailbox.is_empty() {
            return false;
        }
        if let Some(mut entry) = entries.remove(name) {
            self.unlist(&mut entry);
        }
        true
    }

    /// Removes a room when its task ends, if it is still listed.
    pub(super) fn forget(&self, name: &RoomName, id: RoomId) {
        let mut entries = self.lock();
        entries.inboxes.remove(&id);
        if entries.rooms.get(name).is_some_and(|entry| entry.id == id) {
            entries.remove(name);
        }
    }

    fn unlist(&self, entry: &mut Entry) {
        if let Some(mut summary) = entry.summary.take() {
            summary.participants = 0;
            self.broker.publish_of_room(&summary.name, &listed(&summary), |_| true);
        }
    }
}

impl Entries {
    /// Adds a room that is not open. Returns its id, and the receiving ends for its task.
    pub(super) fn add(
        &mut self,
        name: &RoomName,
        opener: Opener,
    ) -> (RoomId, mpsc::Receiver<Letter>, Arc<Inbox>) {
        self.last_id = self.last_id.wrapping_add(1);
        let id = RoomId(self.last_id.into());
        let (mailbox, letters) = mpsc::channel(MAILBOX);
        let inbox = Arc::new(Inbox::default());
        self.inboxes.insert(id, Arc::clone(&inbox));
        if let Opener::Account(account) = &opener {
            self.opened.add(account.clone());
        }
        self.rooms.insert(name.clone(), Entry { id, mailbox, opener, summary: None });
        (id, letters, inbox)
    }

    fn remove(&mut self, name: &RoomName) -> Option<Entry> {
        let entry = self.rooms.remove(name)?;
        self.inboxes.remove(&entry.id);
        if let Opener::Account(account) = &entry.opener {
            self.opened.remove(account);
        }
        Some(entry)
    }

    /// Refuses to open one more room when the opener has used up their share, or when only the share of operators is
    /// left.
    pub(super) fn check_share(&self, limits: &Limits, opener: &Opener) -> Result<(), Refusal> {
        let most = match opener {
            Opener::Operator => limits.rooms,
            Opener::Account(_) | Opener::Reader => limits.rooms - limits.rooms / OPERATORS_PART,
        };
        if is_reached(most, self.rooms.len()) {
            return Err(Refusal::too_many_open_rooms(most));
        }
        let Opener::Account(account) = opener else { return Ok(()) };
        if is_reached(limits.rooms_per_user, self.opened.of(account)) {
            return Err(Refusal::too_many_rooms_of_user(limits.rooms_per_user));
        }
        Ok(())
    }

    /// Marks the directory closed: no room opens from now on.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(super) fn get(&self, name: &RoomName) -> Option<&Entry> {
        self.rooms.get(name)
    }

    pub(super) fn inbox(&self, room: RoomId) -> Option<&Inbox> {
        self.inboxes.get(&room).map(Arc::as_ref)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The rooms in which somebody is, in no particular order.
    pub(super) fn summaries(&self) -> impl Iterator<Item = &RoomSummary> {
        self.rooms.values().filter_map(|entry| entry.summary.as_ref())
    }
}

impl Entry {
    /// Posts a letter, unless the mailbox is full or the room has ended.
    pub(super) fn post(&self, letter: Letter) -> Result<(), Refusal> {
        self.mailbox.try_send(letter).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::room_busy(),
            mpsc::error::TrySendError::Closed(_) => Refusal::draining(),
        })
    }

    /// The sending end of the mailbox, for callers that wait while it is full.
    pub(super) fn mailbox(&self) -> mpsc::Sender<Letter> {
        self.mailbox.clone()
    }
}

/// The message that subscribers of the list of rooms receive for a room.
pub(super) fn listed(summary: &RoomSummary) -> Arc<Message> {
    let kind = Kind::State(summary.name.as_str().into());
    Arc::new(Message::json(Destination::ROOMS, summary.to_json()).of_kind(kind))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use madang_wire::ErrorCode;

    use super::*;

    #[test]
    fn a_user_opens_so_many_rooms_and_others_go_on() {
        let limits = Limits { rooms_per_user: 2, ..Limits::default() };
        let mut entries = Entries::default();
        let guests = Opener::Account(Account::Guests(Ipv4Addr::LOCALHOST.into()));
        let user = Opener::Account(Account::User("하나".to_owned()));

        let opened = open_all(&mut entries, &limits, &guests, "a");
        let refused = entries.check_share(&limits, &guests).unwrap_err();

        assert_eq!(opened, 2);
        assert_eq!(refused.code, ErrorCode::Overloaded);
        assert!(refused.message.contains("limits.rooms_per_user"), "{refused:?}");
        for opener in [&user, &Opener::Reader, &Opener::Operator] {
            assert!(entries.check_share(&limits, opener).is_ok(), "{opener:?}");
        }
        entries.remove(&name("a0")).unwrap();
        assert!(entries.check_share(&limits, &guests).is_ok());
        entries.remove(&name("a1")).unwrap();
        assert!(entries.opened.is_empty());
    }

    #[test]
    fn the_last_rooms_are_for_operators() {
        let limits = Limits { rooms: 40, rooms_per_user: 0, ..Limits::default() };
        let mut entries = Entries::default();
        let user = Opener::Account(Account::User("하나".to_owned()));

        let of_user = open_all(&mut entries, &limits, &user, "a");
        let of_reader = open_all(&mut entries, &limits, &Opener::Reader, "b");
        let of_operator = open_all(&mut entries, &limits, &Opener::Operator, "c");

        assert_eq!((of_user, of_reader, of_operator), (38, 0, 2));
    }

    /// Opens rooms until one is refused. Returns how many.
    fn open_all(entries: &mut Entries, limits: &Limits, opener: &Opener, prefix: &str) -> usize {
        let mut count = 0;
        while entries.check_share(limits, opener).is_ok() {
            entries.add(&name(&format!("{prefix}{count}")), opener.clone());
            count += 1;
        }
        count
    }

    fn name(text: &str) -> RoomName {
        RoomName::parse(text).unwrap()
    }
}
