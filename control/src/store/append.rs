//! Storing chat: the numbers, and each message once.
//!
//! Most of what is written is chat, so a group's messages share their statements: one that locks and reads the rooms'
//! numbers, a few that find what was sent before, a few that insert many rows each.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use madang_wire::{Author, ChatMessage, RoomName};
use sqlx::Row;

use super::chat::{Appended, COLUMNS, NewChatMessage, message};
use super::folding;
use super::rooms::{self, RoomRecord};
use super::row::{check_id, text, without_nul};
use super::writer::{Change, Unwritten, Writing};

/// Most rows, or values, of one statement. They come in powers of two, for each statement is prepared once.
const MOST_AT_ONCE: usize = 64;

const INSERT: &str = "INSERT INTO chat_messages (room, seq, id, from_id, from_name, text, to_id, reply_to, sent_at, \
    from_user, to_user, author, message_id, folded) VALUES ";
const ROW: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// A message that is to be stored.
#[derive(Clone)]
pub(super) struct Append {
    room: RoomName,
    message: NewChatMessage,
    /// Whose `message_id` it is.
    author: Option<String>,
}

/// A message as its author calls it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    room: RoomName,
    author: String,
    message_id: String,
}

/// What a transaction knows of chat. Bounded by its changes.
#[derive(Default)]
pub(super) struct Chat {
    /// The rooms that will get messages.
    rooms: BTreeSet<RoomName>,
    /// What the messages are called by their authors.
    keys: HashSet<Key>,
    /// The last numbers of the rooms that are locked.
    seqs: BTreeMap<RoomName, LastSeq>,
    /// The messages that are there under these keys.
    known: HashMap<Key, ChatMessage>,
    /// The rows to insert, with their numbers.
    rows: Vec<(i64, Append)>,
}

#[derive(Clone, Copy)]
struct LastSeq {
    stored: i64,
    given: i64,
}

impl Append {
    pub(super) fn new(room: &RoomName, mut message: NewChatMessage) -> Append {
        message.text = without_nul(message.text);
        message.from_name = without_nul(message.from_name);
        message.reply_to = message.reply_to.map(without_nul);
        let author = message.message_id.as_ref().map(|_| match &message.from_user {
            Some(user) => format!("user {user}"),
            None => format!("participant {}", message.from_id),
        });
        Append { room: room.clone(), message, author }
    }

    fn check(&self) -> Result<(), Unwritten> {
        let NewChatMessage { from_id, from_user, to, to_user, message_id, .. } = &self.message;
        check_id("a participant", from_id)?;
        for (what, id) in [
            ("a user", from_user),
            ("a participant", to),
            ("a user", to_user),
            ("a message-id", message_id),
        ] {
            id.as_deref().map_or(Ok(()), |id| check_id(what, id))?;
        }
        Ok(())
    }

    fn key(&self) -> Option<Key> {
        let author = self.author.clone()?;
        let message_id = self.message.message_id.clone()?;
        Some(Key { room: self.room.clone(), author, message_id })
    }

    fn stored(&self, seq: i64) -> Result<ChatMessage, sqlx::Error> {
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

impl Change for Append {
    type Answer = Appended;

    const IS_CHAT: bool = true;

    fn announce(&self, writing: &mut Writing<'_>) {
        if self.check().is_ok() {
            writing.chat.rooms.insert(self.room.clone());
            writing.chat.keys.extend(self.key());
        }
    }

    fn write<'a>(
        &'a self,
        writing: &'a mut Writing<'_>,
    ) -> BoxFuture<'a, Result<Appended, Unwritten>> {
        Box::pin(async move {
            self.check()?;
            let key = self.key();
            if let Some(known) = key.as_ref().and_then(|key| writing.chat.known.get(key)) {
                return Ok(Appended::Known(known.clone()));
            }
            let seq = lock_room(writing, &self.room, self.message.sent_at).await? + 1;
            let stored = self.stored(seq)?;
            let chat = &mut writing.chat;
            chat.known.extend(key.map(|key| (key, stored.clone())));
            chat.rows.push((seq, self.clone()));
            if let Some(last) = chat.seqs.get_mut(&self.room) {
                last.given = seq;
            }
            Ok(Appended::Stored(stored))
        })
    }
}

impl Chat {
    /// The number of the room's last message, if the room is locked.
    pub(super) fn last_seq(&self, room: &RoomName) -> Option<i64> {
        self.seqs.get(room).map(|last| last.given)
    }

    /// The room is not there any more.
    pub(super) fn forget(&mut self, room: &RoomName) {
        self.seqs.remove(room);
        self.known.retain(|key, _| key.room != *room);
    }

    /// Whether rows wait to be inserted.
    pub(super) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }
}

/// Locks the announced rooms, then finds the messages that are there already. Whoever has a room locked may ask: nobody
/// else can store one of them meanwhile.
pub(super) async fn look_up(writing: &mut Writing<'_>) -> Result<(), sqlx::Error> {
    let rooms = Vec::from_iter(std::mem::take(&mut writing.chat.rooms));
    // In the order of their names: two servers that lock each other's next room would wait for ever.
    for some in rooms.chunks(MOST_AT_ONCE) {
        lock_rooms(writing, some).await?;
    }
    let keys = Vec::from_iter(std::mem::take(&mut writing.chat.keys));
    for some in keys.chunks(MOST_AT_ONCE) {
        find_known(writing, some).await?;
    }
    Ok(())
}

async fn lock_rooms(writing: &mut Writing<'_>, names: &[RoomName]) -> Result<(), sqlx::Error> {
    let count = names.len().next_power_of_two();
    let sql = format!(
        "SELECT name, last_seq FROM rooms WHERE name IN ({}) ORDER BY name{}",
        marks(count),
        writing.locking()
    );
    let mut query = writing.query(sql);
    for n in 0..count {
        query = query.bind(names[n.min(names.len() - 1)].as_str());
    }
    for row in writing.rows(query).await? {
        let (name, stored) = (text(&row, "name")?, row.try_get("last_seq")?);
        if let Some(name) = names.iter().find(|known| known.as_str() == name) {
            writing.chat.seqs.insert(name.clone(), LastSeq { stored, given: stored });
        }
    }
    Ok(())
}

async fn find_known(writing: &mut Writing<'_>, keys: &[Key]) -> Result<(), sqlx::Error> {
    let count = keys.len().next_power_of_two();
    // Not `message_id IN (…)`: as long as PostgreSQL thinks that there are few messages, it looks at all of the room's.
    let one = format!(
        "SELECT room, author, message_id, {COLUMNS} FROM chat_messages \
         WHERE room = ? AND message_id = ? AND author = ?"
    );
    let mut query = writing.query([one.as_str()].repeat(count).join(" UNION ALL "));
    for n in 0..count {
        let Key { room, author, message_id } = &keys[n.min(keys.len() - 1)];
        query = query.bind(room.as_str()).bind(message_id).bind(author);
    }
    for row in writing.rows(query).await? {
        let (name, author) = (text(&row, "room")?, text(&row, "author")?);
        let message_id = text(&row, "message_id")?;
        let is_it = |key: &&Key| {
            (key.room.as_str(), &key.author, &key.message_id)
                == (name.as_str(), &author, &message_id)
        };
        if let Some(key) = keys.iter().find(is_it) {
            writing.chat.known.insert(key.clone(), message(&row)?);
        }
    }
    Ok(())
}

/// The number of the room's last message. The room is locked from here on, and made if there is none.
async fn lock_room(
    writing: &mut Writing<'_>,
    room: &RoomName,
    now: Timestamp,
) -> Result<i64, sqlx::Error> {
    if writing.chat.last_seq(room).is_none() {
        lock_rooms(writing, std::slice::from_ref(room)).await?;
    }
    if let Some(seq) = writing.chat.last_seq(room) {
        return Ok(seq);
    }
    rooms::insert(writing, &RoomRecord::new(room.clone(), None, now)).await?;
    writing.chat.seqs.insert(room.clone(), LastSeq { stored: 0, given: 0 });
    Ok(0)
}

/// Inserts the rows that wait.
pub(super) async fn insert_rows(writing: &mut Writing<'_>) -> Result<(), sqlx::Error> {
    let rows = std::mem::take(&mut writing.chat.rows);
    let mut rest = rows.as_slice();
    while !rest.is_empty() {
        // The largest power of two that is not more.
        let count = MOST_AT_ONCE.min(1 << rest.len().ilog2());
        let (some, others) = rest.split_at(count);
        insert(writing, some).await?;
        rest = others;
    }
    Ok(())
}

async fn insert(writing: &mut Writing<'_>, rows: &[(i64, Append)]) -> Result<(), sqlx::Error> {
    let values = [ROW].repeat(rows.len()).join(", ");
    let mut query = writing.query(format!("{INSERT}{values}"));
    for (seq, Append { room, message, author }) in rows {
        query = query
            .bind(room.as_str())
            .bind(*seq)
            .bind(&message.id)
            .bind(&message.from_id)
            .bind(&message.from_name)
            .bind(&message.text)
            .bind(&message.to)
            .bind(&message.reply_to)
            .bind(message.sent_at.as_millisecond())
            .bind(&message.from_user)
            .bind(&message.to_user)
            .bind(author)
            .bind(&message.message_id)
            .bind(folding::folded(&message.text));
    }
    writing.run(query).await?;
    Ok(())
}

/// Writes the rooms' numbers.
pub(super) async fn store_seqs(writing: &mut Writing<'_>) -> Result<(), sqlx::Error> {
    for (room, LastSeq { stored, given }) in std::mem::take(&mut writing.chat.seqs) {
        if given != stored {
            let query = writing.query("UPDATE rooms SET last_seq = ? WHERE name = ?");
            writing.run(query.bind(given).bind(room.as_str())).await?;
        }
    }
    Ok(())
}

fn marks(count: usize) -> String {
    ["?"].repeat(count).join(", ")
}
