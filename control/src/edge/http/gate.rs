//! What every way to a STOMP session passes: the origin of its page, and whether the server still takes work.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio_util::sync::CancellationToken;

use super::origin::{Origins, REFUSAL};
use super::upgrade::Upgrade;
use super::websocket::WebSocket;
use crate::hub::Hub;

/// A WebSocket message may be this much longer than the longest STOMP frame, in bytes: a frame that is a little too
/// long then gets an ERROR that says so, instead of a closed connection.
const MESSAGE_SLACK: usize = 64 * 1024;

/// The way from HTTP to STOMP sessions. Clones are the same way.
#[derive(Clone)]
pub struct Gate {
    /// Serves the sessions.
    pub hub: Hub,
    /// Whose pages may open one.
    pub origins: Origins,
    /// Longest STOMP frame, in bytes; 0 is no limit.
    pub frame_bytes: usize,
    /// Cancelled when the server takes no more work.
    pub draining: CancellationToken,
}

impl Gate {
    /// Opens a WebSocket for a page that may have one. Its messages may be `longer` times as long as a STOMP frame.
    pub(crate) fn upgrade<F: Future<Output = ()> + Send + 'static>(
        &self,
        headers: &HeaderMap,
        upgrade: Upgrade,
        longer: usize,
        serve: impl FnOnce(WebSocket) -> F + Send + 'static,
    ) -> Response {
        if !self.origins.allow(headers) {
            return (StatusCode::FORBIDDEN, REFUSAL).into_response();
        }
        if self.draining.is_cancelled() {
            return draining();
        }
        let most = self.message_bytes().saturating_mul(longer);
        upgrade.accept(most, serve)
    }

    /// The most bytes that a client's message may have.
    pub(crate) fn message_bytes(&self) -> usize {
        match self.frame_bytes {
            0 => usize::MAX,
            bytes => bytes.saturating_add(MESSAGE_SLACK),
        }
    }
}

/// The answer of a server that takes no more work.
pub(crate) fn draining() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response()
}
