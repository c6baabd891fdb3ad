//! Answers.

use stun_types::attribute::{
    AttributeStaticType, AttributeWrite, ErrorCode, Fingerprint, Nonce, Realm, Software,
    UnknownAttributes,
};
use stun_types::message::{
    IntegrityAlgorithm, IntegrityKey, Message, MessageWrite, MessageWriteExt, MessageWriteVec,
};

use crate::refusal::Refusal;

/// SOFTWARE of signed answers. It names no version: that would help attackers alone. Unsigned answers go without, as
/// they may go to somebody who never asked.
const SOFTWARE: &str = "madang";

/// An answer being written.
pub(crate) struct Response {
    message: MessageWriteVec,
    has_fingerprint: bool,
}

impl Response {
    pub(crate) fn success(request: &Message<'_>) -> Response {
        Response {
            message: Message::builder_success(request, MessageWriteVec::with_capacity(128)),
            has_fingerprint: request.has_attribute(Fingerprint::TYPE),
        }
    }

    /// The reason phrase is left empty: the code says it all, and the answer to a forged request stays small.
    pub(crate) fn refusal(request: &Message<'_>, refusal: &Refusal) -> Response {
        let response = Response {
            message: Message::builder_error(request, MessageWriteVec::with_capacity(128)),
            has_fingerprint: request.has_attribute(Fingerprint::TYPE),
        };
        let code = ErrorCode::new(refusal.code(), "").expect("codes of refusals are 400 to 599");
        let response = response.with(&code);
        match refusal {
            Refusal::UnknownAttributes(unknown) => response.with(&UnknownAttributes::new(unknown)),
            _ => response,
        }
    }

    pub(crate) fn with(mut self, attribute: &dyn AttributeWrite) -> Response {
        self.message
            .add_attribute(attribute)
            .expect("a Vec has room, and nothing is added after sealing");
        self
    }

    /// What a client needs for its second attempt. RFC 8489 §9.2.4
    pub(crate) fn with_challenge(self, realm: &str, nonce: &str) -> Response {
        let realm = Realm::new(realm).expect("the configuration limits the realm");
        let nonce = Nonce::new(nonce).expect("our nonces are short");
        self.with(&realm).with(&nonce)
    }

    /// Signs and finishes the answer to somebody who proved to know `key`.
    pub(crate) fn signed(self, key: &IntegrityKey) -> Vec<u8> {
        let software = Software::new(SOFTWARE).expect("a short constant");
        let mut response = self.with(&software);
        response
            .message
            .add_message_integrity_with_key(key, IntegrityAlgorithm::Sha1)
            .expect("signed once");
        response.unsigned()
    }

    /// Finishes the answer; FINGERPRINT is given to those who use it (RFC 8489 §7).
    pub(crate) fn unsigned(mut self) -> Vec<u8> {
        if self.has_fingerprint {
            self.message.add_fingerprint().expect("added once");
        }
        self.message.finish()
    }
}
