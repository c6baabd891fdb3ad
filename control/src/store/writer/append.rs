//! Stores chat: numbers the messages and stores each one once.
//!
//! Most changes are chat messages, so the messages of a group share their statements: one that locks the rooms and
//! reads their last numbers, a few that find messages stored before, and a few that insert many rows each.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use madang_wire::RoomName;
use sqlx::Row;

use super::change::Change;
use super::pending::{Append, Key, LastSeq};
use super::writing::Writing;
use crate::store::error::Unwritten;
use crate::store::message::{Appended, COLUMNS, message};
use crate::store::room_record::RoomRecord;
use crate::store::row::text;
use crate::store::{folding, room_record};

/// Maximum number of rows or values in one statement. Counts are powers of two, so that few different statements are
/// prepared.
const MOST_AT_ONCE: usize = 64;

const INSERT: &str = "INSERT INTO chat_messages (room, seq, id, from_id, from_name, text, to_id, reply_to, sent_at, \
    from_user, to_user, author, message_id, folded) VALUES ";
const ROW: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

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

/// Locks the announced rooms, then finds the messages that are stored already. While a room is locked, nobody else can
/// store a message in it, so the answer stays valid.
pub(super) async fn look_up(writing: &mut Writing<'_>) -> Result<(), sqlx::Error> {
    let rooms = Vec::from_iter(std::mem::take(&mut writing.chat.rooms));
    // In the order of their names: two servers that lock the same rooms in different orders would deadlock.
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
    // Not `message_id IN (…)`: while PostgreSQL's statistics show few messages, it would scan all messages of the room.
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

/// The number of the room's last message. Locks the room, and creates it if it does not exist.
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
    let record = RoomRecord::new(room.clone(), None, now);
    let query = record.bind_to(writing.query(room_record::INSERT))?;
    writing.run(query).await?;
    writing.chat.seqs.insert(room.clone(), LastSeq { stored: 0, given: 0 });
    Ok(0)
}

/// Inserts the waiting rows.
pub(super) async fn insert_rows(writing: &mut Writing<'_>) -> Result<(), sqlx::Error> {
    let rows = std::mem::take(&mut writing.chat.rows);
    let mut rest = rows.as_slice();
    while !rest.is_empty() {
        // The largest power of two that does not exceed the remaining rows.
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

/// Writes the last numbers of the rooms.
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
