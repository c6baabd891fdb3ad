//! The response to a receiving request: frames until the response is full.
#![expect(clippy::disallowed_methods, reason = "the sessions' clock is read here")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::sync::watch;

use super::frame::quote;
use super::pipe::Live;
use super::session::Session;
use crate::memory::counted;

/// A streaming response ends after this many bytes, so that browsers can free their memory.
const RESPONSE_LIMIT: usize = 128 * 1024;

/// How frames are wrapped in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// One frame per line, one line per response.
    Xhr,
    /// One frame per line.
    XhrStreaming,
    /// Server-sent events.
    EventSource,
    /// Scripts in a page that never ends.
    HtmlFile,
}

impl Wrapping {
    /// Padding that some browsers must receive before they pass any data to the page.
    fn prelude(self) -> String {
        match self {
            Wrapping::XhrStreaming => format!("{}\n", "h".repeat(2048)),
            Wrapping::EventSource => "\r\n".to_owned(),
            Wrapping::Xhr | Wrapping::HtmlFile => String::new(),
        }
    }

    fn wrap(self, frame: &str) -> String {
        match self {
            Wrapping::Xhr | Wrapping::XhrStreaming => format!("{frame}\n"),
            Wrapping::EventSource => format!("data: {frame}\r\n\r\n"),
            Wrapping::HtmlFile => {
                // A message must not close the script element around it.
                let text = quote(frame).replace('<', "\\u003c");
                format!("<script>\np({text});\n</script>\r\n")
            }
        }
    }

    /// Whether a response with this many bytes is full.
    fn is_filled_by(self, bytes: usize) -> bool {
        self == Wrapping::Xhr || bytes >= RESPONSE_LIMIT
    }
}

/// The only receiving connection of a session. Dropping it before its response is complete interrupts the session.
pub(super) struct Receiver {
    live: Arc<Live>,
    changes: watch::Receiver<Session>,
    is_done: bool,
}

impl Receiver {
    /// Attaches to the session. Returns `None` if the session has a receiver already.
    pub(super) fn attach(live: Arc<Live>) -> Option<Receiver> {
        let changes = live.changes();
        live.change(|session| session.handle_attach(Instant::now())).then_some(Receiver {
            live,
            changes,
            is_done: false,
        })
    }

    /// The body of the response.
    pub(super) fn into_body(self, wrapping: Wrapping, head: String) -> Body {
        let head = head + &wrapping.prelude();
        let state = (self, 0);
        let frames = stream::unfold(state, move |(mut receiver, bytes)| async move {
            let (chunk, bytes) = receiver.next(wrapping, bytes).await?;
            Some((Ok::<_, Infallible>(chunk), (receiver, bytes)))
        });
        if head.is_empty() {
            return Body::from_stream(frames);
        }
        let head = stream::once(std::future::ready(Ok::<_, Infallible>(Bytes::from(head))));
        Body::from_stream(futures_util::StreamExt::chain(head, frames))
    }

    /// Returns the next chunk and the size of the response with it, in bytes. `bytes` is the size without it.
    async fn next(&mut self, wrapping: Wrapping, bytes: usize) -> Option<(Bytes, usize)> {
        if self.is_done {
            return None;
        }
        let frame = self.frame().await;
        let chunk = wrapping.wrap(&frame);
        let bytes = bytes + chunk.len();
        if wrapping.is_filled_by(bytes) || frame.starts_with('c') {
            self.is_done = true;
            self.live.change(|session| session.handle_detach(Instant::now()));
        }
        // A client that reads slowly keeps it waiting.
        Some((counted(chunk.into()), bytes))
    }

    async fn frame(&mut self) -> String {
        loop {
            self.changes.mark_unchanged();
            let now = Instant::now();
            if let Some(frame) = self.live.try_change(|session| session.poll_frame(now)) {
                return frame;
            }
            // This can't fail: `live` owns the sender.
            let _ = self.changes.changed().await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if !self.is_done {
            self.live.change(|session| session.handle_interrupted(Instant::now()));
        }
    }
}

/// The whole response to a request that can't have a receiver.
pub(super) fn refusal(wrapping: Wrapping, head: &str, frame: &str) -> String {
    format!("{head}{}{}", wrapping.prelude(), wrapping.wrap(frame))
}
