//! The errors that end a session with an ERROR frame.

use axum::extract::ws::close_code;
use madang_wire::Frame;

/// Why a session ended before its DISCONNECT. [`SessionError::row`] is the table of their texts and close codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionError {
    /// The first frame is not CONNECT.
    NotConnected,
    /// A second CONNECT.
    AlreadyConnected,
    /// The client and the server have no STOMP version in common.
    UnsupportedVersion,
    /// No CONNECT arrived in time, or no heart-beat.
    Timeout,
    /// The client sent a frame that only servers send.
    NotAClientsFrame,
    /// The bytes are not a STOMP frame, or the frame is larger than the limits allow.
    MalformedFrame,
    MissingHeader,
    BadHeader,
    /// The id of a SUBSCRIBE is already in use.
    DuplicateSubscription,
    /// A transaction is not open, is already open, or is too large.
    BadTransaction,
    /// Too many messages wait for the client's ACK.
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
    /// Slow consumer: the client reads more slowly than its messages arrive.
    SlowConsumer,
    /// The client has begun frames or transactions that take more memory than one client may hold at present.
    ShortOfMemory,
    /// The external broker sent an ERROR, which is passed to the client unchanged.
    ExternalBroker,
    Draining,
}

impl SessionError {
    /// The `message` header of the ERROR, and the label `kind` of the metric. Both are part of the contract. An ERROR
    /// of the external broker keeps its own header.
    pub(crate) const fn text(self) -> &'static str {
        self.row().0
    }

    /// The close code of the WebSocket (RFC 6455 §7.4.1).
    pub(crate) const fn close_code(self) -> u16 {
        self.row().1
    }

    /// Whether the client's rights have ended, so that it cannot resume with them.
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
            SessionError::ShortOfMemory => ("short of memory", close_code::AGAIN),
            SessionError::ExternalBroker => ("of the external broker", close_code::PROTOCOL),
            SessionError::Draining => ("the server is shutting down", close_code::AWAY),
        }
    }
}

/// A protocol violation by a frame, which ends the session.
pub(super) struct Violation {
    pub(super) error: SessionError,
    /// The body of the ERROR.
    pub(super) detail: String,
}

/// The value of a required header.
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
