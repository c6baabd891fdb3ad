//! Why a credential is worth nothing.

use jiff::Timestamp;

/// Why a credential is refused, in words for whoever sent it. It never repeats the token itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is none, and this server lets nobody in without.
    #[error(
        "this server requires a token: send `Authorization: Bearer <token>`, or the token as `passcode`"
    )]
    Missing,
    /// Something is there, but no JWT.
    #[error("this is not a valid token: {0}")]
    Malformed(String),
    /// Its `alg` is not one that this server takes.
    #[error("the token's algorithm {0:?} is not accepted here; accepted: {1}")]
    Algorithm(String, String),
    /// No key of this server is meant. Keys that are fetched again may have it.
    #[error("{0}")]
    UnknownKey(String),
    /// The signature is somebody else's, or the token was changed.
    #[error("the token's signature is wrong: it was signed with another key, or changed")]
    BadSignature,
    /// It is over.
    #[error("the token expired at {at}; the server's clock shows {now}")]
    Expired {
        /// Its `exp`.
        at: Timestamp,
        /// This server's clock.
        now: Timestamp,
    },
    /// It has not begun.
    #[error("the token is not valid before {from}; the server's clock shows {now}")]
    TooEarly {
        /// Its `nbf`.
        from: Timestamp,
        /// This server's clock.
        now: Timestamp,
    },
    /// A claim is missing, or can't be what it says.
    #[error("the token's claims are not accepted: {0}")]
    Claims(String),
    /// It was taken back.
    #[error("the token was revoked")]
    Revoked,
}

/// Longest piece of a client's text in an error, in characters.
const EXCERPT: usize = 100;

/// A client's text, cut to what an error may repeat.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
