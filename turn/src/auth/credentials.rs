//! Time-limited credentials: the shared-secret scheme of `draft-uberti-behave-turn-rest-00`, which coturn implements as
//! `use-auth-secret`. The username contains the expiry time and the user; the password proves that the secret's owner
//! issued it.

use std::fmt;

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_STANDARD, Engine};
use stun_types::message::{IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials};

use crate::Secret;

/// The username and password that a client needs to use the relay.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `expiry:user`, where `expiry` is in seconds since 1970.
    pub username: String,
    /// Base64 of the HMAC-SHA1 of the username.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Creates credentials for `user` that expire `ttl_secs` after `now_unix_secs` (seconds since 1970). From then on they
/// make no allocation, but keep one that is in use: see [`crate::Config::max_lifetime`]. An empty `user` is never
/// accepted.
pub fn credentials(secret: &Secret, user: &str, now_unix_secs: u64, ttl_secs: u64) -> Credentials {
    let username = format!("{}:{user}", now_unix_secs.saturating_add(ttl_secs));
    let password = password(&signing_key(secret), &username);
    Credentials { username, password }
}

/// The key for [`password`].
pub(crate) fn signing_key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes())
}

/// The password for a username.
pub(crate) fn password(key: &hmac::Key, username: &str) -> String {
    BASE64_STANDARD.encode(hmac::sign(key, username.as_bytes()))
}

/// The long-term key: the hash of username ":" realm ":" password, with MD5 for signatures by HMAC-SHA1 and with
/// SHA-256 for signatures by HMAC-SHA256 (RFC 8489 §9.2.2, §18.5.1).
pub(crate) fn long_term_key(
    username: &str,
    realm: &str,
    password: &str,
    algorithm: IntegrityAlgorithm,
) -> IntegrityKey {
    LongTermKeyCredentials::new(username.to_owned(), password.to_owned(), realm.to_owned())
        .make_key(algorithm)
}

/// Splits `expiry:user`; `None` when the username has another form.
pub(crate) fn parse_username(username: &str) -> Option<(u64, &str)> {
    let (expiry, user) = username.split_once(':')?;
    let digits_only = expiry.bytes().all(|byte| byte.is_ascii_digit());
    if !digits_only || user.is_empty() {
        return None;
    }
    Some((expiry.parse().ok()?, user))
}

#[cfg(test)]
mod tests {
    use stun_types::message::Message;

    use super::*;

    #[test]
    fn matches_what_openssl_computes() {
        let secret = Secret::new("north");

        let made = credentials(&secret, "alice", 1_700_000_000, 3600);

        assert_eq!(made.username, "1700003600:alice");
        // printf '1700003600:alice' | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(made.password, "wjwSXO2ch1B6VaLTLMy2Avn5O9o=");
    }

    #[test]
    fn usernames_come_apart_or_are_refused() {
        assert_eq!(parse_username("12:방:a"), Some((12, "방:a")));
        for bad in ["", ":", "12", "12:", ":a", "+12:a", " 12:a", "99999999999999999999:a"] {
            assert_eq!(parse_username(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn passwords_do_not_print() {
        let made = credentials(&Secret::new("north"), "alice", 0, 0);

        assert!(!format!("{made:?}").contains(&made.password));
    }

    /// RFC 5769 §2.4: a request with long-term credentials.
    #[test]
    fn the_long_term_key_verifies_the_published_request() {
        check(include_str!("../../tests/vectors/rfc5769_2_4.hex"), IntegrityAlgorithm::Sha1);
    }

    /// RFC 8489 §B.1: a request with long-term credentials and the password algorithm SHA-256.
    #[test]
    fn the_sha_256_key_verifies_the_published_request() {
        check(include_str!("../../tests/vectors/rfc8489_b_1.hex"), IntegrityAlgorithm::Sha256);
    }

    fn check(published: &str, algorithm: IntegrityAlgorithm) {
        let request: Vec<u8> = published
            .split_whitespace()
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        let message = Message::from_bytes(&request).unwrap();
        let key_of = |password| long_term_key("マトリックス", "example.org", password, algorithm);

        let verified = message.validate_integrity_with_key(&key_of("TheMatrIX"));

        assert_eq!(verified.unwrap(), algorithm);
        assert!(message.validate_integrity_with_key(&key_of("TheMatrix")).is_err());
    }
}
