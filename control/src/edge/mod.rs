//! The services that clients connect to: pages, STOMP sessions, REST and metrics over HTTP, and STOMP over TCP.
//!
//! ```text
//! /  /rooms/{room}  /assets/…     the web client, embedded in the binary
//! /ws                             STOMP over WebSocket, passed to the hub
//! /ws/…                           STOMP over SockJS, see `sockjs`
//! /api/…                          REST, see `api`
//! /healthz  /readyz  /metrics     for operators and their monitoring
//! ```

pub mod api;
pub mod http;
pub mod metrics;
mod pages;
pub mod sockjs;
pub(crate) mod tcp;
pub mod tls;

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
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::error;

use self::api::Api;
use self::http::{Gate, Https, Upgrade, draining};
use self::metrics::Snapshot;
use self::sockjs::{GREETING, SockJs};
use crate::auth::ApiKeys;

/// The parts that HTTP serves.
pub struct Edge {
    /// Checks requests and opens WebSockets.
    pub gate: Gate,
    /// SockJS at `/ws/`.
    pub sockjs: SockJs,
    /// REST at `/api/`.
    pub api: Api,
    /// Collects the counters of all parts.
    pub snapshot: Box<dyn Fn() -> Snapshot + Send + Sync>,
    /// The token of monitoring: `/metrics` and the details of `/readyz`. `None` if both are open to everybody.
    pub metrics_token: Option<ApiKeys>,
    /// Maximum time for the head of a request to arrive, and maximum silence between two requests.
    pub request_timeout: Duration,
}

/// The state that the handlers of this module share.
struct Served {
    gate: Gate,
    snapshot: Box<dyn Fn() -> Snapshot + Send + Sync>,
    metrics_token: Option<ApiKeys>,
}

impl Served {
    /// Whether a request may see metrics and the state of parts.
    fn is_monitoring(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.metrics_token else {
            return true;
        };
        matches!(api::bearer(headers), Some(Ok(said)) if token.accept(said))
    }
}

/// Serves HTTP until `shutdown` is cancelled and the requests in progress are answered.
pub async fn serve(
    listener: TcpListener,
    edge: Edge,
    https: Option<Https>,
    shutdown: CancellationToken,
) {
    let request_timeout = edge.request_timeout;
    http::serve(listener, router(edge), request_timeout, https, shutdown).await;
}

fn router(Edge { gate, sockjs, api, snapshot, metrics_token, .. }: Edge) -> Router {
    Router::new()
        .route("/", get(pages::client))
        .route("/rooms/{room}", get(pages::room))
        .route("/ws", get(websocket))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics_page))
        .fallback(pages::asset)
        .method_not_allowed_fallback(pages::wrong_method)
        .with_state(Arc::new(Served { gate, snapshot, metrics_token }))
        .merge(sockjs::routes(sockjs))
        .merge(api::routes(api))
        .layer(map_response(pages::with_security_headers))
}

async fn websocket(
    State(served): State<Arc<Served>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: Result<Upgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(_) if !headers.contains_key(header::UPGRADE) => return GREETING.into_response(),
        Err(rejection) => return rejection.into_response(),
    };
    let hub = served.gate.hub.clone();
    served.gate.upgrade(&headers, upgrade, 1, move |socket| async move {
        hub.serve(socket, from.ip()).await;
    })
}

async fn readiness(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    if served.gate.draining.is_cancelled() {
        return draining();
    }
    match served.gate.hub.trouble() {
        // It may name hosts, files and tables.
        Some(_) if !served.is_monitoring(&headers) => {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
        }
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
        None => "ready\n".into_response(),
    }
}

async fn metrics_page(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    if !served.is_monitoring(&headers) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        let text = "The metrics need the token of the key `metrics.token`.\n";
        return (StatusCode::UNAUTHORIZED, challenge, text).into_response();
    }
    match metrics::render(&(served.snapshot)()) {
        Ok(page) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response(),
        Err(error) => {
            error!(%error, "could not render the metrics page");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
