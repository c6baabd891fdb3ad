//! SockJS frames over a WebSocket.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::frame::{self, Close};
use super::pipe::{not_text, text_of};
use crate::edge::http::WebSocket;
use crate::memory::{self, counted};
use crate::stomp::socket::Outgoing;

/// A WebSocket whose messages are wrapped in SockJS frames.
pub(super) struct Framed {
    socket: WebSocket,
    /// The messages of the client's last frame. The next frame is read once they are taken.
    incoming: VecDeque<String>,
    is_over: bool,
}

impl Framed {
    /// Sends the open frame. Returns `None` if the client has disconnected.
    pub(super) async fn open(mut socket: WebSocket) -> Option<Framed> {
        socket.put(true, [frame::OPEN.into()]);
        SinkExt::<Outgoing>::flush(&mut socket).await.ok()?;
        Some(Framed { socket, incoming: VecDeque::new(), is_over: false })
    }

    fn put(&mut self, text: impl Into<Bytes>) {
        self.socket.put(true, [text.into()]);
    }
}

impl Stream for Framed {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(message) = self.incoming.pop_front() {
                return Poll::Ready(Some(Ok(Message::text(message))));
            }
            if self.is_over {
                return Poll::Ready(None);
            }
            match ready!(self.socket.poll_next_unpin(cx)) {
                Some(Ok(Message::Text(text))) => match frame::parse(&text) {
                    Some(messages) => self.incoming.extend(messages),
                    // "The server must abruptly terminate the connection."
                    None => self.is_over = true,
                },
                // SockJS clients send only text.
                Some(Ok(Message::Binary(_))) => self.is_over = true,
                other => return Poll::Ready(other),
            }
        }
    }
}

impl Sink<Outgoing> for Framed {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.socket.poll_ready_unpin(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, outgoing: Outgoing) -> Result<(), Error> {
        match &outgoing {
            Outgoing::Frame(frame) => {
                match text_of(frame) {
                    Some(text) if text.len() > memory::share() => {
                        self.is_over = true;
                        self.put(Close::SHORT_OF_MEMORY.to_frame());
                    }
                    Some(text) => self.put(counted(frame::messages([text.as_str()]).into())),
                    None => {
                        self.is_over = true;
                        self.put(frame::messages([not_text().as_str()]));
                        self.put(Close::NOT_TEXT.to_frame());
                    }
                }
                return Ok(());
            }
            // Sends a heart-beat and a ping: SockJS clients expect the heart-beat, and the WebSocket answers the ping.
            Outgoing::Ping => self.put(frame::HEART_BEAT),
            Outgoing::Close(_) => self.put(Close::GO_AWAY.to_frame()),
        }
        self.socket.start_send_unpin(outgoing)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        SinkExt::<Outgoing>::poll_flush_unpin(&mut self.socket, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        SinkExt::<Outgoing>::poll_close_unpin(&mut self.socket, cx)
    }
}
