//! HTTP and the protocols that share its port: TCP connections, TLS, WebSockets, and the gate before STOMP sessions.
//!
//! Without `http.tls.cert`, the port serves HTTP. With it, the first bytes of a connection distinguish HTTPS, plain
//! HTTP (see `plain`), TURN, and media over TCP; see `protocol`.

mod connections;
mod gate;
mod origin;
mod peek;
mod places;
mod plain;
mod protocol;
mod stream;
mod upgrade;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub(crate) use self::connections::rest_after;
pub use self::gate::Gate;
pub(crate) use self::gate::draining;
pub use self::origin::Origins;
pub(crate) use self::origin::REFUSAL as ORIGIN_REFUSAL;
pub(crate) use self::upgrade::Upgrade;
pub use self::websocket::WebSocket;

use self::connections::{Entrance, Tls};

/// Certificate and options of an HTTPS port.
pub struct Https {
    /// The TLS configuration with the certificate.
    pub config: Arc<ServerConfig>,
    /// Serves TURN, with and without TLS; `None` if TURN is off.
    pub turn: Option<madang_turn::Handle>,
    /// Serves media over TCP (RFC 6544).
    pub media: madang_sfu::io::Handle,
}

/// Serves `router` until `shutdown` is cancelled and the requests in progress are answered. `request_timeout` limits
/// the time for the head of a request to arrive, and the silence between two requests. With TLS, plain HTTP is
/// redirected.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    request_timeout: Duration,
    https: Option<Https>,
    shutdown: CancellationToken,
) {
    let tls = https.map(|Https { config, turn, media }| Tls {
        acceptor: TlsAcceptor::from(config),
        plain: plain::router(),
        turn,
        media,
    });
    connections::serve(listener, Entrance { request_timeout, router, tls }, shutdown).await;
}
