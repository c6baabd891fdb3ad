//! Why a credential is refused.

use jiff::Timestamp;

/// Why a credential is refused. The text is for the client that sent it, and never repeats the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no credential, and this server requires one.
    #[error(
        "this server requires a token: send `Authorization: Bearer <token>`, or the token as `passcode`"
    )]
    Missing,
    /// The credential is not a JWT.
    #[error("this is not a valid token: {0}")]
    Malformed(String),
    /// The server does not accept its `alg`.
    #[error("the token's algorithm {0:?} is not accepted here; accepted: {1}")]
    Algorithm(String, String),
    /// The server has no key for it. A refresh of the keys may bring it.
    #[error("{0}")]
    UnknownKey(String),
    /// The signature was made with another key, or the token was changed.
    #[error("the token's signature is wrong: it was signed with another key, or changed")]
    BadSignature,
    /// The token has expired.
    #[error("the token expired at {at}; the server's clock shows {now}")]
    Expired {
        /// Its `exp`.
        at: Timestamp,
        /// This server's clock.
        now: Timestamp,
    },
    /// The token is not valid yet.
    #[error("the token is not valid before {from}; the server's clock shows {now}")]
    TooEarly {
        /// Its `nbf`.
        from: Timestamp,
        /// This server's clock.
        now: Timestamp,
    },
    /// A claim is missing or has a value that is not accepted.
    #[error("the token's claims are not accepted: {0}")]
    Claims(String),
    /// The token was revoked.
    #[error("the token was revoked")]
    Revoked,
}

/// Maximum length of a client's text in an error, in characters.
const EXCERPT: usize = 100;

/// Shortens a client's text for use in an error.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
