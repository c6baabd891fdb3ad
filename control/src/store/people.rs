//! Roles and bans of rooms.

use std::str::FromStr;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use madang_wire::{Role, RoomName};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::error::Unwritten;
use super::row::{check_id, optional_text, optional_time, parsed, text, time, without_nul};
use super::writer::{Change, Writing};
use super::{Store, StoreError};

/// Maximum number of roles, and of bans, in one room; one more is refused.
pub const MOST_PEOPLE: u32 = 10_000;

/// A ban of one user from a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The banned user; for a guest, the generated name.
    pub user: String,
    /// The id of the token that the user connected with. No one can enter the room with this token.
    pub token: Option<String>,
    /// When the ban ends; `None` if never.
    pub until: Option<Timestamp>,
    /// The moderator's reason.
    pub reason: Option<String>,
    /// The user who banned them.
    pub by: String,
    /// When the ban was made. Stored with millisecond precision.
    pub at: Timestamp,
}

impl Store {
    /// Gives a user a role in a room.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the room has [`MOST_PEOPLE`] roles already; otherwise when the database fails.
    pub async fn set_role(
        &self,
        room: &RoomName,
        user: &str,
        role: Role,
    ) -> Result<(), StoreError> {
        self.writer.write(SetRole { room: room.clone(), user: user.to_owned(), role }).await
    }

    /// Removes a user's role in a room. Returns false if there was none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn clear_role(&self, room: &RoomName, user: &str) -> Result<bool, StoreError> {
        self.writer
            .write(Remove { table: "roles", room: room.clone(), user: user.to_owned() })
            .await
    }

    /// The users who have a role in a room, ordered by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn roles(&self, room: &RoomName) -> Result<Vec<(String, Role)>, StoreError> {
        let sql = "SELECT user_id, role FROM roles WHERE room = ? ORDER BY user_id";
        let rows = self.readers.rows(self.readers.query(sql).bind(room.as_str())).await?;
        let role = |row: &AnyRow| {
            let ParsedRole(role) = parsed(row, "role")?;
            Ok((text(row, "user_id")?, role))
        };
        Ok(rows.iter().map(role).collect::<Result<_, sqlx::Error>>()?)
    }

    /// The stored role of a user in a room, if any.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn role_of(&self, room: &RoomName, user: &str) -> Result<Option<Role>, StoreError> {
        let sql = "SELECT role FROM roles WHERE room = ? AND user_id = ?";
        let query = self.readers.query(sql).bind(room.as_str());
        let row = self.readers.row(query.bind(without_nul(user.to_owned()))).await?;
        let role = row.map(|row| parsed(&row, "role")).transpose()?;
        Ok(role.map(|ParsedRole(role)| role))
    }

    /// Bans a user from a room, replacing an existing ban.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the room has [`MOST_PEOPLE`] bans already; otherwise when the database fails.
    pub async fn ban(&self, room: &RoomName, ban: &Ban) -> Result<(), StoreError> {
        self.writer.write(SetBan { room: room.clone(), ban: ban.clone() }).await
    }

    /// Removes a user's ban. Returns false if the user was not banned.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unban(&self, room: &RoomName, user: &str) -> Result<bool, StoreError> {
        self.writer.write(Remove { table: "bans", room: room.clone(), user: user.to_owned() }).await
    }

    /// The ban of a user, even if it has ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ban_of(&self, room: &RoomName, user: &str) -> Result<Option<Ban>, StoreError> {
        let sql = "SELECT user_id, token_id, expires_at, reason, made_by, made_at FROM bans \
            WHERE room = ? AND user_id = ?";
        let query = self.readers.query(sql).bind(room.as_str());
        let row = self.readers.row(query.bind(without_nul(user.to_owned()))).await?;
        Ok(row.as_ref().map(ban).transpose()?)
    }

    /// The bans of a room, including those that have ended, ordered by user name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bans(&self, room: &RoomName) -> Result<Vec<Ban>, StoreError> {
        let sql = "SELECT user_id, token_id, expires_at, reason, made_by, made_at FROM bans \
            WHERE room = ? ORDER BY user_id";
        let rows = self.readers.rows(self.readers.query(sql).bind(room.as_str())).await?;
        Ok(rows.iter().map(ban).collect::<Result<_, _>>()?)
    }
}

struct SetRole {
    room: RoomName,
    user: String,
    role: Role,
}

impl Change for SetRole {
    type Answer = ();

    fn write<'a>(&'a self, writing: &'a mut Writing<'_>) -> BoxFuture<'a, Result<(), Unwritten>> {
        Box::pin(async move {
            check_id("the id of a user", &self.user)?;
            make_place(writing, "roles", &self.room, &self.user).await?;
            let insert = writing.query("INSERT INTO roles (room, user_id, role) VALUES (?, ?, ?)");
            let insert = insert.bind(self.room.as_str()).bind(&self.user).bind(spelled(self.role));
            writing.run(insert).await?;
            Ok(())
        })
    }
}

struct SetBan {
    room: RoomName,
    ban: Ban,
}

impl Change for SetBan {
    type Answer = ();

    fn write<'a>(&'a self, writing: &'a mut Writing<'_>) -> BoxFuture<'a, Result<(), Unwritten>> {
        Box::pin(async move {
            let Ban { user, token, until, reason, by, at } = &self.ban;
            check_id("the id of a user", user)?;
            check_id("the id of a user", by)?;
            check_id("the id of a token", token.as_deref().unwrap_or(""))?;
            make_place(writing, "bans", &self.room, user).await?;
            let insert = writing
                .query(
                    "INSERT INTO bans (room, user_id, token_id, expires_at, reason, made_by, made_at) \
                     VALUES (?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(self.room.as_str())
                .bind(user)
                .bind(token)
                .bind(until.map(Timestamp::as_millisecond))
                .bind(reason.clone().map(without_nul))
                .bind(by)
                .bind(at.as_millisecond());
            writing.run(insert).await?;
            Ok(())
        })
    }
}

struct Remove {
    table: &'static str,
    room: RoomName,
    user: String,
}

impl Change for Remove {
    type Answer = bool;

    fn write<'a>(&'a self, writing: &'a mut Writing<'_>) -> BoxFuture<'a, Result<bool, Unwritten>> {
        Box::pin(async move {
            check_id("the id of a user", &self.user)?;
            Ok(remove(writing, self.table, &self.room, &self.user).await? > 0)
        })
    }
}

/// Deletes the row of the user to be replaced or, if there is none, checks that one more row is allowed.
async fn make_place(
    writing: &mut Writing<'_>,
    table: &'static str,
    room: &RoomName,
    user: &str,
) -> Result<(), Unwritten> {
    if remove(writing, table, room, user).await? > 0 {
        return Ok(());
    }
    let query = writing.query(format!("SELECT count(*) AS people FROM {table} WHERE room = ?"));
    let row = writing.row(query.bind(room.as_str())).await?;
    let people: i64 = row.map_or(Ok(0), |row| row.try_get("people"))?;
    if people >= i64::from(MOST_PEOPLE) {
        return Err(Unwritten::Refused(format!(
            "this room already has the maximum of {MOST_PEOPLE} {table}"
        )));
    }
    Ok(())
}

async fn remove(
    writing: &mut Writing<'_>,
    table: &'static str,
    room: &RoomName,
    user: &str,
) -> Result<u64, sqlx::Error> {
    let delete = writing.query(format!("DELETE FROM {table} WHERE room = ? AND user_id = ?"));
    writing.run(delete.bind(room.as_str()).bind(user)).await
}

fn ban(row: &AnyRow) -> Result<Ban, sqlx::Error> {
    Ok(Ban {
        user: text(row, "user_id")?,
        token: optional_text(row, "token_id")?,
        until: optional_time(row, "expires_at")?,
        reason: optional_text(row, "reason")?,
        by: text(row, "made_by")?,
        at: time(row, "made_at")?,
    })
}

fn spelled(role: Role) -> &'static str {
    match role {
        Role::Host => "host",
        Role::Speaker => "speaker",
        Role::Listener => "listener",
    }
}

struct ParsedRole(Role);

impl FromStr for ParsedRole {
    type Err = String;

    fn from_str(text: &str) -> Result<ParsedRole, String> {
        let roles = [Role::Host, Role::Speaker, Role::Listener];
        let role = roles.into_iter().find(|role| spelled(*role) == text);
        role.map(ParsedRole).ok_or_else(|| format!("unknown role {text:?}"))
    }
}
