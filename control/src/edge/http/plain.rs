//! Plain HTTP on a port for HTTPS: redirects to HTTPS.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Answers health checks, which a machine sends to itself without a name from the certificate. Redirects everything
/// else to HTTPS, with the same method (RFC 9110 §15.4.9).
pub(super) fn router() -> Router {
    Router::new().route("/healthz", get(|| async { "ok\n" })).fallback(to_https)
}

async fn to_https(headers: HeaderMap, request: Request) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host.filter(|host| is_host(host)) else {
        return (StatusCode::BAD_REQUEST, "This port serves HTTPS.\n").into_response();
    };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let there = format!("https://{host}{path}");
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, there)]).into_response()
}

/// Whether this is a name or address, optionally with a port. Anything else could redirect to another site.
fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|c| c.is_ascii_alphanumeric() || b".-:[]_".contains(&c))
}
