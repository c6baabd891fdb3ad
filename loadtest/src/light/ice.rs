//! The controlling side of ICE towards an ICE-lite server: one candidate pair, nominated at once (RFC 8445 §8.1), and
//! the consent checks (RFC 7675). Times are microseconds of the run's clock.

use anyhow::{Result, anyhow};
use stun_types::attribute::{AttributeType, RawAttribute, Username, XorMappedAddress};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message, MessageClass, MessageIntegrityCredentials, MessageWrite,
    MessageWriteExt, MessageWriteVec, ShortTermCredentials, TransactionId,
};

/// The interval between checks before the first answer. RFC 8445 §14.3 sets a minimum retransmission timeout of 500 ms;
/// on a network without loss a shorter interval does no harm.
const EAGER_US: u64 = 250_000;
/// The interval between checks afterwards, as in browsers.
const CONSENT_US: u64 = 2_500_000;
/// The time without an answer after which consent expires (RFC 7675 §5.1).
const EXPIRY_US: u64 = 30_000_000;
/// The priority of a peer-reflexive candidate (RFC 8445 §5.1.2).
const PRIORITY: u32 = (110 << 24) + (65_535 << 8) + 255;
const USE_CANDIDATE: AttributeType = AttributeType::new(0x0025);
const PRIORITY_ATTRIBUTE: AttributeType = AttributeType::new(0x0024);
const ICE_CONTROLLING: AttributeType = AttributeType::new(0x802A);

/// The state of the only candidate pair.
pub struct Pair {
    username: String,
    integrity: MessageIntegrityCredentials,
    tie_breaker: u64,
    /// The transaction id of the check that awaits an answer.
    asked: Option<TransactionId>,
    next_check_us: u64,
    answered_us: Option<u64>,
    began_us: u64,
}

impl Pair {
    /// Creates a pair from our ufrag and the server's credentials.
    pub fn new(now_us: u64, ours: &str, ufrag: &str, password: &str, tie_breaker: u64) -> Pair {
        Pair {
            username: format!("{ufrag}:{ours}"),
            integrity: ShortTermCredentials::new(password.to_owned()).into(),
            tie_breaker,
            asked: None,
            next_check_us: now_us,
            answered_us: None,
            began_us: now_us,
        }
    }

    /// The time of the next check.
    pub fn next_check_us(&self) -> u64 {
        self.next_check_us
    }

    /// Writes the next check.
    ///
    /// # Errors
    /// When the server's credentials don't fit into a STUN message.
    pub fn check(&mut self, now_us: u64) -> Result<Vec<u8>> {
        let period = if self.answered_us.is_some() { CONSENT_US } else { EAGER_US };
        self.next_check_us = now_us + period;
        let bad = |error| anyhow!("the server's ICE credentials can't be used: {error:?}");
        let mut request = Message::builder_request(BINDING, MessageWriteVec::new());
        let username = Username::new(&self.username).map_err(|error| anyhow!("{error:?}"))?;
        request.add_attribute(&username).map_err(bad)?;
        for (name, value) in [
            (PRIORITY_ATTRIBUTE, &PRIORITY.to_be_bytes()[..]),
            (ICE_CONTROLLING, &self.tie_breaker.to_be_bytes()),
            (USE_CANDIDATE, &[]),
        ] {
            request.add_attribute(&RawAttribute::new(name, value)).map_err(bad)?;
        }
        request.add_message_integrity(&self.integrity, IntegrityAlgorithm::Sha1).map_err(bad)?;
        request.add_fingerprint().map_err(bad)?;
        self.asked = Some(request.transaction_id());
        Ok(request.finish())
    }

    /// Handles a STUN message; `true` when it answers the current check.
    pub fn handle(&mut self, now_us: u64, datagram: &[u8]) -> bool {
        let Ok(message) = Message::from_bytes(datagram) else {
            return false;
        };
        let is_answer = message.class() == MessageClass::Success
            && Some(message.transaction_id()) == self.asked
            && message.validate_integrity(&self.integrity).is_ok()
            && message.attribute::<XorMappedAddress>().is_ok();
        if is_answer {
            self.asked = None;
            self.answered_us = Some(now_us);
            self.next_check_us = now_us + CONSENT_US;
        }
        is_answer
    }

    /// Whether consent has expired.
    pub fn is_expired(&self, now_us: u64) -> bool {
        now_us.saturating_sub(self.answered_us.unwrap_or(self.began_us)) > EXPIRY_US
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> Pair {
        Pair::new(0, "ours", "server", "password-of-the-server", 7)
    }

    fn answer(request: &[u8], password: &str) -> Vec<u8> {
        let request = Message::from_bytes(request).unwrap();
        let mut answer = Message::builder_success(&request, MessageWriteVec::new());
        let mapped =
            XorMappedAddress::new("127.0.0.1:9".parse().unwrap(), request.transaction_id());
        answer.add_attribute(&mapped).unwrap();
        let credentials = ShortTermCredentials::new(password.to_owned()).into();
        answer.add_message_integrity(&credentials, IntegrityAlgorithm::Sha1).unwrap();
        answer.finish()
    }

    #[test]
    fn a_check_nominates_and_is_answered_once() {
        let mut pair = pair();
        let request = pair.check(0).unwrap();
        let message = Message::from_bytes(&request).unwrap();
        assert_eq!(message.attribute::<Username>().unwrap().username(), "server:ours");
        assert!(message.raw_attribute(USE_CANDIDATE).is_some());
        assert_eq!(pair.next_check_us(), EAGER_US);

        let answer = answer(&request, "password-of-the-server");

        assert!(pair.handle(1000, &answer));
        assert!(!pair.handle(1000, &answer));
        assert_eq!(pair.next_check_us(), 1000 + CONSENT_US);
    }

    #[test]
    fn an_answer_that_proves_nothing_is_none() {
        let mut pair = pair();
        let request = pair.check(0).unwrap();
        assert!(!pair.handle(0, &answer(&request, "another password")));
        assert!(!pair.handle(0, &request));
        assert!(!pair.handle(0, b"\0\x01 no STUN"));
    }

    #[test]
    fn consent_runs_out() {
        let mut pair = pair();
        let request = pair.check(0).unwrap();
        pair.handle(5, &answer(&request, "password-of-the-server"));
        assert!(!pair.is_expired(5 + EXPIRY_US));
        assert!(pair.is_expired(6 + EXPIRY_US));
    }
}
