//! Who asks? The long-term credential mechanism of RFC 8489 §9.2.

use std::time::Duration;

use aws_lc_rs::hmac;
use stun_types::attribute::{
    AttributeStaticType, MessageIntegrity, MessageIntegritySha256, Nonce, Realm, Username,
};
use stun_types::message::{IntegrityKey, Message};

use crate::credentials::{long_term_key, parse_username, password, signing_key};
use crate::nonce::Nonces;
use crate::refusal::Refusal;
use crate::{ClientAddr, Config};

/// Checks requests without remembering anything about them.
#[derive(Debug)]
pub(crate) struct Authenticator {
    realm: String,
    signing_key: hmac::Key,
    nonces: Nonces,
}

/// Somebody who signed a request with good credentials.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The user part of the username: the same person with renewed credentials is the same user.
    pub(crate) user: String,
    /// What answers are signed with.
    pub(crate) key: IntegrityKey,
}

impl Authenticator {
    pub(crate) fn new(config: &Config) -> Authenticator {
        Authenticator {
            realm: config.realm.clone(),
            signing_key: signing_key(&config.secret),
            nonces: Nonces::new(&config.secret),
        }
    }

    /// RFC 8489 §9.2.4. The nonce comes before the password: it is the cheaper check, and a client whose nonce is stale
    /// must learn that rather than ask its user again.
    pub(crate) fn authenticate(
        &self,
        unix_now: Duration,
        client: ClientAddr,
        request: &Message<'_>,
    ) -> Result<Caller, Refusal> {
        if !request.has_attribute(MessageIntegrity::TYPE)
            && !request.has_attribute(MessageIntegritySha256::TYPE)
        {
            return Err(Refusal::Unauthorized);
        }
        let username = request.attribute::<Username>();
        let realm = request.attribute::<Realm>();
        let nonce = request.attribute::<Nonce>();
        let (Ok(username), Ok(realm), Ok(nonce)) = (username, realm, nonce) else {
            return Err(Refusal::BadRequest);
        };
        if !self.nonces.is_fresh(unix_now, client, nonce.nonce()) {
            return Err(Refusal::StaleNonce);
        }
        let (expiry, user) = parse_username(username.username()).ok_or(Refusal::Unauthorized)?;
        if expiry <= unix_now.as_secs() || realm.realm() != self.realm {
            return Err(Refusal::Unauthorized);
        }
        let password = password(&self.signing_key, username.username());
        let key = long_term_key(username.username(), &self.realm, &password);
        if request.validate_integrity_with_key(&key).is_err() {
            return Err(Refusal::Unauthorized);
        }
        Ok(Caller { user: user.to_owned(), key })
    }

    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    pub(crate) fn issue_nonce(&self, unix_now: Duration, client: ClientAddr) -> String {
        self.nonces.issue(unix_now, client)
    }
}
