//! Stored rooms, whether or not somebody is in them.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use madang_wire::RoomName;

use super::error::Unwritten;
use super::row::without_nul;
use super::writer::{Change, Writing};
use super::{Store, StoreError};
use crate::store::RoomRecord;
use crate::store::room_record::{COLUMNS, INSERT, record, to_json};

impl Store {
    /// Returns the room of this name. Creates one with default settings if it does not exist.
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

    /// Stores a room. Returns false and changes nothing if a room of this name exists.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create_room(&self, room: &RoomRecord) -> Result<bool, StoreError> {
        self.writer.write(Create(room.clone())).await
    }

    /// The stored room of this name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn room(&self, name: &RoomName) -> Result<Option<RoomRecord>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM rooms WHERE name = ?");
        let query = self.readers.query(sql).bind(name.as_str());
        let row = self.readers.row(query).await?;
        Ok(row.as_ref().map(record).transpose()?)
    }

    /// Stores a room's settings, lock and password. Does nothing if the room does not exist.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn save_room(&self, room: &RoomRecord) -> Result<(), StoreError> {
        self.writer.write(Save(room.clone())).await
    }

    /// Deletes a room with its chat, roles and bans. Returns false if the room does not exist.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_room(&self, name: &RoomName) -> Result<bool, StoreError> {
        self.writer.write(Delete(name.clone())).await
    }

    /// The first `limit` rooms after the name `after`, ordered by name, byte by byte.
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

/// Inserts a room that does not exist yet.
async fn insert(writing: &mut Writing<'_>, room: &RoomRecord) -> Result<(), sqlx::Error> {
    let query = room.bind_to(writing.query(INSERT))?;
    writing.run(query).await?;
    Ok(())
}
