//! Chat: one numbered list of messages per room.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use madang_wire::{ChatMessage, RoomName};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Row};

use super::error::Unwritten;
use super::row::{number, optional_text, to_number, without_nul};
use super::writer::{Append, Change, Writing};
use super::{Store, StoreError, folding};
use crate::store::message::{COLUMNS, message};
use crate::store::{Appended, ChatRecord, NewChatMessage, Viewer};

/// Only the author and the recipient may read a private message: `may_read` in `rooms/room/rights.rs`, as SQL.
const VISIBLE: &str = "(to_id IS NULL OR to_id = ? OR from_id = ? OR to_user = ? OR from_user = ?)";

/// Maximum number of old messages that one transaction deletes; other changes are written in between.
const PURGE: i64 = 1_000;

impl Store {
    /// Stores a message under the next number of its room, unless it is stored already. The message is durable when
    /// this returns.
    ///
    /// Waits while the writer's queue is full. Dropping the future does not cancel a message that is queued.
    ///
    /// # Errors
    /// [`StoreError::Refused`] concerns this message alone; other errors concern all messages.
    pub async fn append_chat(
        &self,
        room: &RoomName,
        message: NewChatMessage,
    ) -> Result<Appended, StoreError> {
        self.writer.write(Append::new(room, message)).await
    }

    /// The last `limit` messages that `viewer` may read, in ascending order. Without a viewer, public messages only.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last_chat(
        &self,
        room: &RoomName,
        limit: u32,
        viewer: Option<&Viewer>,
    ) -> Result<Vec<ChatMessage>, StoreError> {
        self.chat_before(room, u64::MAX, limit, viewer).await
    }

    /// The number behind which the last `count` messages come that `viewer` may read; 0 if there are fewer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn chat_before_last(
        &self,
        room: &RoomName,
        count: u32,
        viewer: Option<&Viewer>,
    ) -> Result<u64, StoreError> {
        let sql = format!(
            "SELECT seq FROM chat_messages WHERE room = ? AND {VISIBLE} ORDER BY seq DESC LIMIT 1 OFFSET ?"
        );
        let query = visible_to(self.readers.query(sql).bind(room.as_str()), viewer);
        let row = self.readers.row(query.bind(i64::from(count))).await?;
        Ok(row.map_or(Ok(0), |row| number(&row, "seq"))?)
    }

    /// The last `limit` messages before number `seq` that `viewer` may read, in ascending order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn chat_before(
        &self,
        room: &RoomName,
        seq: u64,
        limit: u32,
        viewer: Option<&Viewer>,
    ) -> Result<Vec<ChatMessage>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM chat_messages WHERE room = ? AND seq < ? AND {VISIBLE} ORDER BY seq DESC LIMIT ?"
        );
        let query = self.readers.query(sql).bind(room.as_str()).bind(to_number(seq));
        let mut messages = self.messages(visible_to(query, viewer).bind(i64::from(limit))).await?;
        messages.reverse();
        Ok(messages)
    }

    /// The first `limit` messages after number `seq` that `viewer` may read, in ascending order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn chat_since(
        &self,
        room: &RoomName,
        seq: u64,
        limit: u32,
        viewer: Option<&Viewer>,
    ) -> Result<Vec<ChatMessage>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM chat_messages WHERE room = ? AND seq > ? AND {VISIBLE} ORDER BY seq LIMIT ?"
        );
        let query = self.readers.query(sql).bind(room.as_str()).bind(to_number(seq));
        self.messages(visible_to(query, viewer).bind(i64::from(limit))).await
    }

    /// The last `limit` messages before number `before` that contain every word of `words`, ignoring case, and that
    /// `viewer` may read; latest first. Returns none if `words` contains no word.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn search_chat(
        &self,
        room: &RoomName,
        words: &str,
        before: Option<u64>,
        limit: u32,
        viewer: Option<&Viewer>,
    ) -> Result<Vec<ChatMessage>, StoreError> {
        let patterns = folding::patterns(&without_nul(words.to_owned()));
        if patterns.is_empty() {
            return Ok(Vec::new());
        }
        let contains = " AND coalesce(folded, text) LIKE ? ESCAPE '!'".repeat(patterns.len());
        let sql = format!(
            "SELECT {COLUMNS} FROM chat_messages WHERE room = ? AND seq < ? AND {VISIBLE} AND deleted_at IS NULL\
             {contains} ORDER BY seq DESC LIMIT ?"
        );
        let before = to_number(before.unwrap_or(u64::MAX));
        let mut query =
            visible_to(self.readers.query(sql).bind(room.as_str()).bind(before), viewer);
        for pattern in patterns {
            query = query.bind(pattern);
        }
        self.messages(query.bind(i64::from(limit))).await
    }

    /// One message, deleted or not.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn chat_message(
        &self,
        room: &RoomName,
        id: &str,
    ) -> Result<Option<ChatRecord>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM chat_messages WHERE room = ? AND id = ?");
        let query = self.readers.query(sql).bind(room.as_str()).bind(without_nul(id.to_owned()));
        let row = self.readers.row(query).await?;
        Ok(row.as_ref().map(record).transpose()?)
    }

    /// Deletes the text of a message and keeps its number, id and author. Returns what remains, or `None` if there is
    /// no such message.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_chat(
        &self,
        room: &RoomName,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<ChatMessage>, StoreError> {
        let id = without_nul(id.to_owned());
        self.writer.write(Delete { room: room.clone(), id, now }).await
    }

    /// Deletes all messages sent before `before`, including their rows. The numbering of the room continues. Returns
    /// how many messages were deleted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn purge_chat(&self, room: &RoomName, before: Timestamp) -> Result<u64, StoreError> {
        let mut purged = 0;
        loop {
            let some = self.writer.write(Purge { room: room.clone(), before }).await?;
            purged += some;
            if some == 0 {
                return Ok(purged);
            }
        }
    }

    /// The number of the room's last message; 0 if there was none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last_seq(&self, room: &RoomName) -> Result<u64, StoreError> {
        let query = self.readers.query("SELECT last_seq FROM rooms WHERE name = ?");
        let row = self.readers.row(query.bind(room.as_str())).await?;
        Ok(row.map_or(Ok(0), |row| number(&row, "last_seq"))?)
    }

    async fn messages(
        &self,
        query: Query<'_, Any, AnyArguments>,
    ) -> Result<Vec<ChatMessage>, StoreError> {
        let rows = self.readers.rows(query).await?;
        Ok(rows.iter().map(message).collect::<Result<_, _>>()?)
    }
}

struct Delete {
    room: RoomName,
    id: String,
    now: Timestamp,
}

impl Change for Delete {
    type Answer = Option<ChatMessage>;

    fn write<'a>(
        &'a self,
        writing: &'a mut Writing<'_>,
    ) -> BoxFuture<'a, Result<Option<ChatMessage>, Unwritten>> {
        Box::pin(async move {
            let delete = writing.query(
                "UPDATE chat_messages SET text = '', folded = NULL, deleted_at = ? \
                 WHERE room = ? AND id = ? AND deleted_at IS NULL",
            );
            let delete = delete.bind(self.now.as_millisecond());
            writing.run(delete.bind(self.room.as_str()).bind(&self.id)).await?;
            let sql = format!("SELECT {COLUMNS} FROM chat_messages WHERE room = ? AND id = ?");
            let left = writing.query(sql).bind(self.room.as_str()).bind(&self.id);
            let left = writing.row(left).await?;
            Ok(left.as_ref().map(message).transpose()?)
        })
    }
}

/// Deletes up to [`PURGE`] old messages.
struct Purge {
    room: RoomName,
    before: Timestamp,
}

impl Change for Purge {
    type Answer = u64;

    fn write<'a>(&'a self, writing: &'a mut Writing<'_>) -> BoxFuture<'a, Result<u64, Unwritten>> {
        Box::pin(async move {
            let before = self.before.as_millisecond();
            let old = writing.query(
                "SELECT seq FROM chat_messages WHERE room = ? AND sent_at < ? ORDER BY seq LIMIT ?",
            );
            let old = writing.rows(old.bind(self.room.as_str()).bind(before).bind(PURGE)).await?;
            let Some(last) = old.last() else { return Ok(0) };
            let last: i64 = last.try_get("seq")?;
            let purge = writing
                .query("DELETE FROM chat_messages WHERE room = ? AND sent_at < ? AND seq <= ?");
            Ok(writing.run(purge.bind(self.room.as_str()).bind(before).bind(last)).await?)
        })
    }
}

/// Binds the values of [`VISIBLE`].
fn visible_to<'q>(
    query: Query<'q, Any, AnyArguments>,
    viewer: Option<&Viewer>,
) -> Query<'q, Any, AnyArguments> {
    let participant = viewer.map(|viewer| viewer.participant.as_str());
    let user = viewer.and_then(|viewer| viewer.user.as_deref());
    query.bind(participant).bind(participant).bind(user).bind(user)
}

fn record(row: &AnyRow) -> Result<ChatRecord, sqlx::Error> {
    Ok(ChatRecord {
        message: message(row)?,
        from_user: optional_text(row, "from_user")?,
        to_user: optional_text(row, "to_user")?,
    })
}
