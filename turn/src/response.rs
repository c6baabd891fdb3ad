//! Writing STUN responses.

use stun_types::attribute::{
    AttributeStaticType, AttributeWrite, ErrorCode, Fingerprint, Nonce, PasswordAlgorithms, Realm,
    Software, UnknownAttributes,
};
use stun_types::message::{
    Message, MessageClass, MessageType, MessageWrite, MessageWriteExt, MessageWriteVec, Method,
    TransactionId,
};

use crate::auth::nonce::Offer;
use crate::auth::{Caller, OFFERED};
use crate::refusal::Refusal;

/// The SOFTWARE attribute of signed answers. It names no version, which would help only attackers. Unsigned answers
/// omit it: they may go to a forged address, so they stay short.
const SOFTWARE: &str = "madang";

/// The parts of a request that its answer repeats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) transaction: TransactionId,
    pub(crate) has_fingerprint: bool,
}

impl Asked {
    pub(crate) fn by(request: &Message<'_>) -> Asked {
        Asked {
            method: request.method(),
            transaction: request.transaction_id(),
            has_fingerprint: request.has_attribute(Fingerprint::TYPE),
        }
    }
}

/// A response that is being written.
pub(crate) struct Response {
    message: MessageWriteVec,
    has_fingerprint: bool,
}

impl Response {
    pub(crate) fn success(asked: Asked) -> Response {
        Response::new(MessageClass::Success, asked)
    }

    /// Writes an error response. The reason phrase is empty: the code is sufficient, and the answer to a forged request
    /// stays short.
    pub(crate) fn refusal(asked: Asked, refusal: &Refusal) -> Response {
        let code = ErrorCode::new(refusal.code(), "").expect("codes of refusals are 400 to 599");
        let response = Response::new(MessageClass::Error, asked).with(&code);
        match refusal {
            Refusal::UnknownAttributes(unknown) => response.with(&UnknownAttributes::new(unknown)),
            _ => response,
        }
    }

    fn new(class: MessageClass, asked: Asked) -> Response {
        let kind = MessageType::from_class_method(class, asked.method);
        Response {
            message: Message::builder(kind, asked.transaction, MessageWriteVec::with_capacity(128)),
            has_fingerprint: asked.has_fingerprint,
        }
    }

    pub(crate) fn with(mut self, attribute: &dyn AttributeWrite) -> Response {
        self.message
            .add_attribute(attribute)
            .expect("a Vec has room, and nothing is added after sealing");
        self
    }

    /// Adds the attributes that a client needs for an authenticated request (RFC 8489 §9.2.4).
    pub(crate) fn with_challenge(self, realm: &str, nonce: &str, offer: Offer) -> Response {
        let realm = Realm::new(realm).expect("the configuration limits the realm");
        let nonce = Nonce::new(nonce).expect("our nonces are short");
        let response = self.with(&realm).with(&nonce);
        match offer {
            Offer::Md5Only => response,
            Offer::Sha256 => response.with(&PasswordAlgorithms::new(&OFFERED)),
        }
    }

    /// Signs and finishes the answer to an authenticated client.
    pub(crate) fn signed(self, caller: &Caller) -> Vec<u8> {
        let software = Software::new(SOFTWARE).expect("a short constant");
        let mut response = self.with(&software);
        response
            .message
            .add_message_integrity_with_key(&caller.key, caller.algorithm)
            .expect("signed once");
        response.unsigned()
    }

    /// Finishes the answer, with FINGERPRINT if the request had it (RFC 8489 §7).
    pub(crate) fn unsigned(mut self) -> Vec<u8> {
        if self.has_fingerprint {
            self.message.add_fingerprint().expect("added once");
        }
        self.message.finish()
    }
}
