//! A transaction that changes are written to.

use std::borrow::Cow;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Connection, Transaction};
use tracing::debug;

use super::super::dialect::Dialect;
use super::super::trouble::Cause;
use super::pending::Chat;
use crate::store::error::Failure;

/// A transaction and its state of chat.
pub(in crate::store) struct Writing<'c> {
    transaction: Transaction<'c, Any>,
    dialect: Dialect,
    pub(in crate::store) chat: Chat,
}

impl<'c> Writing<'c> {
    pub(super) async fn begin(
        connection: &'c mut AnyConnection,
        dialect: Dialect,
    ) -> Result<Writing<'c>, Failure> {
        let transaction = connection.begin_with(dialect.begin()).await.map_err(Failure::of_all)?;
        Ok(Writing { transaction, dialect, chat: Chat::default() })
    }

    pub(super) async fn commit(self) -> Result<(), Failure> {
        self.transaction.commit().await.map_err(Failure::of_all)
    }

    /// Rolls the transaction back after an error. Returns the failure, and whether the connection can still be used.
    pub(super) async fn take_back(self, error: sqlx::Error) -> (Failure, bool) {
        let rolled_back = self.transaction.rollback().await;
        if let Err(error) = &rolled_back {
            debug!(%error, "could not roll back a transaction");
        }
        let failure = match Cause::of(&error) {
            Some(cause) => Failure::OfAll(cause),
            None => Failure::OfOne(error),
        };
        (failure, rolled_back.is_ok())
    }

    /// The suffix of a SELECT that locks its rows until the transaction ends.
    pub(in crate::store) fn locking(&self) -> &'static str {
        self.dialect.locking()
    }

    /// Builds a statement, with a `?` for each value.
    pub(in crate::store) fn query<'q>(
        &self,
        sql: impl Into<Cow<'static, str>>,
    ) -> Query<'q, Any, AnyArguments> {
        self.dialect.query(sql)
    }

    /// Runs a statement. Returns the number of affected rows.
    pub(in crate::store) async fn run(
        &mut self,
        query: Query<'_, Any, AnyArguments>,
    ) -> Result<u64, sqlx::Error> {
        Ok(query.execute(&mut *self.transaction).await?.rows_affected())
    }

    pub(in crate::store) async fn row(
        &mut self,
        query: Query<'_, Any, AnyArguments>,
    ) -> Result<Option<AnyRow>, sqlx::Error> {
        query.fetch_optional(&mut *self.transaction).await
    }

    pub(in crate::store) async fn rows(
        &mut self,
        query: Query<'_, Any, AnyArguments>,
    ) -> Result<Vec<AnyRow>, sqlx::Error> {
        query.fetch_all(&mut *self.transaction).await
    }
}
