//! Stateless nonces: a MAC over the current half hour and the client's 5-tuple. A client that returns the right nonce
//! can receive at its address, and requesting a nonce makes the server remember nothing.

use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use base64::prelude::{BASE64_STANDARD, Engine};

use crate::{ClientAddr, Secret};

/// A nonce is valid in the window in which it was issued and in the next, so for 30 to 60 minutes. RFC 8656 §5
/// recommends that it expires at least once an hour.
const WINDOW_SECS: u64 = 1800;

/// 48 bits, 8 characters. Guessing a nonce would only allow replaying a client's signed request, and a longer nonce
/// would make the answer to a forged Allocate twice as long as the request.
const NONCE_BYTES: usize = 6;

/// The prefix of a nonce that came with a list of password algorithms: the nonce cookie and 24 feature bits in base64,
/// of which the first is set (RFC 8489 §9.2, §18.1). Removing it invalidates the nonce, so no one in between can hide
/// the list (a bid-down attack).
const WITH_ALGORITHMS: &str = "obMatJos2gAAA";

/// The password algorithms that the server offered together with a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// No list: the client uses MD5 (RFC 8489 §18.5).
    Md5Only,
    /// A PASSWORD-ALGORITHMS attribute with SHA-256.
    Sha256,
}

impl Offer {
    /// The offer that a nonce claims. A false claim makes the nonce stale.
    pub(crate) fn with(nonce: &str) -> Offer {
        match nonce.starts_with(WITH_ALGORITHMS) {
            true => Offer::Sha256,
            false => Offer::Md5Only,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Nonces {
    key: hmac::Key,
}

impl Nonces {
    /// Derives the key from the secret, so that nonces survive a restart and are valid at every server with the same
    /// secret.
    pub(crate) fn new(secret: &Secret) -> Nonces {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let derived = hmac::sign(&root, b"madang turn nonce");
        Nonces { key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) }
    }

    pub(crate) fn issue(&self, unix_now: Duration, client: ClientAddr, offer: Offer) -> String {
        self.of_window(unix_now.as_secs() / WINDOW_SECS, client, offer)
    }

    /// Whether a nonce is still valid for this client.
    pub(crate) fn is_fresh(&self, unix_now: Duration, client: ClientAddr, nonce: &str) -> bool {
        let window = unix_now.as_secs() / WINDOW_SECS;
        [window, window.saturating_sub(1)].iter().any(|&window| {
            let expected = self.of_window(window, client, Offer::with(nonce));
            constant_time::verify_slices_are_equal(expected.as_bytes(), nonce.as_bytes()).is_ok()
        })
    }

    fn of_window(&self, window: u64, client: ClientAddr, offer: Offer) -> String {
        let mut mac = hmac::Context::with_key(&self.key);
        mac.update(&window.to_be_bytes());
        mac.update(&[client.transport as u8, offer as u8]);
        mac.update(&client.octets());
        let tag = mac.sign();
        let mut nonce = match offer {
            Offer::Md5Only => String::new(),
            Offer::Sha256 => WITH_ALGORITHMS.to_owned(),
        };
        BASE64_STANDARD
            .encode_string(tag.as_ref().get(..NONCE_BYTES).unwrap_or_default(), &mut nonce);
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> ClientAddr {
        ClientAddr::udp(text.parse().unwrap())
    }

    #[test]
    fn fresh_for_half_an_hour_and_stale_after_one() {
        let nonces = Nonces::new(&Secret::new("s"));
        let alice = client("192.0.2.1:4000");
        let issued_at = Duration::from_secs(WINDOW_SECS * 1000 + 17);
        for offer in [Offer::Md5Only, Offer::Sha256] {
            let nonce = nonces.issue(issued_at, alice, offer);

            let is_fresh_after =
                |secs| nonces.is_fresh(issued_at + Duration::from_secs(secs), alice, &nonce);

            assert!(is_fresh_after(0));
            assert!(is_fresh_after(WINDOW_SECS));
            assert!(!is_fresh_after(2 * WINDOW_SECS));
        }
    }

    #[test]
    fn bound_to_the_5_tuple_and_the_secret() {
        let nonces = Nonces::new(&Secret::new("s"));
        let now = Duration::from_secs(1_700_000_000);
        let nonce = nonces.issue(now, client("192.0.2.1:4000"), Offer::Md5Only);
        let is_fresh = |client| nonces.is_fresh(now, client, &nonce);

        assert!(is_fresh(client("[::ffff:192.0.2.1]:4000")));
        assert!(!is_fresh(client("192.0.2.1:4001")));
        assert!(!is_fresh(client("192.0.2.2:4000")));
        assert!(!is_fresh(ClientAddr::tcp("192.0.2.1:4000".parse().unwrap())));
        assert!(!is_fresh(client("192.0.2.1:4000").at("198.51.100.1:3478".parse().unwrap())));
        let others = Nonces::new(&Secret::new("t"));
        assert!(!others.is_fresh(now, client("192.0.2.1:4000"), &nonce));
        assert!(!nonces.is_fresh(now, client("192.0.2.1:4000"), ""));
    }

    #[test]
    fn an_offer_can_be_neither_taken_away_nor_made_up() {
        let nonces = Nonces::new(&Secret::new("s"));
        let now = Duration::from_secs(1_700_000_000);
        let alice = client("192.0.2.1:4000");

        let offering = nonces.issue(now, alice, Offer::Sha256);
        let stripped = offering.strip_prefix(WITH_ALGORITHMS).unwrap();
        let plain = nonces.issue(now, alice, Offer::Md5Only);

        assert_eq!([&offering[..], &plain].map(Offer::with), [Offer::Sha256, Offer::Md5Only]);
        assert!(!nonces.is_fresh(now, alice, stripped));
        assert!(!nonces.is_fresh(now, alice, &format!("{WITH_ALGORITHMS}{plain}")));
        assert_eq!(BASE64_STANDARD.decode("gAAA").unwrap(), [0x80, 0, 0]);
    }
}
