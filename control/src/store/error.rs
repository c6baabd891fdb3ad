//! Errors of the store.

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
    /// The transaction could not begin or be committed.
    OfAll(sqlx::Error),
    /// There is no connection, with the reason.
    Away(String),
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
    /// The database failed, for example because of a full disk or a corrupt file.
    #[error("the database failed: {0}")]
    Failed(String),
    /// The database can't be reached.
    #[error("the database is unreachable: {0}")]
    Away(String),
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
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
            Failure::OfOne(error) | Failure::OfAll(error) => StoreError::Failed(error.to_string()),
            Failure::Away(reason) => StoreError::Away(reason),
        }
    }
}
