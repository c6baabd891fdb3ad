//! Connections for queries.

use std::borrow::Cow;
use std::time::Duration;

use sqlx::any::{AnyArguments, AnyPoolOptions, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyPool};

use super::address::Address;
use super::dialect::Dialect;

/// Maximum number of concurrent queries; more wait.
const READERS: u32 = 4;
/// Maximum time that a query waits for a connection, because all are in use or the database is unreachable.
const PATIENCE: Duration = Duration::from_secs(10);

/// A small pool. It opens connections on demand, also after the database was unreachable.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    pool: AnyPool,
    dialect: Dialect,
}

impl Readers {
    pub(super) fn new(address: &Address) -> Readers {
        let options = AnyPoolOptions::new().max_connections(READERS).acquire_timeout(PATIENCE);
        Readers { pool: address.readers(options), dialect: address.dialect }
    }

    /// Builds a query, with a `?` for each value.
    pub(super) fn query<'q>(
        &self,
        sql: impl Into<Cow<'static, str>>,
    ) -> Query<'q, Any, AnyArguments> {
        self.dialect.query(sql)
    }

    pub(super) async fn row(
        &self,
        query: Query<'_, Any, AnyArguments>,
    ) -> Result<Option<AnyRow>, sqlx::Error> {
        query.fetch_optional(&self.pool).await
    }

    pub(super) async fn rows(
        &self,
        query: Query<'_, Any, AnyArguments>,
    ) -> Result<Vec<AnyRow>, sqlx::Error> {
        query.fetch_all(&self.pool).await
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}
