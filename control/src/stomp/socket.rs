//! What carries a session's frames.

use axum::extract::ws::Message;
use futures_util::{Sink, Stream};

/// Something that messages come from and go to: a WebSocket, or what behaves like one.
///
/// Who implements it answers `Ping` with `Pong` while the other end is believed to be there, and takes `Close` as the
/// last message. The stream's end means that the other end is gone.
pub(crate) trait Socket:
    Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Send + Unpin
{
}

impl<T> Socket for T where
    T: Stream<Item = Result<Message, axum::Error>>
        + Sink<Message, Error = axum::Error>
        + Send
        + Unpin
{
}
