//! The directory of open rooms.
//!
//! Letters are posted under the directory's lock, and rooms retire under the same lock, so no letter can land in the
//! mailbox of a room that has just closed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use madang_sfu::RoomId;
use madang_wire::{Destination, RoomName, RoomSummary};
use tokio::sync::mpsc;

use super::inbox::Inbox;
use super::letter::Letter;
use crate::broker::{Broker, Kind, Message};
use crate::refusal::Refusal;

/// Most letters that wait in a room's mailbox; one more request gets `overloaded`.
const MAILBOX: usize = 1_024;

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
    /// Room ids start at 1. An id has 32 bits, because a peer's id contains that of its room.
    last_id: u32,
    is_closed: bool,
}

/// An open room.
pub(super) struct Entry {
    id: RoomId,
    mailbox: mpsc::Sender<Letter>,
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
        if let Some(mut entry) = entries.rooms.remove(name) {
            entries.inboxes.remove(&entry.id);
            self.unlist(&mut entry);
        }
        true
    }

    /// Removes a room when its task ends, if it is still listed.
    pub(super) fn forget(&self, name: &RoomName, id: RoomId) {
        let mut entries = self.lock();
        entries.inboxes.remove(&id);
        if entries.rooms.get(name).is_some_and(|entry| entry.id == id) {
            entries.rooms.remove(name);
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
    pub(super) fn add(&mut self, name: &RoomName) -> (RoomId, mpsc::Receiver<Letter>, Arc<Inbox>) {
        self.last_id = self.last_id.wrapping_add(1);
        let id = RoomId(self.last_id.into());
        let (mailbox, letters) = mpsc::channel(MAILBOX);
        let inbox = Arc::new(Inbox::default());
        self.inboxes.insert(id, Arc::clone(&inbox));
        self.rooms.insert(name.clone(), Entry { id, mailbox, summary: None });
        (id, letters, inbox)
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

    pub(super) fn len(&self) -> usize {
        self.rooms.len()
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
