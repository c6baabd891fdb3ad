//! The upgrade of an HTTP request to a WebSocket (RFC 6455 §4.2).

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{FromRequestParts, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::debug;

use super::stream::HttpStream;
use super::websocket::WebSocket;

/// The subprotocols that name a STOMP version, best first.
const SUBPROTOCOLS: [&str; 3] = ["v12.stomp", "v11.stomp", "v10.stomp"];

/// A valid request for a WebSocket.
pub(crate) struct Upgrade {
    /// The value of the header `sec-websocket-accept`.
    accept: String,
    subprotocol: Option<HeaderValue>,
    connection: Option<OnUpgrade>,
}

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = WebSocketUpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        // axum checks the headers. This function takes over the connection itself.
        let connection = parts.extensions.get::<OnUpgrade>().cloned();
        let request = WebSocketUpgrade::from_request_parts(parts, state).await?;
        let request = request.protocols(SUBPROTOCOLS);
        let key = parts.headers.get(header::SEC_WEBSOCKET_KEY);
        Ok(Upgrade {
            accept: derive_accept_key(key.map_or(&[], HeaderValue::as_bytes)),
            subprotocol: request.selected_protocol().cloned(),
            connection,
        })
    }
}

impl Upgrade {
    /// Answers the request and serves the WebSocket. Its messages may have up to `message_bytes`.
    pub(super) fn accept<F: Future<Output = ()> + Send + 'static>(
        self,
        message_bytes: usize,
        serve: impl FnOnce(WebSocket) -> F + Send + 'static,
    ) -> Response {
        let Upgrade { accept, subprotocol, connection } = self;
        let Some(connection) = connection else {
            return StatusCode::UPGRADE_REQUIRED.into_response();
        };
        tokio::spawn(async move {
            match connection.await.map(Upgraded::downcast::<TokioIo<HttpStream>>) {
                Ok(Ok(parts)) => {
                    let stream = parts.io.into_inner();
                    serve(WebSocket::new(stream, parts.read_buf, message_bytes)).await;
                }
                Ok(Err(_)) => {
                    debug!("a WebSocket upgrade failed: its stream has an unexpected type")
                }
                Err(error) => debug!(%error, "a WebSocket upgrade failed"),
            }
        });
        let mut response = (
            StatusCode::SWITCHING_PROTOCOLS,
            [
                (header::CONNECTION, "upgrade"),
                (header::UPGRADE, "websocket"),
                (header::SEC_WEBSOCKET_ACCEPT, accept.as_str()),
            ],
        )
            .into_response();
        if let Some(subprotocol) = subprotocol {
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
        }
        response
    }
}
