//! The checks before every STOMP session over HTTP: the origin of the page, and whether the server still accepts work.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio_util::sync::CancellationToken;

use super::origin::{Origins, REFUSAL};
use super::upgrade::Upgrade;
use super::websocket::WebSocket;
use crate::hub::Hub;

/// How much longer than the longest STOMP frame a WebSocket message may be, in bytes. A frame that is slightly too long
/// then gets an ERROR that says so, instead of a closed connection.
const MESSAGE_SLACK: usize = 64 * 1024;

/// Admits HTTP requests to STOMP sessions. Clones are interchangeable.
#[derive(Clone)]
pub struct Gate {
    /// Serves the sessions.
    pub hub: Hub,
    /// The origins whose pages may open a session.
    pub origins: Origins,
    /// Maximum length of a STOMP frame, in bytes; 0 means no limit.
    pub frame_bytes: usize,
    /// Cancelled when the server stops accepting work.
    pub draining: CancellationToken,
}

impl Gate {
    /// Opens a WebSocket, or refuses it. Its messages may be `longer` times as long as a STOMP frame.
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

    /// Maximum length of a client's message, in bytes.
    pub(crate) fn message_bytes(&self) -> usize {
        match self.frame_bytes {
            0 => usize::MAX,
            bytes => bytes.saturating_add(MESSAGE_SLACK),
        }
    }
}

/// The response of a server that accepts no more work.
pub(crate) fn draining() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response()
}
