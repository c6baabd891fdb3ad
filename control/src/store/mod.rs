//! Persistent state: rooms, chat, roles, bans, revoked tokens, the audit log, webhook calls.
//!
//! [`Store`] is a concrete type whose methods are the questions the server asks. Each topic has its own file, and all
//! SQL stays in this folder. The database is SQLite (write-ahead log, `synchronous=FULL`), PostgreSQL, or MySQL and
//! MariaDB. Each question has one SQL text; `dialect` contains what differs between the databases.
//!
//! ```text
//! append_chat ─┐                    ┌─ one transaction, one fsync ─┐
//! set_role ────┼─ bounded queue ─▶ writer (one task) ───────────▶ each caller gets their answer
//! append_chat ─┘
//! last_chat, rooms ─▶ small pool of connections that read
//! ```
//!
//! A commit costs the same for one message as for a hundred, so the writer puts all waiting changes into one
//! transaction (group commit). Under load the groups grow by themselves; a single message does not wait for others.
//! When a method that writes returns, its change is durable.
//!
//! Chat is numbered per room under a lock of the room's row, so the numbers have no gaps even when several servers
//! share one PostgreSQL or MySQL database. While such a database is unreachable, callers get [`StoreError::Away`].
#![expect(clippy::disallowed_methods, reason = "opening the database has a deadline")]

mod address;
mod audit;
mod chat;
mod dialect;
mod error;
mod folding;
mod message;
mod people;
mod readers;
pub(crate) mod retention;
mod room_record;
mod rooms;
mod row;
mod space;
mod tokens;
mod trouble;
mod url;
mod webhooks;
mod writer;

use std::time::Duration;

pub use self::audit::AuditEntry;
pub use self::error::StoreError;
pub use self::people::{Ban, MOST_PEOPLE};
pub use self::row::LONGEST_ID;
pub use self::tokens::MOST_REVOCATIONS;
pub use self::url::StoreUrl;
pub use self::webhooks::{Delivery, MOST_DELIVERIES, NewDelivery};
pub use message::{Appended, ChatRecord, NewChatMessage, Viewer};
pub use room_record::RoomRecord;

use self::address::Address;
use self::readers::Readers;
use self::trouble::Trouble;
use self::writer::{Link, Writer};

/// Deadline for opening the database, migrations excluded.
const OPEN: Duration = Duration::from_secs(20);

/// The clonable handle to the database.
#[derive(Clone, Debug)]
pub struct Store {
    writer: Writer,
    readers: Readers,
    trouble: Trouble,
}

/// The counters of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Whether nothing can be stored at the moment, or no chat.
    pub is_in_trouble: bool,
    /// The free space on the disk of the SQLite file, in bytes; 0 if it is not watched.
    pub free_bytes: u64,
    /// Changes that were not stored because the database failed, since the start.
    pub failed_changes: u64,
}

impl Store {
    /// Opens the database at `url`, creates an SQLite file if it is missing, and brings the schema up to date. Must be
    /// called inside a tokio runtime.
    ///
    /// # Errors
    /// When the database can't be opened.
    pub async fn open(url: &StoreUrl) -> Result<Store, StoreError> {
        Store::open_keeping(url, 0).await
    }

    /// Opens the database as [`Store::open`] does. Chat is stored only while at least `free` bytes are free on the disk
    /// of an SQLite file, or a tenth of a smaller disk; 0 does not watch the disk.
    ///
    /// # Errors
    /// When the database can't be opened.
    pub async fn open_keeping(url: &StoreUrl, free: u64) -> Result<Store, StoreError> {
        let failed = |error: &dyn ToString| StoreError::Open {
            url: url.to_string(),
            reason: error.to_string(),
        };
        let address = Address::find(url).map_err(|error| failed(&error))?;
        let connecting = tokio::time::timeout(OPEN, address.connect()).await;
        let mut connection = connecting
            .map_err(|_| failed(&"it does not answer in time"))?
            .map_err(|error| failed(&error))?;
        address.migrate(&mut connection).await.map_err(|error| failed(&error))?;
        let readers = Readers::new(&address);
        let link = Link::new(address, connection, free);
        let trouble = link.watch();
        Ok(Store { writer: Writer::start(link), readers, trouble })
    }

    /// The reason why nothing can be stored at the moment, or no chat, if there is one.
    pub fn trouble(&self) -> Option<String> {
        let cause = self.trouble.get().map(|cause| cause.to_string());
        cause.or_else(|| self.trouble.shortage().map(|shortage| shortage.to_string()))
    }

    /// A snapshot of the counters.
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            is_in_trouble: self.trouble().is_some(),
            free_bytes: self.trouble.free(),
            failed_changes: self.trouble.failed(),
        }
    }

    /// Stores the queued changes, then closes the database for every clone of this handle.
    pub async fn close(self) {
        self.readers.close().await;
        // The last connection to an SQLite file merges the write-ahead log into it. A read-only connection can't do
        // that, so the writer closes last.
        self.writer.close().await;
    }
}

#[cfg(test)]
mod tests;
