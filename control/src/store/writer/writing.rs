//! A transaction that is being filled.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use madang_wire::RoomName;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Connection, Row, Transaction};
use tracing::debug;

use super::super::dialect::Dialect;
use super::super::rooms::{self, RoomRecord};
use super::Failure;

/// A transaction, and what it knows already.
pub(in crate::store) struct Writing<'c> {
    transaction: Transaction<'c, Any>,
    dialect: Dialect,
    /// The last numbers of the rooms that this transaction has locked. Bounded by its changes.
    seqs: BTreeMap<RoomName, LastSeq>,
}

#[derive(Clone, Copy)]
struct LastSeq {
    stored: i64,
    given: i64,
}

impl<'c> Writing<'c> {
    pub(super) async fn begin(
        connection: &'c mut AnyConnection,
        dialect: Dialect,
    ) -> Result<Writing<'c>, sqlx::Error> {
        let transaction = connection.begin_with(dialect.begin()).await?;
        Ok(Writing { transaction, dialect, seqs: BTreeMap::new() })
    }

    pub(super) async fn commit(mut self) -> Result<(), Failure> {
        self.store_seqs().await.map_err(Failure::OfOne)?;
        self.transaction.commit().await.map_err(Failure::OfAll)
    }

    /// Undoes all of it.
    pub(super) async fn take_back(self) {
        if let Err(error) = self.transaction.rollback().await {
            // The connection is looked at next, and given up if it is broken.
            debug!(%error, "a transaction could not be taken back");
        }
    }

    /// The number of the room's last message. The room is locked from here on, and made if there is none.
    pub(in crate::store) async fn last_seq(
        &mut self,
        room: &RoomName,
        now: Timestamp,
    ) -> Result<i64, sqlx::Error> {
        if let Some(seq) = self.seqs.get(room) {
            return Ok(seq.given);
        }
        let sql = format!("SELECT last_seq FROM rooms WHERE name = ?{}", self.dialect.locking());
        let stored = match self.row(self.query(sql).bind(room.as_str())).await? {
            Some(row) => row.try_get("last_seq")?,
            None => {
                rooms::insert(self, &RoomRecord::new(room.clone(), None, now)).await?;
                0
            }
        };
        self.seqs.insert(room.clone(), LastSeq { stored, given: stored });
        Ok(stored)
    }

    /// The same, if the room is locked already.
    pub(in crate::store) fn known_seq(&self, room: &RoomName) -> Option<i64> {
        self.seqs.get(room).map(|seq| seq.given)
    }

    /// The room's last message has this number.
    pub(in crate::store) fn set_last_seq(&mut self, room: &RoomName, seq: i64) {
        if let Some(last) = self.seqs.get_mut(room) {
            last.given = seq;
        }
    }

    /// The room is not there any more.
    pub(in crate::store) fn forget_seq(&mut self, room: &RoomName) {
        self.seqs.remove(room);
    }

    async fn store_seqs(&mut self) -> Result<(), sqlx::Error> {
        for (room, LastSeq { stored, given }) in std::mem::take(&mut self.seqs) {
            if given != stored {
                let query = self.query("UPDATE rooms SET last_seq = ? WHERE name = ?");
                self.run(query.bind(given).bind(room.as_str())).await?;
            }
        }
        Ok(())
    }

    /// A statement, with a `?` for each value.
    pub(in crate::store) fn query<'q>(
        &self,
        sql: impl Into<Cow<'static, str>>,
    ) -> Query<'q, Any, AnyArguments> {
        self.dialect.query(sql)
    }

    /// Runs a statement. Returns how many rows it concerned.
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
