//! The STOMP session's end of a SockJS session.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use futures_util::{Sink, Stream};
use madang_wire::{Command, Encoded, Frame, Version, encode, header};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::frame::Close;
use super::session::Session;
use crate::stomp::socket::Outgoing;

/// The maximum number of `xhr_send` requests of a session at a time. Clients wait for each response before the next
/// request.
const MOST_SENDING: usize = 2;

/// A session that notifies others when it changes: HTTP requests and its own task through the watch channel, the STOMP
/// session through the waker.
#[derive(Debug)]
pub(super) struct Live {
    session: watch::Sender<Session>,
    stomp: AtomicWaker,
    /// Admits one `xhr_send` at a time, so that messages keep their order.
    pub(super) sending: tokio::sync::Semaphore,
    /// Admits few `xhr_send` requests that wait for their turn: each holds a connection.
    pub(super) waiting: tokio::sync::Semaphore,
}

impl Live {
    pub(super) fn new(session: Session) -> Live {
        Live {
            session: watch::Sender::new(session),
            stomp: AtomicWaker::new(),
            sending: tokio::sync::Semaphore::new(1),
            waiting: tokio::sync::Semaphore::new(MOST_SENDING),
        }
    }

    /// Changes the session and notifies all that wait for a change.
    pub(super) fn change<T>(&self, act: impl FnOnce(&mut Session) -> T) -> T {
        let mut result = None;
        self.session.send_modify(|session| result = Some(act(session)));
        self.stomp.wake();
        result.expect("send_modify calls its closure")
    }

    /// Like `change`, for an `act` that leaves the session unchanged when it returns `None`: then nobody is notified.
    pub(super) fn try_change<T>(&self, act: impl FnOnce(&mut Session) -> Option<T>) -> Option<T> {
        let mut result = None;
        self.session.send_if_modified(|session| {
            result = act(session);
            result.is_some()
        });
        if result.is_some() {
            self.stomp.wake();
        }
        result
    }

    pub(super) fn look<T>(&self, at: impl FnOnce(&Session) -> T) -> T {
        at(&self.session.borrow())
    }

    pub(super) fn changes(&self) -> watch::Receiver<Session> {
        self.session.subscribe()
    }
}

/// A session as a socket. Dropping it closes the session.
pub(super) struct Pipe {
    live: Arc<Live>,
    owes_pong: bool,
}

impl Pipe {
    pub(super) fn new(live: Arc<Live>) -> Pipe {
        Pipe { live, owes_pong: false }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.live.change(|session| session.close(Close::GO_AWAY));
    }
}

impl Stream for Pipe {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // SockJS has its own heart-beats and removes sessions whose client does not return, so the pong is made here.
        if std::mem::take(&mut self.owes_pong) {
            return Poll::Ready(Some(Ok(Message::Pong(Bytes::new()))));
        }
        self.live.stomp.register(cx.waker());
        match self.live.try_change(Session::take_message) {
            Some(message) => Poll::Ready(Some(Ok(Message::text(message)))),
            None if self.live.look(Session::is_over) => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Sink<Outgoing> for Pipe {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.live.stomp.register(cx.waker());
        match self.live.look(|session| session.has_room() || session.is_over()) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    fn start_send(mut self: Pin<&mut Self>, outgoing: Outgoing) -> Result<(), Error> {
        match outgoing {
            Outgoing::Frame(frame) => self.live.change(|session| match text_of(&frame) {
                Some(text) => session.push(text),
                None => {
                    session.push(not_text());
                    session.close(Close::NOT_TEXT);
                }
            }),
            Outgoing::Ping => self.owes_pong = true,
            Outgoing::Close(_) => self.live.change(|session| session.close(Close::GO_AWAY)),
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // The client fetches the messages.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.live.change(|session| session.close(Close::GO_AWAY));
        Poll::Ready(Ok(()))
    }
}

/// Returns the frame as text, or `None` if it is not UTF-8.
pub(super) fn text_of(frame: &Encoded) -> Option<String> {
    String::from_utf8(frame.to_bytes().into()).ok()
}

/// The STOMP ERROR for a client that can't receive a message because it is not UTF-8.
pub(super) fn not_text() -> String {
    let error = Frame::new(Command::Error)
        .with_header(header::MESSAGE, "not text")
        .with_header(header::CONTENT_TYPE, "text/plain")
        .with_body(
            "A message is not UTF-8, and SockJS carries text only. Connect by WebSocket (/ws or /ws/websocket) to \
             receive it.",
        );
    String::from_utf8_lossy(&encode(&error, Version::V1_2)).into_owned()
}
