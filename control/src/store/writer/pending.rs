//! The state of chat within a transaction, until its rows are written.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use madang_wire::{Author, ChatMessage, RoomName};

use crate::store::NewChatMessage;
use crate::store::error::Unwritten;
use crate::store::row::{check_id, without_nul};

/// A message to store.
#[derive(Clone)]
pub(in crate::store) struct Append {
    pub(super) room: RoomName,
    pub(super) message: NewChatMessage,
    /// The author, for whom `message_id` is unique; `None` without a `message_id`.
    pub(super) author: Option<String>,
}

/// Identifies a message by its author and the author's own id for it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) room: RoomName,
    pub(super) author: String,
    pub(super) message_id: String,
}

/// The state of chat within a transaction. Bounded by the number of its changes.
#[derive(Default)]
pub(in crate::store) struct Chat {
    /// The announced rooms, which will get messages.
    pub(super) rooms: BTreeSet<RoomName>,
    /// The announced keys of the messages.
    pub(super) keys: HashSet<Key>,
    /// The last numbers of the locked rooms.
    pub(super) seqs: BTreeMap<RoomName, LastSeq>,
    /// The stored messages of the keys.
    pub(super) known: HashMap<Key, ChatMessage>,
    /// The rows to insert, with their numbers.
    pub(super) rows: Vec<(i64, Append)>,
}

#[derive(Clone, Copy)]
pub(super) struct LastSeq {
    pub(super) stored: i64,
    pub(super) given: i64,
}

impl Append {
    pub(in crate::store) fn new(room: &RoomName, mut message: NewChatMessage) -> Append {
        message.text = without_nul(message.text);
        message.from_name = without_nul(message.from_name);
        message.reply_to = message.reply_to.map(without_nul);
        let author = message.message_id.as_ref().map(|_| match &message.from_user {
            Some(user) => format!("user {user}"),
            None => format!("participant {}", message.from_id),
        });
        Append { room: room.clone(), message, author }
    }

    pub(super) fn check(&self) -> Result<(), Unwritten> {
        let NewChatMessage { from_id, from_user, to, to_user, message_id, .. } = &self.message;
        check_id("the id of a participant", from_id)?;
        for (what, id) in [
            ("the id of a user", from_user),
            ("the id of a participant", to),
            ("the id of a user", to_user),
            ("a message-id", message_id),
        ] {
            id.as_deref().map_or(Ok(()), |id| check_id(what, id))?;
        }
        Ok(())
    }

    pub(super) fn key(&self) -> Option<Key> {
        let author = self.author.clone()?;
        let message_id = self.message.message_id.clone()?;
        Some(Key { room: self.room.clone(), author, message_id })
    }

    pub(super) fn stored(&self, seq: i64) -> Result<ChatMessage, sqlx::Error> {
        let message = self.message.clone();
        let sent_at = Timestamp::from_millisecond(message.sent_at.as_millisecond())
            .map_err(|error| sqlx::Error::Encode(error.into()))?;
        Ok(ChatMessage {
            seq: seq.unsigned_abs(),
            id: message.id,
            from: Author { id: message.from_id, name: message.from_name },
            text: message.text,
            to: message.to,
            reply_to: message.reply_to,
            sent_at,
            deleted: false,
        })
    }
}

impl Chat {
    /// The number of the room's last message, if the room is locked.
    pub(in crate::store) fn last_seq(&self, room: &RoomName) -> Option<i64> {
        self.seqs.get(room).map(|last| last.given)
    }

    /// Forgets a room that was deleted.
    pub(in crate::store) fn forget(&mut self, room: &RoomName) {
        self.seqs.remove(room);
        self.known.retain(|key, _| key.room != *room);
    }

    /// Whether rows are waiting to be inserted.
    pub(super) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }
}
