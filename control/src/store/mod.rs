//! What outlives the process: chat.
//!
//! [`Store`] is a concrete type whose methods are the questions that are asked; SQL stays in this folder. The database
//! is SQLite in write-ahead mode with `synchronous=FULL`: a commit is on the disk when it returns.
//!
//! ```text
//! append_chat ─┐                    ┌─ one transaction, one fsync ─┐
//! append_chat ─┼─ bounded queue ─▶ writer (one task) ───────────▶ each caller gets its seq
//! append_chat ─┘
//! last_chat, chat_since ─▶ small pool of read-only connections
//! ```
//!
//! An fsync costs the same for one message as for a hundred, so the writer takes whatever waits into one transaction.
//! Under load the groups grow by themselves; alone, a message waits for nobody.

mod chat;
mod writer;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use madang_wire::{ChatMessage, RoomName};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

use self::writer::Writer;

/// Numbered, applied in order, never edited once released.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Connections that answer questions. Readers never wait for the writer in write-ahead mode.
const READERS: u32 = 4;

/// How long a connection waits for another process that holds the database's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The clonable entrance to the database.
#[derive(Clone, Debug)]
pub struct Store {
    writer: Writer,
    readers: SqlitePool,
}

/// A chat message on its way into the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChatMessage {
    /// Unique in its room.
    pub id: String,
    /// Who wrote it: the participant's id.
    pub from_id: String,
    /// Who wrote it: the name at that time.
    pub from_name: String,
    /// The text as typed.
    pub text: String,
    /// The one participant who may read it, besides its author; `None` means everybody.
    pub to: Option<String>,
    /// The id of the message that this one answers.
    pub reply_to: Option<String>,
    /// The author's own id for it, if they gave one: a second message with the same is the first one again.
    pub message_id: Option<String>,
    /// When the server took it. Kept in milliseconds.
    pub sent_at: Timestamp,
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is not one that this server can open.
    #[error("store.url `{url}` can't be opened: {reason}")]
    Url {
        /// The URL as configured.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The database could not be opened or brought to the present schema.
    #[error("the database {url} can't be opened: {source}")]
    Open {
        /// The URL as configured.
        url: String,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The message was not stored: its number or id is taken, or a field is out of bounds.
    #[error("the message was not stored: {0}")]
    Refused(String),
    /// The database failed: a full disk, a broken file.
    #[error("the database failed: {0}")]
    Failed(String),
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

impl Store {
    /// Opens the database at `url` (`sqlite://` and a path), creates it when it is missing, and brings its schema up to
    /// date. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the URL names something else than an SQLite file, or when that file can't be opened.
    pub async fn open(url: &str) -> Result<Store, StoreError> {
        let options = connect_options(url)?;
        let failed = |source| StoreError::Open { url: url.to_owned(), source };

        create_for_owner(options.get_filename()).map_err(|error| failed(error.into()))?;
        let mut connection = options.connect().await.map_err(failed)?;
        migrate(&mut connection).await.map_err(failed)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await
            .map_err(failed)?;
        Ok(Store { writer: Writer::start(connection), readers })
    }

    /// Stores a message and gives it the next number of its room. It is on the disk when this returns.
    ///
    /// Waits while the writer's queue is full. A caller that gives up waiting does not take the message back.
    ///
    /// # Errors
    /// [`StoreError::Refused`] concerns this message alone; the others concern everybody's.
    pub async fn append_chat(
        &self,
        room: &RoomName,
        message: NewChatMessage,
    ) -> Result<ChatMessage, StoreError> {
        self.writer.append(room.clone(), message).await
    }

    /// The last `n` messages that `viewer` may read, in ascending order. Private messages are for their two ends only;
    /// without a viewer there are none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last_chat(
        &self,
        room: &RoomName,
        n: u32,
        viewer: Option<&str>,
    ) -> Result<Vec<ChatMessage>, StoreError> {
        Ok(chat::last(&self.readers, room, n, viewer).await?)
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
        viewer: Option<&str>,
    ) -> Result<Vec<ChatMessage>, StoreError> {
        Ok(chat::since(&self.readers, room, seq, limit, viewer).await?)
    }

    /// The number of the room's last message; 0 when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last_seq(&self, room: &RoomName) -> Result<u64, StoreError> {
        Ok(chat::last_seq(&self.readers, room).await?)
    }

    /// Stores what is queued, then closes the database for every clone of this handle.
    pub async fn close(self) {
        self.readers.close().await;
        // The last connection to close folds the write-ahead log into the database; a read-only one can't.
        self.writer.close().await;
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        match error {
            sqlx::Error::PoolClosed => StoreError::Closed,
            other => StoreError::Failed(other.to_string()),
        }
    }
}

fn connect_options(url: &str) -> Result<SqliteConnectOptions, StoreError> {
    let refused = |reason: &str| StoreError::Url { url: url.to_owned(), reason: reason.to_owned() };
    if !url.starts_with("sqlite:") {
        return Err(refused("it must start with `sqlite://`, followed by the path of a file"));
    }
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(refused("a database in memory can't be shared; give the path of a file"));
    }
    let options =
        SqliteConnectOptions::from_str(url).map_err(|error| refused(&error.to_string()))?;
    Ok(options
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT))
}

/// Chat is nobody else's business: the file is its owner's alone, and SQLite gives its log the same mode.
fn create_for_owner(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    connection.ping().await?;
    Ok(MIGRATIONS.run(connection).await?)
}

#[cfg(test)]
mod tests;
