//! Signatures, which prove to a receiver that a call is fresh and from this server.

use std::fmt::Write;

use aws_lc_rs::hmac;

/// The header with the signature.
pub(super) const SIGNATURE: &str = "madang-signature";

/// Signs bodies.
pub(super) struct Signer(hmac::Key);

impl Signer {
    pub(super) fn new(secret: &str) -> Signer {
        Signer(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// Returns `t=<seconds since 1970>,v1=<HMAC-SHA256 of "t.body", in hex>`. The time is that of the call, so that a
    /// receiver can reject old ones, which may be replays.
    pub(super) fn sign(&self, unix_seconds: i64, body: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(unix_seconds.to_string().as_bytes());
        context.update(b".");
        context.update(body.as_bytes());
        let mut text = format!("t={unix_seconds},v1=");
        for byte in context.sign().as_ref() {
            write!(text, "{byte:02x}").expect("writing to a String can't fail");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_openssl_makes_of_it() {
        // printf '%s' '1700000000.{"id":"e1"}' | openssl dgst -sha256 -hmac 'a secret of the operator'
        let expected = "576eb613b5b34c7f1c5b7467afe675539b7c8980c433bc55ef7ad50633d60a81";

        let signature =
            Signer::new("a secret of the operator").sign(1_700_000_000, r#"{"id":"e1"}"#);

        assert_eq!(signature, format!("t=1700000000,v1={expected}"));
    }
}
