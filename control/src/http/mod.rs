//! The one port that browsers see: pages, `/ws`, and what an operator asks.
//!
//! ```text
//! /  /rooms/{room}  /assets/…     the web client, embedded in the binary
//! /ws                             STOMP over WebSocket, handed to the hub
//! /ws/…                           the same through SockJS, see `sockjs`
//! /api/…                          REST, see `api`
//! /healthz  /readyz  /metrics     for the operator's machines
//! ```
//!
//! With `http.tls.cert` it is HTTPS; HTTP without TLS is told so, see `plain`. Then TURN and media by TCP come in at this
//! port as well, see `protocol`.

mod connections;
mod origin;
mod pages;
mod peek;
mod plain;
mod protocol;
mod stream;
mod upgrade;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::error;

pub(crate) use self::connections::rest_after;
use self::connections::{Entrance, Tls};
pub use self::origin::Origins;
pub(crate) use self::origin::REFUSAL as ORIGIN_REFUSAL;
pub(crate) use self::upgrade::Upgrade;
pub use self::websocket::WebSocket;
use crate::api::{self, Api};
use crate::hub::Hub;
use crate::metrics::{self, Snapshot};
use crate::sockjs;

/// What SockJS clients and their load balancers ask to see whether somebody is there.
pub(crate) const GREETING: &str = "Welcome to SockJS!\n";

/// A WebSocket message may be this much longer than the longest STOMP frame, in bytes: a frame that is a little too
/// long then gets an ERROR that says so, instead of a closed connection.
const MESSAGE_SLACK: usize = 64 * 1024;

/// What the handlers need to know.
pub struct App {
    /// Takes the WebSockets.
    pub hub: Hub,
    /// Whose pages may open one.
    pub origins: Origins,
    /// Longest STOMP frame, in bytes; 0 is no limit.
    pub frame_bytes: usize,
    /// How long a client may take to send the head of a request, and stay silent between two.
    pub request_timeout: Duration,
    /// How SockJS is offered.
    pub sockjs: sockjs::Config,
    /// SockJS sessions without a WebSocket.
    pub sessions: sockjs::Sessions,
    /// Cancelled when the server takes no more work.
    pub draining: CancellationToken,
    /// Asks all parts for their counters.
    pub snapshot: Box<dyn Fn() -> Snapshot + Send + Sync>,
}

/// What makes the port one of HTTPS.
pub struct Https {
    /// The certificate, and what else TLS needs.
    pub config: Arc<ServerConfig>,
    /// Who serves those who speak TURN, inside or without.
    pub turn: Option<madang_turn::Handle>,
    /// Who serves those whose media come by TCP (RFC 6544).
    pub media: madang_sfu::io::Handle,
}

impl App {
    /// Bytes that a message of a client may have at most.
    pub(crate) fn message_bytes(&self) -> usize {
        match self.frame_bytes {
            0 => usize::MAX,
            bytes => bytes.saturating_add(MESSAGE_SLACK),
        }
    }
}

/// Serves until `shutdown`, then until the requests under way are answered. With TLS, what comes without is told where
/// to come.
pub async fn serve(
    listener: TcpListener,
    app: App,
    api: Api,
    https: Option<Https>,
    shutdown: CancellationToken,
) {
    let entrance = Entrance {
        request_timeout: app.request_timeout,
        router: router(app, api),
        tls: https.map(|Https { config, turn, media }| Tls {
            acceptor: TlsAcceptor::from(config),
            plain: plain::router(),
            turn,
            media,
        }),
    };
    connections::serve(listener, entrance, shutdown).await;
}

fn router(app: App, api: Api) -> Router {
    Router::new()
        .route("/", get(pages::client))
        .route("/rooms/{room}", get(pages::room))
        .route("/ws", get(websocket))
        .merge(sockjs::routes())
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics_page))
        .fallback(pages::asset)
        .method_not_allowed_fallback(pages::wrong_method)
        .with_state(Arc::new(app))
        .merge(api::routes(api))
        .layer(map_response(pages::with_security_headers))
}

async fn websocket(
    State(app): State<Arc<App>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: Result<Upgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(_) if !headers.contains_key(header::UPGRADE) => return GREETING.into_response(),
        Err(rejection) => return rejection.into_response(),
    };
    let hub = app.hub.clone();
    self::upgrade(&app, &headers, upgrade, 1, move |socket| async move {
        hub.serve_websocket(socket, from.ip()).await;
    })
}

/// Opens a WebSocket for a page that may have one. Its messages may be `longer` times as long as a STOMP frame.
pub(crate) fn upgrade<F: Future<Output = ()> + Send + 'static>(
    app: &App,
    headers: &HeaderMap,
    upgrade: Upgrade,
    longer: usize,
    serve: impl FnOnce(WebSocket) -> F + Send + 'static,
) -> Response {
    if !app.origins.allow(headers) {
        return (StatusCode::FORBIDDEN, ORIGIN_REFUSAL).into_response();
    }
    if app.draining.is_cancelled() {
        return draining();
    }
    let most = app.message_bytes().saturating_mul(longer);
    upgrade.accept(most, serve)
}

async fn readiness(State(app): State<Arc<App>>) -> Response {
    if app.draining.is_cancelled() {
        return draining();
    }
    match app.hub.trouble() {
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
        None => "ready\n".into_response(),
    }
}

fn draining() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response()
}

async fn metrics_page(State(app): State<Arc<App>>) -> Response {
    match metrics::render(&(app.snapshot)()) {
        Ok(page) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response(),
        Err(error) => {
            error!(%error, "the metrics page can't be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
