//! A room as a database row.

use jiff::Timestamp;
use madang_wire::{RoomName, RoomSettings};
use serde_json::{Map, Value};
use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use tracing::warn;

use super::row::{number, optional_text, text, time, undecodable};

pub(super) const COLUMNS: &str =
    "name, settings, is_locked, password_hash, created_at, created_by, last_seq";

/// Inserts a room without messages.
pub(super) const INSERT: &str = "INSERT INTO rooms \
    (name, settings, is_locked, password_hash, created_at, created_by, last_seq) VALUES (?, ?, ?, ?, ?, ?, 0)";

/// A stored room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRecord {
    /// Its name.
    pub name: RoomName,
    /// Its settings.
    pub settings: RoomSettings,
    /// Whether the room is locked: nobody else may join.
    pub is_locked: bool,
    /// Hash of the password that joining requires; `None` if it requires none.
    pub password_hash: Option<String>,
    /// When it was first opened. Stored with millisecond precision.
    pub created_at: Timestamp,
    /// The user who opened it first; `None` for a guest.
    pub created_by: Option<String>,
    /// The number of its last chat message, even if that message is deleted; 0 if there was none.
    pub last_seq: u64,
}

impl RoomRecord {
    /// A room with default settings, unlocked and without password.
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

    /// Binds the values of [`INSERT`].
    pub(super) fn bind_to<'q>(
        &'q self,
        query: Query<'q, Any, AnyArguments>,
    ) -> Result<Query<'q, Any, AnyArguments>, sqlx::Error> {
        let RoomRecord { name, settings, is_locked, password_hash, created_at, created_by, .. } =
            self;
        Ok(query
            .bind(name.as_str())
            .bind(to_json(settings)?)
            .bind(i64::from(*is_locked))
            .bind(password_hash)
            .bind(created_at.as_millisecond())
            .bind(created_by))
    }
}

pub(super) fn to_json(settings: &RoomSettings) -> Result<String, sqlx::Error> {
    serde_json::to_string(settings).map_err(|error| sqlx::Error::Encode(error.into()))
}

pub(super) fn record(row: &AnyRow) -> Result<RoomRecord, sqlx::Error> {
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

/// Reads the settings one by one and replaces unreadable ones, such as those of a newer version, by their defaults.
/// They must not make the room unusable or open it wider.
fn settings(name: &RoomName, json: &str) -> RoomSettings {
    let kept = match serde_json::from_str(json) {
        Ok(Value::Object(mut settings)) => {
            let count = settings.len();
            settings.retain(|key, value| is_setting(key, value));
            if settings.len() < count {
                warn!(room = %name, "could not read some settings of a room; using the defaults for them");
            }
            Value::Object(settings)
        }
        _ => {
            warn!(room = %name, "could not read the settings of a room; using the defaults");
            Value::Object(Map::new())
        }
    };
    serde_json::from_value(kept).unwrap_or_default()
}

fn is_setting(key: &str, value: &Value) -> bool {
    let alone = Map::from_iter([(key.to_owned(), value.clone())]);
    serde_json::from_value::<RoomSettings>(Value::Object(alone)).is_ok()
}
