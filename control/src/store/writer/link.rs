//! The writer's connection, which reconnects after the database was unreachable.
#![expect(clippy::disallowed_methods, reason = "pings and connecting have deadlines")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::{AnyConnection, Connection};
use tracing::{error, info};

use super::super::dialect::Dialect;
use crate::store::address::Address;

/// Interval between health checks of the connection.
const CHECK: Duration = Duration::from_secs(5);
/// Deadline of a ping.
const PING: Duration = Duration::from_secs(5);
/// Deadline for opening a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Delay before the first attempt to reconnect; it doubles after each failure.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// Maximum delay between two attempts.
const LAST_RETRY: Duration = Duration::from_secs(5);

/// The reason why the database can't be written, if there is one. Clones share their state.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    pub(in crate::store) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, reason: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

/// The connection for writing.
pub(in crate::store) struct Link {
    address: Address,
    connection: Option<AnyConnection>,
    trouble: Trouble,
    retry: Duration,
}

impl Link {
    pub(in crate::store) fn new(address: Address, connection: AnyConnection) -> Link {
        let connection = Some(connection);
        Link { address, connection, trouble: Trouble::default(), retry: FIRST_RETRY }
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

    /// The reason why there is no connection.
    pub(super) fn trouble(&self) -> String {
        self.trouble.get().unwrap_or_default()
    }

    /// How long to wait before the next [`Link::check`].
    pub(super) fn until_check(&self) -> Duration {
        if self.is_there() { CHECK } else { self.retry }
    }

    /// Checks whether the database still answers. Tries to reconnect if there is no connection.
    pub(super) async fn check(&mut self) {
        match &mut self.connection {
            Some(connection) => match tokio::time::timeout(PING, connection.ping()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.give_up(error.to_string()),
                Err(_) => self.give_up("it does not answer in time".to_owned()),
            },
            None => self.look().await,
        }
    }

    async fn look(&mut self) {
        match tokio::time::timeout(CONNECT, self.address.connect()).await {
            Ok(Ok(connection)) => {
                info!("connected to the database again");
                self.connection = Some(connection);
                self.trouble.set(None);
                self.retry = FIRST_RETRY;
                return;
            }
            Ok(Err(error)) => self.trouble.set(Some(error.to_string())),
            Err(_) => self.trouble.set(Some("it does not answer in time".to_owned())),
        }
        self.retry = (self.retry * 2).min(LAST_RETRY);
    }

    /// Drops the connection. Whether an unfinished transaction on it is stored is unknown.
    pub(super) fn give_up(&mut self, reason: String) {
        error!(reason, "lost the database");
        self.connection = None;
        self.trouble.set(Some(reason));
        self.retry = FIRST_RETRY;
    }

    pub(super) async fn close(self) {
        let Some(connection) = self.connection else { return };
        if let Err(error) = connection.close().await {
            error!(%error, "could not close the database connection cleanly");
        }
    }
}
