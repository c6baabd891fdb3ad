//! Verifies tokens.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use madang_wire::Secret;
use serde::Deserialize;
use serde_json::Value;

use super::claims::{Claims, Expected};
use super::error::excerpt;
use super::keys::{algorithm, name};
use super::{AuthError, Grant, Keys};

/// Maximum length of a token, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Verifies tokens. It has no clock and no network; to use newer keys, make [another one](Verifier::with_keys).
#[derive(Clone)]
pub struct Verifier {
    /// Verifies only HS256; public keys never do (RFC 8725 §2.1).
    secret: Option<DecodingKey>,
    keys: Arc<Keys>,
    expected: Expected,
}

/// A token's header (RFC 7515 §4.1).
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl Verifier {
    /// Creates a verifier with this secret, if any, and no keys. `issuer` and `audience` are what tokens must have in
    /// `iss` and `aud`; `None` accepts anything.
    pub fn new(
        secret: Option<&Secret>,
        issuer: Option<String>,
        audience: Option<String>,
    ) -> Verifier {
        Verifier {
            secret: secret.map(|secret| DecodingKey::from_secret(secret.expose().as_bytes())),
            keys: Arc::default(),
            expected: Expected { issuer, audience },
        }
    }

    /// Returns a verifier with other keys.
    pub fn with_keys(&self, keys: Arc<Keys>) -> Verifier {
        Verifier { keys, ..self.clone() }
    }

    /// Verifies a token at this time and returns what it permits.
    ///
    /// # Errors
    /// When the token is not valid, with the reason.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Grant, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(malformed(format!("it has more than {MAX_TOKEN_BYTES} bytes")));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("a JWT has three parts separated by dots"));
        };
        let signed = &token[..header.len() + 1 + claims.len()];
        let header: Header =
            serde_json::from_slice(&decode("header", header)?).map_err(|error| {
                malformed(format!("its header can't be read: {}", excerpt(&error.to_string())))
            })?;
        if header.crit.is_some() {
            return Err(malformed("its header has `crit`, which this server does not support"));
        }
        let claims = decode("claims", claims)?;
        self.check_signature(&header, signed.as_bytes(), signature)?;
        Claims::parse(&claims)?.into_grant(&self.expected, now)
    }

    fn check_signature(
        &self,
        header: &Header,
        signed: &[u8],
        signature: &str,
    ) -> Result<(), AuthError> {
        let algorithm = self.accepted(&header.alg)?;
        let keys = match (&self.secret, algorithm) {
            (Some(secret), Algorithm::HS256) => vec![secret],
            _ => self.keys.candidates(algorithm, header.kid.as_deref()),
        };
        if keys.is_empty() {
            return Err(self.unknown_key(header));
        }
        let fits =
            |key: &&DecodingKey| crypto::verify(signature, signed, key, algorithm).unwrap_or(false);
        if keys.iter().any(fits) { Ok(()) } else { Err(AuthError::BadSignature) }
    }

    /// The algorithm of this name, if this server can have a key for it.
    fn accepted(&self, called: &str) -> Result<Algorithm, AuthError> {
        let found = algorithm(called).filter(|found| match found {
            Algorithm::HS256 => self.secret.is_some(),
            // Keys fetched later may be of any type.
            _ => true,
        });
        found.ok_or_else(|| {
            let mut accepted: Vec<&str> = self.keys.algorithms().map(name).collect();
            accepted.extend(self.secret.as_ref().map(|_| name(Algorithm::HS256)));
            accepted.sort_unstable();
            accepted.dedup();
            let accepted = match accepted.is_empty() {
                true => "none, because no key is known".to_owned(),
                false => accepted.join(", "),
            };
            AuthError::Algorithm(excerpt(called), accepted)
        })
    }

    fn unknown_key(&self, header: &Header) -> AuthError {
        let algorithm = &header.alg;
        AuthError::UnknownKey(match &header.kid {
            Some(id) => {
                let id = excerpt(id);
                format!(
                    "the token was signed with the {algorithm} key {id:?}, which is not known here"
                )
            }
            None => {
                format!("the token was signed with {algorithm}, for which no key is known here")
            }
        })
    }
}

fn decode(part: &str, text: &str) -> Result<Vec<u8>, AuthError> {
    BASE64_URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| malformed(format!("its {part} part is not in base64url")))
}

fn malformed(reason: impl Into<String>) -> AuthError {
    AuthError::Malformed(reason.into())
}
