//! Chat in SQL.

use jiff::Timestamp;
use madang_wire::{Author, ChatMessage, RoomName};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{FromRow, Row};

use super::NewChatMessage;

const INSERT: &str = "
    INSERT INTO chat_messages (room, seq, id, from_id, from_name, text, to_id, reply_to, sent_at)
    SELECT ?1, 1 + coalesce((SELECT max(seq) FROM chat_messages WHERE room = ?1), 0), ?2, ?3, ?4, ?5, ?6, ?7, ?8
    RETURNING seq, id, from_id, from_name, text, to_id, reply_to, sent_at";

const LAST: &str = "
    SELECT * FROM (
        SELECT seq, id, from_id, from_name, text, to_id, reply_to, sent_at FROM chat_messages
        WHERE room = ?1 AND (to_id IS NULL OR to_id = ?3 OR from_id = ?3)
        ORDER BY seq DESC LIMIT ?2
    ) ORDER BY seq";

const SINCE: &str = "
    SELECT seq, id, from_id, from_name, text, to_id, reply_to, sent_at FROM chat_messages
    WHERE room = ?1 AND seq > ?4 AND (to_id IS NULL OR to_id = ?3 OR from_id = ?3)
    ORDER BY seq LIMIT ?2";

const LAST_SEQ: &str = "SELECT coalesce(max(seq), 0) FROM chat_messages WHERE room = ?1";

/// Stores a message under the next number of its room. The caller holds the transaction.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    room: &RoomName,
    message: &NewChatMessage,
) -> Result<ChatMessage, sqlx::Error> {
    let Stored(stored) = sqlx::query_as(INSERT)
        .bind(room.as_str())
        .bind(&message.id)
        .bind(&message.from_id)
        .bind(&message.from_name)
        .bind(&message.text)
        .bind(&message.to)
        .bind(&message.reply_to)
        .bind(message.sent_at.as_millisecond())
        .fetch_one(connection)
        .await?;
    Ok(stored)
}

pub(super) async fn last(
    readers: &SqlitePool,
    room: &RoomName,
    n: u32,
    viewer: Option<&str>,
) -> Result<Vec<ChatMessage>, sqlx::Error> {
    let rows = sqlx::query_as(LAST).bind(room.as_str()).bind(n).bind(viewer);
    Ok(unwrap_rows(rows.fetch_all(readers).await?))
}

pub(super) async fn since(
    readers: &SqlitePool,
    room: &RoomName,
    seq: u64,
    limit: u32,
    viewer: Option<&str>,
) -> Result<Vec<ChatMessage>, sqlx::Error> {
    // SQLite's integers end at 2^63 - 1; no message has a higher number.
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    let rows = sqlx::query_as(SINCE).bind(room.as_str()).bind(limit).bind(viewer).bind(seq);
    Ok(unwrap_rows(rows.fetch_all(readers).await?))
}

pub(super) async fn last_seq(readers: &SqlitePool, room: &RoomName) -> Result<u64, sqlx::Error> {
    let seq: i64 = sqlx::query_scalar(LAST_SEQ).bind(room.as_str()).fetch_one(readers).await?;
    Ok(seq.unsigned_abs())
}

fn unwrap_rows(rows: Vec<Stored>) -> Vec<ChatMessage> {
    rows.into_iter().map(|Stored(message)| message).collect()
}

/// A row of `chat_messages`, as it goes over the wire.
struct Stored(ChatMessage);

impl FromRow<'_, SqliteRow> for Stored {
    fn from_row(row: &SqliteRow) -> Result<Stored, sqlx::Error> {
        let seq: i64 = row.try_get("seq")?;
        let sent_at = Timestamp::from_millisecond(row.try_get("sent_at")?)
            .map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Stored(ChatMessage {
            seq: seq.unsigned_abs(),
            id: row.try_get("id")?,
            from: Author { id: row.try_get("from_id")?, name: row.try_get("from_name")? },
            text: row.try_get("text")?,
            to: row.try_get("to_id")?,
            reply_to: row.try_get("reply_to")?,
            sent_at,
        }))
    }
}
