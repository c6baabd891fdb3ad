//! The transport of a session's frames.

use futures_util::{Sink, Stream};
use madang_wire::Encoded;
use tokio_tungstenite::tungstenite::{Error, Message};

/// An item that a session sends.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A STOMP frame, or an EOL as a heart-beat.
    Frame(Encoded),
    /// A ping, which a live other end answers.
    Ping,
    /// The last item, with a WebSocket close code (RFC 6455 §7.4.1).
    Close(u16),
}

/// A source of messages and a sink of frames: a WebSocket, or anything that behaves like one.
///
/// An implementation answers `Ping` with a `Pong` while it believes that the other end is there, and accepts `Close` as
/// the last item. The stream ends when the other end is gone. Items are buffered until the sink is flushed, even if
/// they are sent without waiting for `poll_ready`, which only keeps the buffer small.
pub(crate) trait Socket:
    Stream<Item = Result<Message, Error>> + Sink<Outgoing, Error = Error> + Send + Unpin
{
}

impl<T> Socket for T where
    T: Stream<Item = Result<Message, Error>> + Sink<Outgoing, Error = Error> + Send + Unpin
{
}
