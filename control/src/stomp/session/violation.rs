//! Why sessions end with an ERROR.

use axum::extract::ws::close_code;
use madang_wire::Frame;

/// What ended a session before its DISCONNECT. [`SessionError::row`] is the table of what follows from each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionError {
    /// The first frame is not CONNECT.
    NotConnected,
    /// A second CONNECT.
    AlreadyConnected,
    /// The client speaks no STOMP version that the server speaks.
    UnsupportedVersion,
    /// No CONNECT in time, or no heart-beat.
    Timeout,
    /// A frame that only servers send.
    NotAClientsFrame,
    /// Bytes that are not a STOMP frame, or a frame larger than the limits allow.
    MalformedFrame,
    MissingHeader,
    BadHeader,
    /// A SUBSCRIBE whose id is in use.
    DuplicateSubscription,
    /// A transaction that is not open, is open already, or is too large.
    BadTransaction,
    /// The client does not acknowledge what it gets.
    TooManyUnacknowledged,
    /// A WebSocket message over the size limit.
    MessageTooLong,
    /// A WebSocket text message that is not UTF-8.
    MessageNotUtf8,
    /// Bytes that break RFC 6455.
    MessageNotWebSocket,
    /// The credential of the CONNECT is missing or not valid.
    NotAuthenticated,
    TokenExpired,
    TokenRevoked,
    /// The client reads more slowly than its messages come (back-pressure).
    SlowConsumer,
    /// The external broker sent an ERROR, which the client gets as it is.
    ExternalBroker,
    Draining,
}

impl SessionError {
    /// The `message` header of the ERROR, which is also the label `kind` of the metric; both are contract. An ERROR of the
    /// external broker has a header of its own.
    pub(crate) const fn text(self) -> &'static str {
        self.row().0
    }

    /// The close code of the WebSocket (RFC 6455 §7.4.1).
    pub(crate) const fn close_code(self) -> u16 {
        self.row().1
    }

    /// Whether the client's rights ended, so that it can't come back with them.
    pub(crate) const fn ends_rights(self) -> bool {
        matches!(self, SessionError::TokenExpired | SessionError::TokenRevoked)
    }

    const fn row(self) -> (&'static str, u16) {
        match self {
            SessionError::NotConnected => ("not connected", close_code::PROTOCOL),
            SessionError::AlreadyConnected => ("already connected", close_code::PROTOCOL),
            SessionError::UnsupportedVersion => ("unsupported version", close_code::PROTOCOL),
            SessionError::Timeout => ("timeout", close_code::PROTOCOL),
            SessionError::NotAClientsFrame => ("not a client's frame", close_code::PROTOCOL),
            SessionError::MalformedFrame => ("malformed frame", close_code::PROTOCOL),
            SessionError::MissingHeader => ("missing header", close_code::PROTOCOL),
            SessionError::BadHeader => ("bad header", close_code::PROTOCOL),
            SessionError::DuplicateSubscription => ("duplicate subscription", close_code::PROTOCOL),
            SessionError::BadTransaction => ("bad transaction", close_code::PROTOCOL),
            SessionError::TooManyUnacknowledged => {
                ("too many unacknowledged messages", close_code::PROTOCOL)
            }
            SessionError::MessageTooLong => ("unreadable message", close_code::SIZE),
            SessionError::MessageNotUtf8 => ("unreadable message", close_code::INVALID),
            SessionError::MessageNotWebSocket => ("unreadable message", close_code::PROTOCOL),
            SessionError::NotAuthenticated => ("not authenticated", close_code::POLICY),
            SessionError::TokenExpired => ("token expired", close_code::POLICY),
            SessionError::TokenRevoked => ("token revoked", close_code::POLICY),
            SessionError::SlowConsumer => ("slow consumer", close_code::POLICY),
            SessionError::ExternalBroker => ("of the external broker", close_code::PROTOCOL),
            SessionError::Draining => ("the server is shutting down", close_code::AWAY),
        }
    }
}

/// A frame that ends the session.
pub(super) struct Violation {
    pub(super) error: SessionError,
    /// The body of the ERROR.
    pub(super) detail: String,
}

/// The value of a header that a frame must have.
pub(super) fn required<'a>(frame: &'a Frame, name: &'static str) -> Result<&'a str, Violation> {
    frame.header(name).ok_or_else(|| Violation {
        error: SessionError::MissingHeader,
        detail: format!("{} needs the header {name}.", frame.command),
    })
}

pub(super) fn violation<T>(error: SessionError, detail: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { error, detail: detail.into() })
}

pub(super) fn transaction_violation(detail: String) -> Violation {
    Violation { error: SessionError::BadTransaction, detail }
}
