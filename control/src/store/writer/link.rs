//! The writer's connection. It is opened anew after the database was unreachable or failed.
//!
//! ```text
//!        fail: a transaction failed                 look: connected
//! works ────────────────────────────▶ disconnected ────────────────▶ doubtful
//!   ▲  │        ping failed                ▲   │ look: connected         │
//!   │  └───────────────────────────────────┘   │ after it was away       │
//!   └──────────────────────────────────────────┴─────────────────────────┘
//!                                                 a write or the probe succeeds
//! ```
#![expect(clippy::disallowed_methods, reason = "pings and connecting have deadlines")]

use std::time::Duration;

use sqlx::{AnyConnection, Connection};
use tokio::time::Instant;
use tracing::{error, info};

use super::super::dialect::Dialect;
use super::super::space::Space;
use super::super::trouble::{Cause, Trouble};
use super::writing::Writing;
use crate::store::address::Address;
use crate::store::error::Failure;

/// Interval between health checks of the connection.
const CHECK: Duration = Duration::from_secs(5);
/// Deadline of a ping, of a probe, and for closing a connection that failed.
const PING: Duration = Duration::from_secs(5);
/// Deadline for opening a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Delay before the first attempt to reconnect; it doubles after each failure.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// Maximum delay between two attempts.
const LAST_RETRY: Duration = Duration::from_secs(5);
/// How long no write may have failed when trouble ends. On a disk that is almost full, small changes succeed between
/// large ones that fail.
const SETTLED: Duration = Duration::from_secs(1);

/// The connection for writing.
pub(in crate::store) struct Link {
    address: Address,
    connection: Option<AnyConnection>,
    trouble: Trouble,
    /// The disk of an SQLite file, if it is watched.
    space: Option<Space>,
    retry: Duration,
    failed_at: Instant,
}

impl Link {
    /// A link that keeps `free` bytes free on the disk of an SQLite file.
    pub(in crate::store) fn new(address: Address, connection: AnyConnection, free: u64) -> Link {
        let trouble = Trouble::default();
        let file = address.file.clone().filter(|_| free > 0);
        Link {
            address,
            connection: Some(connection),
            space: file.map(|file| Space::new(file, free, trouble.clone())),
            trouble,
            retry: FIRST_RETRY,
            failed_at: Instant::now(),
        }
    }

    /// The shared state that `/readyz` reads.
    pub(in crate::store) fn watch(&self) -> Trouble {
        self.trouble.clone()
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.address.dialect
    }

    pub(super) fn connection(&mut self) -> Option<&mut AnyConnection> {
        self.connection.as_mut()
    }

    pub(super) fn is_there(&self) -> bool {
        self.connection.is_some()
    }

    pub(super) fn is_in_trouble(&self) -> bool {
        self.trouble.get().is_some()
    }

    /// Whether there is too little space on the disk for chat.
    pub(super) async fn is_short_of_space(&mut self) -> bool {
        match &mut self.space {
            Some(space) => {
                space.look().await;
                self.trouble.shortage().is_some()
            }
            None => false,
        }
    }

    /// The reason why there is no connection.
    pub(super) fn cause(&self) -> Cause {
        self.trouble.get().unwrap_or_else(|| Cause::Away(String::new()))
    }

    /// How long to wait before the next [`Link::check`].
    pub(super) fn until_check(&self) -> Duration {
        if self.is_in_trouble() { self.retry } else { CHECK }
    }

    /// Checks whether the database still answers. In trouble, checks whether it is over: tries to reconnect if there is
    /// no connection, and to write if there is one.
    pub(super) async fn check(&mut self) {
        if let Some(space) = &mut self.space {
            space.look().await;
        }
        let is_in_trouble = self.is_in_trouble();
        match &mut self.connection {
            Some(_) if is_in_trouble => self.probe().await,
            Some(connection) => match tokio::time::timeout(PING, connection.ping()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.lose(Cause::Away(error.to_string())),
                Err(_) => self.lose(Cause::Away("it does not answer in time".to_owned())),
            },
            None => self.look().await,
        }
    }

    /// Records that a transaction succeeded.
    pub(super) fn succeed(&mut self) {
        if self.is_in_trouble() && self.failed_at.elapsed() >= SETTLED {
            self.recover();
        }
    }

    /// Records that a transaction of `changes` failed because of the database, and connects anew: whether the
    /// connection is still inside a transaction is unknown. SQLite, for example, rolls back by itself when the disk is
    /// full.
    pub(super) async fn fail(&mut self, cause: Cause) {
        self.begin_trouble(cause);
        self.renew().await;
    }

    /// Closes the connection and opens another one.
    pub(super) async fn renew(&mut self) {
        if let Some(connection) = self.connection.take() {
            // Closing an SQLite connection releases its locks. If it fails, dropping the connection does that later.
            let _ = tokio::time::timeout(PING, connection.close()).await;
        }
        self.look().await;
    }

    /// Drops the connection. Whether an unfinished transaction on it is stored is unknown.
    pub(super) fn lose(&mut self, cause: Cause) {
        self.begin_trouble(cause);
        self.connection = None;
    }

    /// Counts changes that were not written because of the database.
    pub(super) fn count_failed(&self, changes: usize) {
        self.trouble.count_failed(changes);
    }

    fn begin_trouble(&mut self, cause: Cause) {
        if !self.is_in_trouble() {
            error!("{cause}; nothing is stored until this is over");
            self.retry = FIRST_RETRY;
        }
        self.failed_at = Instant::now();
        self.trouble.set(Some(cause));
    }

    fn recover(&mut self) {
        info!("the database works again");
        self.trouble.set(None);
        self.retry = FIRST_RETRY;
    }

    async fn look(&mut self) {
        let reason = match tokio::time::timeout(CONNECT, self.address.connect()).await {
            Ok(Ok(connection)) => {
                self.connection = Some(connection);
                if let Some(Cause::Away(_)) = self.trouble.get() {
                    self.recover();
                }
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer in time".to_owned(),
        };
        // Opening an SQLite file needs space too.
        if self.trouble.get() != Some(Cause::Full) {
            self.begin_trouble(Cause::Away(reason));
        }
        self.retry = (self.retry * 2).min(LAST_RETRY);
    }

    /// Writes something, to find out whether the database can be written again.
    async fn probe(&mut self) {
        let dialect = self.address.dialect;
        let Some(connection) = &mut self.connection else { return };
        let cause = match tokio::time::timeout(PING, write_probe(connection, dialect)).await {
            Ok(Ok(())) => return self.succeed(),
            Ok(Err(Failure::OfAll(cause) | Failure::Down(cause))) => cause,
            Ok(Err(Failure::OfOne(error))) => Cause::Failing(error.to_string()),
            Err(_) => Cause::Away("it does not answer in time".to_owned()),
        };
        self.retry = (self.retry * 2).min(LAST_RETRY);
        self.fail(cause).await;
    }

    pub(super) async fn close(self) {
        let Some(connection) = self.connection else { return };
        if let Err(error) = connection.close().await {
            error!(%error, "could not close the database connection cleanly");
        }
    }
}

/// A transaction that changes nothing but has to be written to the disk.
async fn write_probe(connection: &mut AnyConnection, dialect: Dialect) -> Result<(), Failure> {
    let mut writing = Writing::begin(connection, dialect).await?;
    let id = "probe of a server that could not write";
    let insert = writing.query("INSERT INTO revoked_tokens (id, expires_at) VALUES (?, 0)");
    let written = writing.run(insert.bind(id)).await;
    let delete = writing.query("DELETE FROM revoked_tokens WHERE id = ?").bind(id);
    let written = match written {
        Ok(_) => writing.run(delete).await,
        Err(error) => Err(error),
    };
    match written {
        Ok(_) => writing.commit().await,
        Err(error) => Err(writing.take_back(error).await.0),
    }
}
