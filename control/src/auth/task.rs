//! Keeps the public keys up to date, and refreshes them when a token needs a newer one.
#![expect(clippy::disallowed_methods, reason = "when keys are fetched is timed here")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::reader::Reader;
use super::schedule::Schedule;
use super::{Auth, AuthError, Credential, Grant, JwksSource};

/// Maximum time that a client waits for newer keys. Longer than a fetch may take.
const PATIENCE: Duration = Duration::from_secs(6);

impl Auth {
    /// Verifies a token and returns what it permits. If its key is unknown, refreshes the keys first, which may take
    /// seconds.
    ///
    /// # Errors
    /// When the token is not valid.
    pub async fn authenticate(&self, token: &str) -> Result<Grant, AuthError> {
        match self.verify(token, Timestamp::now()) {
            Err(AuthError::UnknownKey(_)) if self.can_learn() => {}
            verdict => return verdict,
        }
        Box::pin(self.learn()).await;
        self.verify(token, Timestamp::now())
    }

    /// Like [`Auth::authenticate`], for the credential of a CONNECT frame; `None` is a guest.
    pub(crate) async fn admit(
        &self,
        credential: Option<&Credential>,
    ) -> Result<Option<Grant>, AuthError> {
        match self.check(credential, Timestamp::now()) {
            Err(AuthError::UnknownKey(_)) if self.can_learn() => {}
            verdict => return verdict,
        }
        // Boxed, because it is rare and would otherwise enlarge the future of every connection.
        Box::pin(self.learn()).await;
        self.check(credential, Timestamp::now())
    }

    /// Waits until the keys were refreshed.
    async fn learn(&self) {
        let Some(refresher) = self.refresher() else {
            return;
        };
        let mut looked = refresher.looked.subscribe();
        refresher.asked.notify_one();
        // After the timeout the client continues with the current keys.
        let _ = tokio::time::timeout(PATIENCE, looked.changed()).await;
    }
}

/// Refreshes the public keys.
pub struct KeyKeeper {
    auth: Auth,
    source: JwksSource,
    reader: Reader,
}

impl KeyKeeper {
    /// Reads the keys for the first time. A file must be readable; a URL may be unreachable at the moment.
    pub(super) async fn open(auth: &Auth, source: JwksSource) -> anyhow::Result<KeyKeeper> {
        let reader = Reader::new(&source).map_err(anyhow::Error::msg)?;
        let mut keeper = KeyKeeper { auth: auth.clone(), source, reader };
        if let Err(reason) = keeper.look().await {
            let source = &keeper.source;
            anyhow::ensure!(
                !keeper.reader.is_file(),
                "the public keys in {source} can't be used: {reason}"
            );
            warn!(%source, reason, "could not fetch the JWK set; trying again");
            auth.set_has_keys(false);
        }
        Ok(keeper)
    }

    /// Refreshes the keys until `stop` is cancelled. While a refresh fails, the current keys stay.
    pub async fn run(mut self, stop: CancellationToken) {
        // Cancel safe: no change is half done at any await.
        let _ = stop.run_until_cancelled(self.keep()).await;
    }

    async fn keep(&mut self) {
        let mut schedule = Schedule::new(self.reader.is_file(), Instant::now());
        schedule.handle_looked(Instant::now(), self.auth.has_keys());
        let Some(refresher) = self.auth.refresher().cloned() else {
            return;
        };
        loop {
            let was_asked = tokio::select! {
                () = refresher.asked.notified() => true,
                () = tokio::time::sleep_until(schedule.next().into()) => false,
            };
            if !was_asked || schedule.handle_asked(Instant::now()) {
                let looked = self.look().await;
                schedule.handle_looked(Instant::now(), looked.is_ok());
                if let Err(reason) = looked {
                    let source = &self.source;
                    warn!(%source, reason, "could not refresh the JWK set; keeping the current keys");
                }
            }
            if was_asked {
                refresher.looked.send_modify(|times| *times += 1);
            }
        }
    }

    async fn look(&mut self) -> Result<(), String> {
        if let Some(keys) = self.reader.read().await? {
            debug!(source = %self.source, keys = keys.len(), "read the JWK set");
            for reason in keys.skipped() {
                debug!(source = %self.source, reason, "skipped a key of the JWK set");
            }
            self.auth.set_keys(Arc::new(keys));
        }
        Ok(())
    }
}
