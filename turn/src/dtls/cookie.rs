//! Stateless cookies (RFC 6347 §4.2.1): a MAC over the current half minute, the client's 5-tuple and its random bytes.
//! A client that returns a valid cookie has received at its address; the server keeps nothing about any other client.
//!
//! The DTLS library keeps a secret per client and computes the MAC of the random bytes only. With that, a cookie
//! received at one address would be valid at every other, and each forged hello would cost as much memory as a key
//! exchange. This module therefore replaces the library's MAC: it tells the library to expect the cookie that was found
//! valid.

use std::cell::Cell;
use std::time::Instant;

use aws_lc_rs::{constant_time, hmac};
use dimpl::CryptoError;
use dimpl::crypto::{CryptoProvider, HashAlgorithm, HmacProvider, aws_lc_rs as library};

use super::hello::{ClientHello, Cookie, Random};
use crate::ClientAddr;

/// A cookie is valid in the window in which it was issued and in the next: 30 to 60 seconds, longer than a client
/// retransmits its hello.
const WINDOW_SECS: u64 = 30;

#[derive(Debug)]
pub(super) struct Cookies {
    key: hmac::Key,
    start: Instant,
}

impl Cookies {
    pub(super) fn new(now: Instant, secret: &[u8; 32]) -> Cookies {
        Cookies { key: hmac::Key::new(hmac::HMAC_SHA256, secret), start: now }
    }

    pub(super) fn issue(&self, now: Instant, client: ClientAddr, random: &Random) -> Cookie {
        self.of_window(self.window(now), client, random)
    }

    /// The client's cookie, if this server issued it for this client.
    pub(super) fn good_one(
        &self,
        now: Instant,
        client: ClientAddr,
        hello: &ClientHello<'_>,
    ) -> Option<Cookie> {
        let cookie: Cookie = hello.cookie.try_into().ok()?;
        let window = self.window(now);
        let is_good = [window, window.saturating_sub(1)].iter().any(|&window| {
            let expected = self.of_window(window, client, &hello.random);
            constant_time::verify_slices_are_equal(&expected, &cookie).is_ok()
        });
        is_good.then_some(cookie)
    }

    fn window(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs() / WINDOW_SECS
    }

    fn of_window(&self, window: u64, client: ClientAddr, random: &Random) -> Cookie {
        let mut mac = hmac::Context::with_key(&self.key);
        mac.update(&window.to_be_bytes());
        mac.update(&client.octets());
        mac.update(random);
        let mut cookie = [0; size_of::<Cookie>()];
        cookie.copy_from_slice(mac.sign().as_ref());
        cookie
    }
}

/// The library's cryptography, with this module's cookies.
pub(super) fn cryptography() -> CryptoProvider {
    CryptoProvider { hmac_provider: &Expecting, ..library::default_provider() }
}

/// Calls the library, which accepts `cookie` from a client with these random bytes.
pub(super) fn expecting<R>(random: Random, cookie: Cookie, call: impl FnOnce() -> R) -> R {
    EXPECTED.set(Some((random, cookie)));
    let result = call();
    EXPECTED.set(None);
    result
}

thread_local! {
    /// An extra argument of the library call in progress, for which the library's interface has no parameter.
    static EXPECTED: Cell<Option<(Random, Cookie)>> = const { Cell::new(None) };
}

#[derive(Debug)]
struct Expecting;

impl HmacProvider for Expecting {
    fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> Result<[u8; 32], CryptoError> {
        match EXPECTED.get() {
            Some((random, cookie)) if random == data => Ok(cookie),
            _ => library::default_provider().hmac_provider.hmac_sha256(key, data),
        }
    }

    fn hmac(
        &self,
        hash: HashAlgorithm,
        key: &[u8],
        data: &[u8],
        out: &mut [u8],
    ) -> Result<usize, CryptoError> {
        library::default_provider().hmac_provider.hmac(hash, key, data, out)
    }
}
