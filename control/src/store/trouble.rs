//! The reason why the database can't be written, while there is one.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// Why the database can't be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It can't be reached, with the reason.
    Away(String),
    /// Its disk is full.
    Full,
    /// It fails whatever the change is, with the reason.
    Failing(String),
}

impl Cause {
    /// The cause behind an error; `None` if the error may concern a single change.
    pub(super) fn of(error: &sqlx::Error) -> Option<Cause> {
        match error {
            sqlx::Error::Database(error) => Cause::of_database(error.as_ref()),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed => Some(Cause::Away(error.to_string())),
            _ => None,
        }
    }

    fn of_database(error: &dyn DatabaseError) -> Option<Cause> {
        let away = || Cause::Away(error.to_string());
        let failing = || Cause::Failing(error.to_string());
        let code = error.code().unwrap_or_default();
        if error.try_downcast_ref::<SqliteError>().is_some() {
            // The low byte of an extended result code is the primary one (https://sqlite.org/rescode.html).
            return match code.parse::<u32>().ok()? & 0xff {
                13 => Some(Cause::Full),
                // PERM, BUSY, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, CANTOPEN, PROTOCOL, NOTADB
                3 | 5..=8 | 10 | 11 | 14 | 15 | 26 => Some(failing()),
                _ => None,
            };
        }
        if error.try_downcast_ref::<PgDatabaseError>().is_some() {
            return match code.as_ref() {
                "53100" => Some(Cause::Full),
                // The server shuts down, has crashed or is starting.
                code if code.starts_with("57P") => Some(away()),
                // read_only_sql_transaction; insufficient resources, system error, internal error
                "25006" => Some(failing()),
                code if ["53", "58", "XX"].iter().any(|class| code.starts_with(class)) => {
                    Some(failing())
                }
                _ => None,
            };
        }
        match error.try_downcast_ref::<MySqlDatabaseError>()?.number() {
            // ER_DISK_FULL, ER_RECORD_FILE_FULL
            1021 | 1114 => Some(Cause::Full),
            // ER_SERVER_SHUTDOWN
            1053 => Some(away()),
            // ER_OPTION_PREVENTS_STATEMENT, ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ER_READ_ONLY_MODE
            1290 | 1792 | 1836 => Some(failing()),
            _ => None,
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cause::Away(reason) => write!(f, "the database is unreachable: {reason}"),
            Cause::Full => f.write_str("the disk of the database is full"),
            Cause::Failing(reason) => write!(f, "the database can't be written: {reason}"),
        }
    }
}

/// The state that the writer shares with those who report it. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble(Arc<State>);

#[derive(Debug, Default)]
struct State {
    cause: Mutex<Option<Cause>>,
    shortage: Mutex<Option<Shortage>>,
    /// In bytes.
    free: AtomicU64,
    failed: AtomicU64,
}

/// Too little space on the disk of the database, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    pub(super) free: u64,
    pub(super) keep: u64,
}

impl std::fmt::Display for Shortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Shortage { free, keep } = self;
        write!(
            f,
            "the disk of the database is almost full: {free} bytes are free, and {keep} have to be \
             (limits.store_free_bytes)"
        )
    }
}

impl Trouble {
    /// Why the database can't be written; `None` while it can.
    pub(super) fn get(&self) -> Option<Cause> {
        self.0.cause.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, cause: Option<Cause>) {
        *self.0.cause.lock().unwrap_or_else(PoisonError::into_inner) = cause;
    }

    /// Why no chat is stored although the database can be written.
    pub(super) fn shortage(&self) -> Option<Shortage> {
        self.0.shortage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records the free space of the disk.
    pub(super) fn set_free(&self, free: u64, shortage: Option<Shortage>) {
        self.0.free.store(free, Relaxed);
        *self.0.shortage.lock().unwrap_or_else(PoisonError::into_inner) = shortage;
    }

    /// The free space of the disk, in bytes; 0 if it is not watched.
    pub(super) fn free(&self) -> u64 {
        self.0.free.load(Relaxed)
    }

    /// Counts changes that were not written although nothing was wrong with them.
    pub(super) fn count_failed(&self, changes: usize) {
        self.0.failed.fetch_add(changes as u64, Relaxed);
    }

    /// The changes that were not written, since the start.
    pub(super) fn failed(&self) -> u64 {
        self.0.failed.load(Relaxed)
    }
}
