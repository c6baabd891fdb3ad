//! Who asks? The long-term credential mechanism of RFC 8489 §9.2.

pub(crate) mod credentials;
pub(crate) mod nonce;

use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::hmac;
use stun_types::attribute::{
    AttributeStaticType, MessageIntegrity, MessageIntegritySha256, Nonce, PasswordAlgorithm,
    PasswordAlgorithmValue, PasswordAlgorithms, Realm, Username,
};
use stun_types::message::{IntegrityAlgorithm, IntegrityKey, Message};

use crate::refusal::Refusal;
use crate::{ClientAddr, Config, Secret};
use credentials::{long_term_key, parse_username, password, signing_key};
use nonce::{Nonces, Offer};

/// What PASSWORD-ALGORITHMS lists. MD5 is not listed: who doesn't know the list uses it anyway.
pub(crate) const OFFERED: [PasswordAlgorithmValue; 1] = [PasswordAlgorithmValue::SHA256];

/// Checks requests without remembering anything about them.
#[derive(Debug)]
pub(crate) struct Authenticator {
    realm: String,
    signing_key: hmac::Key,
    users: HashMap<String, Secret>,
    nonces: Nonces,
}

/// Somebody who signed a request with good credentials.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Whose credentials these are. A user with made credentials is what follows the expiry, colon included: renewed
    /// credentials are the same user's, and no user of the configuration has a colon in its name.
    pub(crate) user: String,
    /// What answers are signed with.
    pub(crate) key: IntegrityKey,
    /// The hash of that signature, as in the request (RFC 8489 §9.2.4).
    pub(crate) algorithm: IntegrityAlgorithm,
}

impl Authenticator {
    pub(crate) fn new(config: &Config) -> Authenticator {
        Authenticator {
            realm: config.realm.clone(),
            signing_key: signing_key(&config.secret),
            users: config.users.iter().cloned().collect(),
            nonces: Nonces::new(&config.secret),
        }
    }

    /// RFC 8489 §9.2.4, in its order. The nonce comes last: only who knows the password learns that it is stale.
    pub(crate) fn authenticate(
        &self,
        unix_now: Duration,
        client: ClientAddr,
        request: &Message<'_>,
    ) -> Result<Caller, Refusal> {
        if !is_signed(request) {
            return Err(Refusal::Unauthorized);
        }
        let username = request.attribute::<Username>();
        let realm = request.attribute::<Realm>();
        let nonce = request.attribute::<Nonce>();
        let (Ok(username), Ok(realm), Ok(nonce)) = (username, realm, nonce) else {
            return Err(Refusal::BadRequest);
        };
        let algorithm = password_algorithm(request, Offer::with(nonce.nonce()))?;
        let (user, password) = self.user(unix_now, username.username())?;
        if realm.realm() != self.realm {
            return Err(Refusal::Unauthorized);
        }
        let key = long_term_key(username.username(), &self.realm, &password, algorithm);
        if request.validate_integrity_with_key(&key).is_err() {
            return Err(Refusal::Unauthorized);
        }
        if !self.nonces.is_fresh(unix_now, client, nonce.nonce()) {
            return Err(Refusal::StaleNonce);
        }
        Ok(Caller { user, key, algorithm })
    }

    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    pub(crate) fn issue_nonce(
        &self,
        unix_now: Duration,
        client: ClientAddr,
        offer: Offer,
    ) -> String {
        self.nonces.issue(unix_now, client, offer)
    }

    /// Who has this username, and the password that belongs to it.
    fn user(&self, unix_now: Duration, username: &str) -> Result<(String, String), Refusal> {
        if let Some(secret) = self.users.get(username) {
            let password = String::from_utf8_lossy(secret.as_bytes()).into_owned();
            return Ok((username.to_owned(), password));
        }
        let (expiry, user) = parse_username(username).ok_or(Refusal::Unauthorized)?;
        if expiry <= unix_now.as_secs() {
            return Err(Refusal::Unauthorized);
        }
        Ok((format!(":{user}"), password(&self.signing_key, username)))
    }
}

/// Whether a request says that its sender knows a password.
pub(crate) fn is_signed(request: &Message<'_>) -> bool {
    request.has_attribute(MessageIntegrity::TYPE)
        || request.has_attribute(MessageIntegritySha256::TYPE)
}

/// RFC 8489 §9.2.4: the client repeats the list that it was offered, so that nobody in between can have shortened it.
fn password_algorithm(request: &Message<'_>, offer: Offer) -> Result<IntegrityAlgorithm, Refusal> {
    let has_list = request.has_attribute(PasswordAlgorithms::TYPE);
    let has_choice = request.has_attribute(PasswordAlgorithm::TYPE);
    if !has_list && !has_choice {
        return Ok(IntegrityAlgorithm::Sha1);
    }
    let list = request.attribute::<PasswordAlgorithms>();
    let choice = request.attribute::<PasswordAlgorithm>();
    match (offer, list, choice) {
        (Offer::Sha256, Ok(list), Ok(choice))
            if list.algorithms() == OFFERED && OFFERED.contains(&choice.algorithm()) =>
        {
            Ok(choice.algorithm().as_integrity())
        }
        _ => Err(Refusal::BadRequest),
    }
}
