//! Webhook calls that have not been delivered yet.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::error::Unwritten;
use super::row::{number, text, time, to_number, without_nul};
use super::writer::{Change, Writing};
use super::{Store, StoreError};

/// Maximum number of waiting calls; when it is exceeded, the oldest are dropped.
pub const MOST_DELIVERIES: u32 = 100_000;

/// A webhook call to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// The URL to call.
    pub url: String,
    /// The request body.
    pub body: String,
    /// The earliest time of the call. Stored with millisecond precision.
    pub at: Timestamp,
}

/// A waiting webhook call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its number, which increases from call to call.
    pub id: u64,
    /// The URL to call.
    pub url: String,
    /// The request body.
    pub body: String,
    /// The number of failed attempts so far.
    pub attempts: u32,
    /// The time of the next attempt.
    pub at: Timestamp,
}

impl Store {
    /// Stores calls, all of them or none, until they are delivered. When more than [`MOST_DELIVERIES`] are waiting,
    /// drops the oldest. Returns how many it dropped.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn queue_webhooks(&self, deliveries: &[NewDelivery]) -> Result<u64, StoreError> {
        self.writer.write(Queue(deliveries.to_vec())).await
    }

    /// The first `limit` waiting calls of a URL, in the order in which they were stored, due or not.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn waiting_webhooks(
        &self,
        url: &str,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let sql = "SELECT id, url, body, attempts, due_at FROM webhook_deliveries WHERE url = ? \
            ORDER BY id LIMIT ?";
        let query = self.readers.query(sql).bind(without_nul(url.to_owned()));
        let rows = self.readers.rows(query.bind(i64::from(limit))).await?;
        Ok(rows.iter().map(delivery).collect::<Result<_, _>>()?)
    }

    /// Deletes the calls to all URLs except these. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_webhooks_of(&self, urls: &[String]) -> Result<u64, StoreError> {
        self.writer.write(KeepOf(urls.to_vec())).await
    }

    /// Deletes a call that was delivered or given up.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn webhook_delivered(&self, id: u64) -> Result<(), StoreError> {
        self.writer.write(Delivered { id }).await
    }

    /// Records that a call failed for the `attempts`th time and is due again at `next_at`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn webhook_failed(
        &self,
        id: u64,
        attempts: u32,
        next_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.writer.write(Failed { id, attempts, next_at }).await
    }

    /// The number of waiting calls.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pending_webhooks(&self) -> Result<u64, StoreError> {
        let row = self.readers.row(self.readers.query(COUNT)).await?;
        Ok(row.map_or(Ok(0), |row| number(&row, "waiting"))?)
    }
}

const COUNT: &str = "SELECT count(*) AS waiting FROM webhook_deliveries";

struct Queue(Vec<NewDelivery>);

impl Change for Queue {
    type Answer = u64;

    fn write<'a>(&'a self, writing: &'a mut Writing<'_>) -> BoxFuture<'a, Result<u64, Unwritten>> {
        Box::pin(async move {
            for NewDelivery { url, body, at } in &self.0 {
                let insert = writing
                    .query("INSERT INTO webhook_deliveries (url, body, attempts, due_at) VALUES (?, ?, 0, ?)")
                    .bind(without_nul(url.clone()))
                    .bind(without_nul(body.clone()))
                    .bind(at.as_millisecond());
                writing.run(insert).await?;
            }
            let row = writing.row(writing.query(COUNT)).await?;
            let waiting: i64 = row.map_or(Ok(0), |row| row.try_get("waiting"))?;
            Ok(give_up_oldest(writing, waiting - i64::from(MOST_DELIVERIES)).await?)
        })
    }
}

async fn give_up_oldest(writing: &mut Writing<'_>, excess: i64) -> Result<u64, sqlx::Error> {
    if excess <= 0 {
        return Ok(0);
    }
    let sql = "SELECT id FROM webhook_deliveries ORDER BY id LIMIT 1 OFFSET ?";
    let Some(row) = writing.row(writing.query(sql).bind(excess)).await? else { return Ok(0) };
    let first_kept: i64 = row.try_get("id")?;
    let delete = writing.query("DELETE FROM webhook_deliveries WHERE id < ?");
    writing.run(delete.bind(first_kept)).await
}

struct KeepOf(Vec<String>);

impl Change for KeepOf {
    type Answer = u64;

    fn write<'a>(&'a self, writing: &'a mut Writing<'_>) -> BoxFuture<'a, Result<u64, Unwritten>> {
        Box::pin(async move {
            // `NOT IN ()` is not valid SQL in every database.
            let marks = ["?"].repeat(self.0.len()).join(", ");
            let others = if marks.is_empty() {
                String::new()
            } else {
                format!(" WHERE url NOT IN ({marks})")
            };
            let mut delete = writing.query(format!("DELETE FROM webhook_deliveries{others}"));
            for url in &self.0 {
                delete = delete.bind(without_nul(url.clone()));
            }
            Ok(writing.run(delete).await?)
        })
    }
}

struct Delivered {
    id: u64,
}

impl Change for Delivered {
    type Answer = ();

    fn write<'a>(&'a self, writing: &'a mut Writing<'_>) -> BoxFuture<'a, Result<(), Unwritten>> {
        Box::pin(async move {
            let delete = writing.query("DELETE FROM webhook_deliveries WHERE id = ?");
            writing.run(delete.bind(to_number(self.id))).await?;
            Ok(())
        })
    }
}

struct Failed {
    id: u64,
    attempts: u32,
    next_at: Timestamp,
}

impl Change for Failed {
    type Answer = ();

    fn write<'a>(&'a self, writing: &'a mut Writing<'_>) -> BoxFuture<'a, Result<(), Unwritten>> {
        Box::pin(async move {
            let update = writing
                .query("UPDATE webhook_deliveries SET attempts = ?, due_at = ? WHERE id = ?")
                .bind(i64::from(self.attempts))
                .bind(self.next_at.as_millisecond())
                .bind(to_number(self.id));
            writing.run(update).await?;
            Ok(())
        })
    }
}

fn delivery(row: &AnyRow) -> Result<Delivery, sqlx::Error> {
    Ok(Delivery {
        id: number(row, "id")?,
        url: text(row, "url")?,
        body: text(row, "body")?,
        attempts: u32::try_from(number(row, "attempts")?).unwrap_or(u32::MAX),
        at: time(row, "due_at")?,
    })
}
