//! Errors of the store.

use tracing::{debug, warn};

use super::trouble::Cause;

/// Why a change was not written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// The change is not allowed, with the reason.
    Refused(String),
    /// The database failed.
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for Unwritten {
    fn from(error: sqlx::Error) -> Unwritten {
        Unwritten::Failed(error)
    }
}

/// Why a transaction failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// One change could not be written; the others may succeed without it.
    OfOne(sqlx::Error),
    /// The database failed, whatever the changes were.
    OfAll(Cause),
    /// There is no connection.
    Down(Cause),
}

impl Failure {
    /// The failure of a transaction that could not begin or be committed.
    pub(super) fn of_all(error: sqlx::Error) -> Failure {
        Failure::OfAll(Cause::of(&error).unwrap_or_else(|| Cause::Failing(error.to_string())))
    }
}

/// An error of a [`Store`](super::Store) method.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be opened or migrated to the current schema.
    #[error("the database {url} can't be opened: {reason}")]
    Open {
        /// The URL as configured, without its password.
        url: String,
        /// The error of the database.
        reason: String,
    },
    /// The change was not stored: a number or id is taken, or a field or table exceeds its limit.
    #[error("not stored: {0}")]
    Refused(String),
    /// The database failed.
    #[error("the database failed: {0}")]
    Failed(String),
    /// The disk of the database is full.
    #[error("the disk of the database is full")]
    Full,
    /// Too little space is left on the disk of the database to store chat.
    #[error("the disk of the database is almost full")]
    AlmostFull,
    /// The database can't be written, for example because its disk fails or it is read-only.
    #[error("the database can't be written: {0}")]
    Failing(String),
    /// The database can't be reached.
    #[error("the database is unreachable: {0}")]
    Away(String),
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Logs what could not be done. While nothing can be stored, at level debug: the store logs when that begins and
    /// when it is over, and each refused change would add a line.
    pub(crate) fn log(&self, what: &str) {
        match self {
            StoreError::Away(_)
            | StoreError::Full
            | StoreError::AlmostFull
            | StoreError::Failing(_) => {
                debug!(error = %self, "{what}");
            }
            StoreError::Open { .. }
            | StoreError::Refused(_)
            | StoreError::Failed(_)
            | StoreError::Closed => warn!(error = %self, "{what}"),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        match error {
            sqlx::Error::PoolClosed => StoreError::Closed,
            sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::Tls(_) => {
                StoreError::Away(error.to_string())
            }
            other => StoreError::Failed(other.to_string()),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> StoreError {
        match failure {
            Failure::OfOne(sqlx::Error::Database(error))
                if error.kind() != sqlx::error::ErrorKind::Other =>
            {
                StoreError::Refused(error.to_string())
            }
            Failure::OfOne(error) => StoreError::Failed(error.to_string()),
            Failure::OfAll(cause) | Failure::Down(cause) => cause.into(),
        }
    }
}

impl From<Cause> for StoreError {
    fn from(cause: Cause) -> StoreError {
        match cause {
            Cause::Away(reason) => StoreError::Away(reason),
            Cause::Full => StoreError::Full,
            Cause::Failing(reason) => StoreError::Failing(reason),
        }
    }
}
