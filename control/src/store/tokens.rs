//! Revoked tokens that have not expired.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::error::Unwritten;
use super::row::{check_id, text, time};
use super::writer::{Change, Writing};
use super::{Store, StoreError};

/// Maximum number of revoked tokens at a time; one more is refused. A token leaves the list when it expires.
pub const MOST_REVOCATIONS: u32 = 100_000;

impl Store {
    /// Revokes a token by its id until it expires.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if [`MOST_REVOCATIONS`] tokens are revoked already; otherwise when the database fails.
    pub async fn revoke_token(&self, id: &str, until: Timestamp) -> Result<(), StoreError> {
        self.writer.write(Revoke { id: id.to_owned(), until }).await
    }

    /// The revoked tokens that have not expired, with their expiry times.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revocations(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let sql = "SELECT id, expires_at FROM revoked_tokens WHERE expires_at > ? ORDER BY id";
        let query = self.readers.query(sql).bind(now.as_millisecond());
        let rows = self.readers.rows(query).await?;
        let revocation = |row: &AnyRow| Ok((text(row, "id")?, time(row, "expires_at")?));
        Ok(rows.iter().map(revocation).collect::<Result<_, sqlx::Error>>()?)
    }

    /// Deletes the revoked tokens that have expired. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_revocations(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.writer.write(Forget { now }).await
    }
}

struct Revoke {
    id: String,
    until: Timestamp,
}

impl Change for Revoke {
    type Answer = ();

    fn write<'a>(&'a self, writing: &'a mut Writing<'_>) -> BoxFuture<'a, Result<(), Unwritten>> {
        Box::pin(async move {
            check_id("the id of a token", &self.id)?;
            let delete = writing.query("DELETE FROM revoked_tokens WHERE id = ?").bind(&self.id);
            let is_known = writing.run(delete).await? > 0;
            let row = writing.row(writing.query("SELECT count(*) AS tokens FROM revoked_tokens"));
            let tokens: i64 = row.await?.map_or(Ok(0), |row| row.try_get("tokens"))?;
            if !is_known && tokens >= i64::from(MOST_REVOCATIONS) {
                return Err(Unwritten::Refused(format!(
                    "at most {MOST_REVOCATIONS} tokens can be revoked at a time"
                )));
            }
            let insert = writing.query("INSERT INTO revoked_tokens (id, expires_at) VALUES (?, ?)");
            writing.run(insert.bind(&self.id).bind(self.until.as_millisecond())).await?;
            Ok(())
        })
    }
}

struct Forget {
    now: Timestamp,
}

impl Change for Forget {
    type Answer = u64;

    fn write<'a>(&'a self, writing: &'a mut Writing<'_>) -> BoxFuture<'a, Result<u64, Unwritten>> {
        Box::pin(async move {
            let delete = writing.query("DELETE FROM revoked_tokens WHERE expires_at <= ?");
            Ok(writing.run(delete.bind(self.now.as_millisecond())).await?)
        })
    }
}
