//! SockJS frames in a WebSocket.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::ws::{Message, WebSocket};
use futures_util::{Sink, SinkExt, Stream, StreamExt};

use super::frame::{self, Close};
use super::pipe::not_text;

/// A WebSocket whose messages are wrapped as SockJS wants it.
pub(super) struct Framed {
    socket: WebSocket,
    /// What one message of the client brought; no more is read before it is taken.
    incoming: VecDeque<String>,
    is_over: bool,
}

impl Framed {
    /// Greets the client. `None`: it is gone already.
    pub(super) async fn open(mut socket: WebSocket) -> Option<Framed> {
        socket.send(Message::text(frame::OPEN)).await.ok()?;
        Some(Framed { socket, incoming: VecDeque::new(), is_over: false })
    }

    fn put(&mut self, message: Message) -> Result<(), axum::Error> {
        self.socket.start_send_unpin(message)
    }
}

impl Stream for Framed {
    type Item = Result<Message, axum::Error>;

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
                // No SockJS client sends it.
                Some(Ok(Message::Binary(_))) => self.is_over = true,
                other => return Poll::Ready(other),
            }
        }
    }
}

impl Sink<Message> for Framed {
    type Error = axum::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        self.socket.poll_ready_unpin(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), axum::Error> {
        match message {
            Message::Text(text) => self.put(Message::text(frame::messages([text.as_str()]))),
            Message::Binary(_) => {
                self.is_over = true;
                self.put(Message::text(frame::messages([not_text()])))?;
                self.put(Message::text(Close::NOT_TEXT.to_frame()))
            }
            // Both ask; SockJS clients count on the first, and the WebSocket answers the second.
            Message::Ping(payload) => {
                self.put(Message::text(frame::HEART_BEAT))?;
                self.put(Message::Ping(payload))
            }
            Message::Close(close) => {
                self.put(Message::text(Close::GO_AWAY.to_frame()))?;
                self.put(Message::Close(close))
            }
            Message::Pong(_) => Ok(()),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        self.socket.poll_flush_unpin(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        self.socket.poll_close_unpin(cx)
    }
}
