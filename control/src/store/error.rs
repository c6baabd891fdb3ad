//! Why something was not stored.

/// Why a change was not written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// It may not be; this is why.
    Refused(String),
    /// The database could not do it.
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
    /// One of its changes could not be written; the others may do without it.
    OfOne(sqlx::Error),
    /// It could not begin or be committed.
    OfAll(sqlx::Error),
    /// There is no connection, because of this.
    Away(String),
}

/// Why the store could not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be opened or brought to the present schema.
    #[error("the database {url} can't be opened: {reason}")]
    Open {
        /// The URL as configured, without its password.
        url: String,
        /// What the database said.
        reason: String,
    },
    /// It was not stored: a number or id is taken, a field or a table is out of bounds.
    #[error("not stored: {0}")]
    Refused(String),
    /// The database failed: a full disk, a broken file.
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
