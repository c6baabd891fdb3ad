//! Authentication: who a client is and what it may do.
//!
//! ```text
//! CONNECT ─▶ Credential ─▶ Auth ─▶ Grant ─▶ with each request to its room
//!                           │ │
//!           Verifier: secret, keys ◀── task: file or URL of a JWK set
//!                             └─ revoked tokens ◀── store
//! ```
//!
//! A [`Grant`] states what a connection's credential permits. It is made when the client connects and accompanies each
//! of its requests to the rooms, which decide by it. [`Verifier`] checks tokens without clock or network; `task` keeps
//! its keys up to date. [`Minter`] makes tokens if the server has a secret.
//!
//! There are no passwords and no accounts: the issuer of the tokens knows the users.

mod api_keys;
mod claims;
mod credential;
mod destinations;
mod error;
mod grant;
mod keys;
mod minter;
mod reader;
mod refresher;
mod revoked;
mod schedule;
mod settings;
mod source;
mod strength;
mod task;
#[cfg(test)]
mod tests;
mod verifier;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use jiff::Timestamp;
use madang_wire::Secret;

pub use self::api_keys::ApiKeys;
pub(crate) use self::credential::{Credential, Place};
pub use self::destinations::{Destinations, DestinationsClaim};
pub use self::error::AuthError;
pub use self::grant::{Grant, Scope};
pub use self::keys::{JwksError, Keys};
pub use self::minter::{LONGEST_TTL, Minted, Minter, NewToken};
pub use self::settings::AuthSettings;
pub use self::source::JwksSource;
pub use self::strength::{SHORTEST, weakness};
pub use self::task::KeyKeeper;
pub use self::verifier::Verifier;

use self::refresher::Refresher;
use self::revoked::Revoked;
use crate::secrets;
use crate::store::{Store, StoreError};

/// The file in the data directory with the generated secret.
const SECRET_FILE: &str = "auth.secret";
/// The file in the data directory with the generated API key.
const API_KEY_FILE: &str = "api.key";

/// Decides who may connect. Clones share their state.
#[derive(Clone)]
pub struct Auth(Arc<Shared>);

struct Shared {
    is_required: bool,
    verifier: RwLock<Arc<Verifier>>,
    minter: Option<Minter>,
    revoked: RwLock<Revoked>,
    /// Whether the public keys were read at least once. True if none are configured.
    has_keys: AtomicBool,
    refresher: Option<Arc<Refresher>>,
}

impl Auth {
    /// Reads or generates the secret and reads the public keys, which the returned keeper then keeps up to date.
    ///
    /// # Errors
    /// When the secret or a file of public keys can't be used.
    pub async fn open(
        settings: &AuthSettings,
        data_dir: &Path,
    ) -> anyhow::Result<(Auth, Option<KeyKeeper>)> {
        let secret = signing_secret(settings, data_dir)?;
        let AuthSettings { required, jwks, issuer, audience, .. } = settings;
        let minter =
            secret.as_ref().map(|secret| Minter::new(secret, issuer.clone(), audience.clone()));
        let verifier = Verifier::new(secret.as_ref(), issuer.clone(), audience.clone());
        let auth = Auth(Arc::new(Shared {
            is_required: *required,
            verifier: RwLock::new(Arc::new(verifier)),
            minter,
            revoked: RwLock::default(),
            has_keys: AtomicBool::new(true),
            refresher: jwks.as_ref().map(|_| Arc::default()),
        }));
        let keeper = match jwks {
            Some(source) => Some(KeyKeeper::open(&auth, source.clone()).await?),
            None => None,
        };
        Ok((auth, keeper))
    }

    /// Whether clients must have a token.
    pub fn is_required(&self) -> bool {
        self.0.is_required
    }

    /// The minter of tokens; `None` if another issuer makes them.
    pub fn minter(&self) -> Option<&Minter> {
        self.0.minter.as_ref()
    }

    /// The reason why no token can be checked, if there is one: the public keys were never read.
    pub fn trouble(&self) -> Option<String> {
        (!self.has_keys())
            .then(|| "the public keys that verify tokens could not be fetched yet".to_owned())
    }

    /// Verifies a token at this time with the current keys, and returns what it permits.
    ///
    /// # Errors
    /// If the token is not valid or was revoked.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Grant, AuthError> {
        let verifier = Arc::clone(&self.0.verifier.read().unwrap_or_else(PoisonError::into_inner));
        let grant = verifier.verify(token, now)?;
        if self.is_revoked(&grant) { Err(AuthError::Revoked) } else { Ok(grant) }
    }

    /// Whether the token of a grant was revoked.
    pub fn is_revoked(&self, grant: &Grant) -> bool {
        let revoked = self.0.revoked.read().unwrap_or_else(PoisonError::into_inner);
        grant.token_id.as_ref().is_some_and(|id| revoked.until(id).is_some())
    }

    /// Loads the tokens that were revoked before the server started.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recall(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        store.forget_revocations(now).await?;
        let stored = store.revocations(now).await?;
        self.0.revoked.write().unwrap_or_else(PoisonError::into_inner).recall(stored);
        Ok(())
    }

    /// Revokes the token with this `jti` until it expires, also across restarts. Without `until`, it stays revoked for
    /// the longest lifetime of a token of this server. Ending the sessions that use the token is up to the hub.
    ///
    /// # Errors
    /// When the store fails or holds too many revoked tokens; then nothing has changed.
    pub(crate) async fn revoke(
        &self,
        store: &Store,
        id: &str,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let known = {
            let revoked = self.0.revoked.read().unwrap_or_else(PoisonError::into_inner);
            revoked.until(id)
        };
        let longest = || now.checked_add(LONGEST_TTL).unwrap_or(Timestamp::MAX);
        let until = until.unwrap_or_else(longest).max(known.unwrap_or(Timestamp::MIN));
        store.forget_revocations(now).await?;
        store.revoke_token(id, until).await?;
        let mut revoked = self.0.revoked.write().unwrap_or_else(PoisonError::into_inner);
        revoked.add(id.to_owned(), until, now);
        Ok(())
    }

    /// Checks the credential of a client and returns its grant; `None` for a guest.
    fn check(
        &self,
        credential: Option<&Credential>,
        now: Timestamp,
    ) -> Result<Option<Grant>, AuthError> {
        let Some(credential) = credential else {
            return if self.is_required() { Err(AuthError::Missing) } else { Ok(None) };
        };
        if credential.is_password() && !self.is_required() {
            return Ok(None);
        }
        let grant = self.verify(credential.token.expose(), now)?;
        if let Place::Passcode { login: Some(login) } = &credential.place
            && *login != grant.user
        {
            let reason = "`login` is not the token's user (`sub`); leave `login` empty".to_owned();
            return Err(AuthError::Claims(reason));
        }
        Ok(Some(grant))
    }

    fn set_keys(&self, keys: Arc<Keys>) {
        let mut verifier = self.0.verifier.write().unwrap_or_else(PoisonError::into_inner);
        *verifier = Arc::new(verifier.with_keys(keys));
        drop(verifier);
        self.set_has_keys(true);
    }

    fn has_keys(&self) -> bool {
        self.0.has_keys.load(Relaxed)
    }

    fn set_has_keys(&self, has: bool) {
        self.0.has_keys.store(has, Relaxed);
    }

    /// Whether there is a source of newer keys.
    fn can_learn(&self) -> bool {
        self.0.refresher.is_some()
    }

    fn refresher(&self) -> Option<&Arc<Refresher>> {
        self.0.refresher.as_ref()
    }
}

/// The secret that signs tokens: the configured one, or else one that the server generates. `None` if tokens come from
/// another issuer, whose public keys are configured.
///
/// # Errors
/// When its file can't be used.
pub fn signing_secret(settings: &AuthSettings, data_dir: &Path) -> anyhow::Result<Option<Secret>> {
    match (&settings.secret, &settings.jwks) {
        (Some(secret), _) => Ok(Some(secret.clone())),
        (None, Some(_)) => Ok(None),
        (None, None) => self_made(data_dir, SECRET_FILE).map(Some),
    }
}

/// The API keys of the REST interface: the configured ones, or else one that the server generates.
///
/// # Errors
/// When its file can't be used.
pub fn api_keys(settings: &AuthSettings, data_dir: &Path) -> anyhow::Result<ApiKeys> {
    match settings.api_keys.is_empty() {
        false => Ok(ApiKeys::new(settings.api_keys.clone())),
        true => Ok(ApiKeys::new(vec![self_made(data_dir, API_KEY_FILE)?])),
    }
}

fn self_made(data_dir: &Path, name: &str) -> anyhow::Result<Secret> {
    let secret = secrets::load_or_make(data_dir, name)?;
    match weakness(&secret) {
        None => Ok(Secret::new(secret)),
        Some(weakness) => Err(anyhow::anyhow!(
            "it {weakness}; delete the file, and the server makes a new secret"
        ))
        .with_context(|| format!("the secret in {} can't be used", data_dir.join(name).display())),
    }
}
