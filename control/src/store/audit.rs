//! The audit log: what moderators and operators did.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use madang_wire::RoomName;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::error::Unwritten;
use super::row::{number, optional_text, text, time, to_number, undecodable, without_nul};
use super::writer::{Change, Writing};
use super::{Store, StoreError};

/// Maximum number of entries for each room, and for entries that concern no room; the oldest are deleted.
const MOST_ENTRIES: i64 = 10_000;

/// An action of a moderator or operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// The time of the action. Stored with millisecond precision.
    pub at: Timestamp,
    /// The room; `None` if the action concerns the server.
    pub room: Option<RoomName>,
    /// The user who acted.
    pub actor: String,
    /// The action, for example `kick`.
    pub action: String,
    /// The user or thing acted on.
    pub target: Option<String>,
    /// Further details.
    pub detail: Option<String>,
}

impl Store {
    /// Stores an entry.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn record_audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.writer.write(Record(entry.clone())).await
    }

    /// The last `limit` entries of a room, or of all rooms and the server, before the entry numbered `before`; latest
    /// first. The numbers increase, with gaps.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit(
        &self,
        room: Option<&RoomName>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, AuditEntry)>, StoreError> {
        let of_room = if room.is_some() { "room = ? AND " } else { "" };
        let mut query = self.readers.query(format!(
            "SELECT id, made_at, room, actor, action, target, detail FROM audit_log WHERE {of_room}id < ? \
             ORDER BY id DESC LIMIT ?"
        ));
        if let Some(room) = room {
            query = query.bind(room.as_str());
        }
        let query = query.bind(to_number(before.unwrap_or(u64::MAX))).bind(i64::from(limit));
        let rows = self.readers.rows(query).await?;
        Ok(rows.iter().map(entry).collect::<Result<_, _>>()?)
    }
}

struct Record(AuditEntry);

impl Change for Record {
    type Answer = ();

    fn write<'a>(&'a self, writing: &'a mut Writing<'_>) -> BoxFuture<'a, Result<(), Unwritten>> {
        Box::pin(async move {
            let AuditEntry { at, room, actor, action, target, detail } = self.0.clone();
            let room = room.as_ref().map(RoomName::as_str);
            let insert = writing
                .query(
                    "INSERT INTO audit_log (made_at, room, actor, action, target, detail) VALUES (?, ?, ?, ?, ?, ?)",
                )
                .bind(at.as_millisecond())
                .bind(room)
                .bind(without_nul(actor))
                .bind(without_nul(action))
                .bind(target.map(without_nul))
                .bind(detail.map(without_nul));
            writing.run(insert).await?;
            forget_oldest(writing, room).await?;
            Ok(())
        })
    }
}

async fn forget_oldest(writing: &mut Writing<'_>, room: Option<&str>) -> Result<(), sqlx::Error> {
    let of_room = if room.is_some() { "room = ?" } else { "room IS NULL" };
    let select = writing.query(format!(
        "SELECT id FROM audit_log WHERE {of_room} ORDER BY id DESC LIMIT 1 OFFSET {MOST_ENTRIES}"
    ));
    let select = if let Some(room) = room { select.bind(room) } else { select };
    let Some(row) = writing.row(select).await? else { return Ok(()) };
    let oldest: i64 = row.try_get("id")?;
    let delete = writing.query(format!("DELETE FROM audit_log WHERE {of_room} AND id <= ?"));
    let delete = if let Some(room) = room { delete.bind(room) } else { delete };
    writing.run(delete.bind(oldest)).await?;
    Ok(())
}

fn entry(row: &AnyRow) -> Result<(u64, AuditEntry), sqlx::Error> {
    let room = optional_text(row, "room")?;
    let room = room.map(|name| RoomName::parse(&name)).transpose();
    let entry = AuditEntry {
        at: time(row, "made_at")?,
        room: room.map_err(|error| undecodable("room", error.into()))?,
        actor: text(row, "actor")?,
        action: text(row, "action")?,
        target: optional_text(row, "target")?,
        detail: optional_text(row, "detail")?,
    };
    Ok((number(row, "id")?, entry))
}
