//! HTTP, and what shares its port: TCP connections, TLS, WebSockets, and the gate that every session passes.
//!
//! Without `http.tls.cert` the port speaks HTTP. With it, the first bytes tell HTTPS, HTTP without TLS (see `plain`), TURN
//! and media by TCP apart, see `protocol`.

mod connections;
mod gate;
mod origin;
mod peek;
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

/// What makes the port one of HTTPS.
pub struct Https {
    /// The certificate, and what else TLS needs.
    pub config: Arc<ServerConfig>,
    /// Who serves those who speak TURN, inside or without.
    pub turn: Option<madang_turn::Handle>,
    /// Who serves those whose media come by TCP (RFC 6544).
    pub media: madang_sfu::io::Handle,
}

/// Serves `router` until `shutdown`, then until the requests under way are answered. A client may take `request_timeout`
/// to send the head of a request, and stay silent as long between two. With TLS, requests without it are redirected.
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
