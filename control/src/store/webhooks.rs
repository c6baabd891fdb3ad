//! Webhook calls that have not been delivered yet.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::row::{number, text, time, to_number, without_nul};
use super::writer::{Change, Unwritten, Writing};
use super::{Store, StoreError};

/// Most calls that wait; more are refused.
pub const MOST_DELIVERIES: u32 = 100_000;

/// A call to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Whom to call.
    pub url: String,
    /// What to tell.
    pub body: String,
    /// When, at the earliest. Kept in milliseconds.
    pub at: Timestamp,
}

/// A call that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its number: rises from call to call.
    pub id: u64,
    /// Whom to call.
    pub url: String,
    /// What to tell.
    pub body: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When to try it (again).
    pub at: Timestamp,
}

impl Store {
    /// Stores calls, all of them or none, until they are delivered.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when [`MOST_DELIVERIES`] wait; otherwise when the database fails.
    pub async fn queue_webhooks(&self, deliveries: &[NewDelivery]) -> Result<(), StoreError> {
        self.writer.write(Queue(deliveries.to_vec())).await
    }

    /// The first `limit` calls to make at this time, in the order in which they are due.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due_webhooks(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let sql = "SELECT id, url, body, attempts, due_at FROM webhook_deliveries WHERE due_at <= ? \
            ORDER BY due_at, id LIMIT ?";
        let query = self.readers.query(sql).bind(now.as_millisecond()).bind(i64::from(limit));
        let rows = self.readers.rows(query).await?;
        Ok(rows.iter().map(delivery).collect::<Result<_, _>>()?)
    }

    /// A call is done, or given up: it waits no more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn webhook_delivered(&self, id: u64) -> Result<(), StoreError> {
        self.writer.write(Delivered { id }).await
    }

    /// A call did not work, for the `attempts`th time; it is made again at `next_at`.
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

    /// How many calls wait.
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
    type Answer = ();

    fn write<'a>(&'a self, writing: &'a mut Writing<'_>) -> BoxFuture<'a, Result<(), Unwritten>> {
        Box::pin(async move {
            let row = writing.row(writing.query(COUNT)).await?;
            let waiting: i64 = row.map_or(Ok(0), |row| row.try_get("waiting"))?;
            let more = i64::try_from(self.0.len()).unwrap_or(i64::MAX);
            if waiting.saturating_add(more) > i64::from(MOST_DELIVERIES) {
                return Err(Unwritten::Refused(format!(
                    "at most {MOST_DELIVERIES} webhook calls wait for delivery"
                )));
            }
            for NewDelivery { url, body, at } in &self.0 {
                let insert = writing
                    .query("INSERT INTO webhook_deliveries (url, body, attempts, due_at) VALUES (?, ?, 0, ?)")
                    .bind(without_nul(url.clone()))
                    .bind(without_nul(body.clone()))
                    .bind(at.as_millisecond());
                writing.run(insert).await?;
            }
            Ok(())
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
