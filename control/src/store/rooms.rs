//! What a room is, whether somebody is in it or not.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use madang_wire::{RoomName, RoomSettings};
use serde_json::{Map, Value};
use sqlx::any::AnyRow;
use tracing::warn;

use super::row::{number, optional_text, text, time, undecodable, without_nul};
use super::writer::{Change, Unwritten, Writing};
use super::{Store, StoreError};

const COLUMNS: &str = "name, settings, is_locked, password_hash, created_at, created_by, last_seq";

/// A room as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRecord {
    /// Its name.
    pub name: RoomName,
    /// What it is set to.
    pub settings: RoomSettings,
    /// Whether nobody else may come in.
    pub is_locked: bool,
    /// What whoever comes in must know, hashed; None: nothing.
    pub password_hash: Option<String>,
    /// When it was first opened. Kept in milliseconds.
    pub created_at: Timestamp,
    /// The user who did that, unless they were a guest.
    pub created_by: Option<String>,
    /// The number of its last chat message, even if that is deleted; 0 when there was none.
    pub last_seq: u64,
}

impl RoomRecord {
    /// An ordinary room.
    pub fn new(name: RoomName, created_by: Option<String>, now: Timestamp) -> RoomRecord {
        RoomRecord {
            name,
            settings: RoomSettings::default(),
            is_locked: false,
            password_hash: None,
            created_at: now,
            created_by,
            last_seq: 0,
        }
    }
}

impl Store {
    /// The room of this name, which is an ordinary one from here on if there was none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open_room(
        &self,
        name: &RoomName,
        created_by: Option<&str>,
        now: Timestamp,
    ) -> Result<RoomRecord, StoreError> {
        if let Some(room) = self.room(name).await? {
            return Ok(room);
        }
        let created_by = created_by.map(|user| without_nul(user.to_owned()));
        self.writer.write(Open(RoomRecord::new(name.clone(), created_by, now))).await
    }

    /// Remembers a room. False, and nothing is changed, when there is one of this name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create_room(&self, room: &RoomRecord) -> Result<bool, StoreError> {
        self.writer.write(Create(room.clone())).await
    }

    /// The room of this name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn room(&self, name: &RoomName) -> Result<Option<RoomRecord>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM rooms WHERE name = ?");
        let query = self.readers.query(sql).bind(name.as_str());
        let row = self.readers.row(query).await?;
        Ok(row.as_ref().map(record).transpose()?)
    }

    /// Remembers a room's settings, lock and password. Does nothing when there is no such room.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn save_room(&self, room: &RoomRecord) -> Result<(), StoreError> {
        self.writer.write(Save(room.clone())).await
    }

    /// Forgets a room with its chat, roles and bans. False when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_room(&self, name: &RoomName) -> Result<bool, StoreError> {
        self.writer.write(Delete(name.clone())).await
    }

    /// The first `limit` rooms behind `after` in the order of their names, byte by byte.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rooms(
        &self,
        after: Option<&RoomName>,
        limit: u32,
    ) -> Result<Vec<RoomRecord>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM rooms WHERE name > ? ORDER BY name LIMIT ?");
        let after = after.map_or("", RoomName::as_str);
        let query = self.readers.query(sql).bind(after).bind(i64::from(limit));
        let rows = self.readers.rows(query).await?;
        Ok(rows.iter().map(record).collect::<Result<_, _>>()?)
    }
}

struct Open(RoomRecord);

impl Change for Open {
    type Answer = RoomRecord;

    fn write<'a>(
        &'a self,
        writing: &'a mut Writing<'_>,
    ) -> BoxFuture<'a, Result<RoomRecord, Unwritten>> {
        Box::pin(async move {
            if let Some(found) = find(writing, &self.0.name).await? {
                return Ok(found);
            }
            insert(writing, &self.0).await?;
            Ok(self.0.clone())
        })
    }
}

struct Create(RoomRecord);

impl Change for Create {
    type Answer = bool;

    fn write<'a>(&'a self, writing: &'a mut Writing<'_>) -> BoxFuture<'a, Result<bool, Unwritten>> {
        Box::pin(async move {
            if find(writing, &self.0.name).await?.is_some() {
                return Ok(false);
            }
            insert(writing, &self.0).await?;
            Ok(true)
        })
    }
}

struct Save(RoomRecord);

impl Change for Save {
    type Answer = ();

    fn write<'a>(&'a self, writing: &'a mut Writing<'_>) -> BoxFuture<'a, Result<(), Unwritten>> {
        Box::pin(async move {
            let RoomRecord { name, settings, is_locked, password_hash, .. } = &self.0;
            let query = writing
                .query("UPDATE rooms SET settings = ?, is_locked = ?, password_hash = ? WHERE name = ?")
                .bind(to_json(settings)?)
                .bind(i64::from(*is_locked))
                .bind(password_hash)
                .bind(name.as_str());
            writing.run(query).await?;
            Ok(())
        })
    }
}

struct Delete(RoomName);

impl Change for Delete {
    type Answer = bool;

    fn write<'a>(&'a self, writing: &'a mut Writing<'_>) -> BoxFuture<'a, Result<bool, Unwritten>> {
        Box::pin(async move {
            writing.chat.forget(&self.0);
            for table in ["chat_messages", "roles", "bans"] {
                let delete = writing.query(format!("DELETE FROM {table} WHERE room = ?"));
                writing.run(delete.bind(self.0.as_str())).await?;
            }
            let delete = writing.query("DELETE FROM rooms WHERE name = ?").bind(self.0.as_str());
            Ok(writing.run(delete).await? > 0)
        })
    }
}

async fn find(
    writing: &mut Writing<'_>,
    name: &RoomName,
) -> Result<Option<RoomRecord>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM rooms WHERE name = ?");
    let query = writing.query(sql).bind(name.as_str());
    let row = writing.row(query).await?;
    let mut found = row.as_ref().map(record).transpose()?;
    if let (Some(room), Some(seq)) = (&mut found, writing.chat.last_seq(name)) {
        room.last_seq = seq.unsigned_abs();
    }
    Ok(found)
}

/// Writes a room that is not there.
pub(super) async fn insert(
    writing: &mut Writing<'_>,
    room: &RoomRecord,
) -> Result<(), sqlx::Error> {
    let RoomRecord { name, settings, is_locked, password_hash, created_at, created_by, .. } = room;
    let query = writing
        .query(format!("INSERT INTO rooms ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, 0)"))
        .bind(name.as_str())
        .bind(to_json(settings)?)
        .bind(i64::from(*is_locked))
        .bind(password_hash)
        .bind(created_at.as_millisecond())
        .bind(created_by);
    writing.run(query).await?;
    Ok(())
}

fn to_json(settings: &RoomSettings) -> Result<String, sqlx::Error> {
    serde_json::to_string(settings).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn record(row: &AnyRow) -> Result<RoomRecord, sqlx::Error> {
    let name = RoomName::parse(&text(row, "name")?);
    let name = name.map_err(|error| undecodable("name", error.into()))?;
    Ok(RoomRecord {
        settings: settings(&name, &text(row, "settings")?),
        name,
        is_locked: number(row, "is_locked")? != 0,
        password_hash: optional_text(row, "password_hash")?,
        created_at: time(row, "created_at")?,
        created_by: optional_text(row, "created_by")?,
        last_seq: number(row, "last_seq")?,
    })
}

/// What nobody can read of them, as after a newer version wrote them, must not close the room, nor open it wider: the
/// rest counts.
fn settings(name: &RoomName, json: &str) -> RoomSettings {
    let kept = match serde_json::from_str(json) {
        Ok(Value::Object(mut settings)) => {
            let count = settings.len();
            settings.retain(|key, value| is_setting(key, value));
            if settings.len() < count {
                warn!(room = %name, "some of a room's settings can't be read; they have the defaults");
            }
            Value::Object(settings)
        }
        _ => {
            warn!(room = %name, "a room's settings can't be read; they have the defaults");
            Value::Object(Map::new())
        }
    };
    serde_json::from_value(kept).unwrap_or_default()
}

fn is_setting(key: &str, value: &Value) -> bool {
    let alone = Map::from_iter([(key.to_owned(), value.clone())]);
    serde_json::from_value::<RoomSettings>(Value::Object(alone)).is_ok()
}
