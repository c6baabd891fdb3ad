//! Nonces that need no memory: a MAC over the hour's half and the client's address. Whoever comes back with the right
//! one can receive at that address; nobody can make the server remember anything by asking for one.

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use base64::prelude::{BASE64_STANDARD, Engine};

use crate::{ClientAddr, Secret};

/// A nonce is good in the window in which it was made and in the next: 30 to 60 minutes. RFC 8656 §5 wants it to expire
/// at least once an hour.
const WINDOW_SECS: u64 = 1800;

/// 48 bits, 8 characters. A guessed nonce would only allow to replay somebody's signed request, and a longer one would
/// let the answer to a forged Allocate grow to twice the request.
const NONCE_BYTES: usize = 6;

/// What stands before a nonce that came with a list of password algorithms: the nonce cookie and 24 feature bits in
/// base64, of which the first is set (RFC 8489 §9.2, §18.1). Its loss on the way spoils the nonce, so that nobody in
/// between can make a client believe that there was no list.
const WITH_ALGORITHMS: &str = "obMatJos2gAAA";

/// What a client was told together with a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Nothing: MD5 is the password algorithm of old (RFC 8489 §18.5).
    Md5Only,
    /// The attribute PASSWORD-ALGORITHMS with SHA-256.
    Sha256,
}

#[derive(Debug)]
pub(crate) struct Nonces {
    key: hmac::Key,
}

impl Nonces {
    /// Derives the key, so that nonces survive a restart and are good at every server with the same secret.
    pub(crate) fn new(secret: &Secret) -> Nonces {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let derived = hmac::sign(&root, b"madang turn nonce");
        Nonces { key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) }
    }

    pub(crate) fn issue(&self, unix_now: Duration, client: ClientAddr, offer: Offer) -> String {
        self.of_window(unix_now.as_secs() / WINDOW_SECS, client, offer)
    }

    /// What was offered with a nonce that is still good for this client.
    pub(crate) fn offer_of(
        &self,
        unix_now: Duration,
        client: ClientAddr,
        nonce: &str,
    ) -> Option<Offer> {
        let window = unix_now.as_secs() / WINDOW_SECS;
        let offer = match nonce.starts_with(WITH_ALGORITHMS) {
            true => Offer::Sha256,
            false => Offer::Md5Only,
        };
        let is_fresh = [window, window.saturating_sub(1)].iter().any(|&window| {
            let expected = self.of_window(window, client, offer);
            constant_time::verify_slices_are_equal(expected.as_bytes(), nonce.as_bytes()).is_ok()
        });
        is_fresh.then_some(offer)
    }

    fn of_window(&self, window: u64, client: ClientAddr, offer: Offer) -> String {
        let mapped = client.mapped();
        let mut mac = hmac::Context::with_key(&self.key);
        mac.update(&window.to_be_bytes());
        mac.update(&[client.transport as u8, offer as u8]);
        match mapped.ip() {
            IpAddr::V4(ip) => mac.update(&ip.octets()),
            IpAddr::V6(ip) => mac.update(&ip.octets()),
        }
        mac.update(&mapped.port().to_be_bytes());
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

            let after =
                |secs| nonces.offer_of(issued_at + Duration::from_secs(secs), alice, &nonce);

            assert_eq!(after(0), Some(offer));
            assert_eq!(after(WINDOW_SECS), Some(offer));
            assert_eq!(after(2 * WINDOW_SECS), None);
        }
    }

    #[test]
    fn bound_to_address_port_transport_and_secret() {
        let nonces = Nonces::new(&Secret::new("s"));
        let now = Duration::from_secs(1_700_000_000);
        let nonce = nonces.issue(now, client("192.0.2.1:4000"), Offer::Md5Only);
        let is_fresh = |client| nonces.offer_of(now, client, &nonce).is_some();

        assert!(is_fresh(client("[::ffff:192.0.2.1]:4000")));
        assert!(!is_fresh(client("192.0.2.1:4001")));
        assert!(!is_fresh(client("192.0.2.2:4000")));
        assert!(!is_fresh(ClientAddr::tcp("192.0.2.1:4000".parse().unwrap())));
        let others = Nonces::new(&Secret::new("t"));
        assert_eq!(others.offer_of(now, client("192.0.2.1:4000"), &nonce), None);
        assert_eq!(nonces.offer_of(now, client("192.0.2.1:4000"), ""), None);
    }

    #[test]
    fn an_offer_can_be_neither_taken_away_nor_made_up() {
        let nonces = Nonces::new(&Secret::new("s"));
        let now = Duration::from_secs(1_700_000_000);
        let alice = client("192.0.2.1:4000");

        let offering = nonces.issue(now, alice, Offer::Sha256);
        let stripped = offering.strip_prefix(WITH_ALGORITHMS).unwrap();
        let plain = nonces.issue(now, alice, Offer::Md5Only);

        assert_eq!(nonces.offer_of(now, alice, stripped), None);
        assert_eq!(nonces.offer_of(now, alice, &format!("{WITH_ALGORITHMS}{plain}")), None);
        assert_eq!(BASE64_STANDARD.decode("gAAA").unwrap(), [0x80, 0, 0]);
    }
}
