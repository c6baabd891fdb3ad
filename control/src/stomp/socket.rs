//! What carries a session's frames.

use futures_util::{Sink, Stream};
use madang_wire::Encoded;
use tokio_tungstenite::tungstenite::{Error, Message};

/// What a session sends.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A STOMP frame, or an EOL as a heart-beat.
    Frame(Encoded),
    /// Whoever is there answers it.
    Ping,
    /// The last word, with a WebSocket's close code (RFC 6455 §7.4.1).
    Close(u16),
}

/// Something that messages come from and frames go to: a WebSocket, or what behaves like one.
///
/// Who implements it answers `Ping` with a `Pong` while the other end is believed to be there, and takes `Close` as the
/// last message. The stream's end means that the other end is gone. What was sent is gathered until it is flushed, also
/// when it is sent without waiting for `poll_ready`, which only keeps the gathered bytes few.
pub(crate) trait Socket:
    Stream<Item = Result<Message, Error>> + Sink<Outgoing, Error = Error> + Send + Unpin
{
}

impl<T> Socket for T where
    T: Stream<Item = Result<Message, Error>> + Sink<Outgoing, Error = Error> + Send + Unpin
{
}
