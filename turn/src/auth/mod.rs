//! Authentication: the long-term credential mechanism of RFC 8489 §9.2.

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

/// The content of PASSWORD-ALGORITHMS. MD5 is not listed: a client that doesn't know the attribute uses MD5 anyway.
pub(crate) const OFFERED: [PasswordAlgorithmValue; 1] = [PasswordAlgorithmValue::SHA256];

/// Checks requests without keeping state about them.
#[derive(Debug)]
pub(crate) struct Authenticator {
    realm: String,
    signing_key: hmac::Key,
    users: HashMap<String, Secret>,
    nonces: Nonces,
}

/// The sender of a request with valid credentials.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The user that owns the credentials. For time-limited credentials it is the part after the expiry, colon
    /// included, so that renewed credentials belong to the same user; no configured user has a colon in its name.
    pub(crate) user: String,
    /// The key that signs answers.
    pub(crate) key: IntegrityKey,
    /// The hash for that signature, the same as in the request (RFC 8489 §9.2.4).
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

    /// Checks in the order of RFC 8489 §9.2.4. The nonce comes last: only a client that knows the password learns that
    /// its nonce is stale. Expired credentials are accepted from the user `keeper` only.
    pub(crate) fn authenticate(
        &self,
        unix_now: Duration,
        client: ClientAddr,
        request: &Message<'_>,
        keeper: Option<&str>,
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
        let (user, password) = self.user(unix_now, username.username(), keeper)?;
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

    /// The user with this username, and the password.
    fn user(
        &self,
        unix_now: Duration,
        username: &str,
        keeper: Option<&str>,
    ) -> Result<(String, String), Refusal> {
        if let Some(secret) = self.users.get(username) {
            let password = String::from_utf8_lossy(secret.as_bytes()).into_owned();
            return Ok((username.to_owned(), password));
        }
        let (expiry, user) = parse_username(username).ok_or(Refusal::Unauthorized)?;
        let user = format!(":{user}");
        if expiry <= unix_now.as_secs() && keeper != Some(&user) {
            return Err(Refusal::Unauthorized);
        }
        Ok((user, password(&self.signing_key, username)))
    }
}

/// Whether a request has a MESSAGE-INTEGRITY attribute, so that its sender claims to know a password.
pub(crate) fn is_signed(request: &Message<'_>) -> bool {
    request.has_attribute(MessageIntegrity::TYPE)
        || request.has_attribute(MessageIntegritySha256::TYPE)
}

/// RFC 8489 §9.2.4: the client repeats the list that the server offered, which proves that no one in between shortened
/// it.
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
