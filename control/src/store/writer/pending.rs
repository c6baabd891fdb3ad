//! What a transaction knows of chat until its rows are written.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use madang_wire::{Author, ChatMessage, RoomName};

use crate::store::NewChatMessage;
use crate::store::error::Unwritten;
use crate::store::row::{check_id, without_nul};

/// A message that is to be stored.
#[derive(Clone)]
pub(in crate::store) struct Append {
    pub(super) room: RoomName,
    pub(super) message: NewChatMessage,
    /// Whose `message_id` it is.
    pub(super) author: Option<String>,
}

/// A message as its author calls it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) room: RoomName,
    pub(super) author: String,
    pub(super) message_id: String,
}

/// What a transaction knows of chat. Bounded by its changes.
#[derive(Default)]
pub(in crate::store) struct Chat {
    /// The rooms that will get messages.
    pub(super) rooms: BTreeSet<RoomName>,
    /// What the messages are called by their authors.
    pub(super) keys: HashSet<Key>,
    /// The last numbers of the rooms that are locked.
    pub(super) seqs: BTreeMap<RoomName, LastSeq>,
    /// The messages that are there under these keys.
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

    /// The room is not there any more.
    pub(in crate::store) fn forget(&mut self, room: &RoomName) {
        self.seqs.remove(room);
        self.known.retain(|key, _| key.room != *room);
    }

    /// Whether rows wait to be inserted.
    pub(super) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }
}
