//! The gate that every request passes: its origin, its credential, how often it may ask. The API's clock is read here.
#![expect(clippy::disallowed_methods, reason = "the API's clock is read here and nowhere else")]

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use madang_wire::ErrorCode;

use super::Api;
use super::access::{self, Caller};
use super::problem::Problem;
use crate::edge::http::ORIGIN_REFUSAL;

/// How long a browser may remember that a site may ask, in seconds.
const PREFLIGHT_SECONDS: &str = "600";

/// What other sites' pages may send, besides what every page may.
const ALLOWED_HEADERS: &str = "authorization, content-type";
const ALLOWED_METHODS: &str = "GET, POST, PUT, PATCH, DELETE";

/// What time it is.
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// For [`Api::started`].
pub(super) fn instant() -> Instant {
    Instant::now()
}

/// How long the server runs.
pub(super) fn uptime(api: &Api) -> Duration {
    api.started.elapsed()
}

/// Lets a request through with its [`Caller`], or answers it.
pub(super) async fn admit(
    State(api): State<Arc<Api>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    if !api.origins.allow(request.headers()) {
        return Problem::not_allowed(ORIGIN_REFUSAL.trim_end()).into_response();
    }
    let response = if is_preflight(&request) {
        preflight()
    } else {
        match admitted(&api, from, request.headers()).await {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                next.run(request).await
            }
            Err(problem) => problem.into_response(),
        }
    };
    with_cors(response, origin)
}

/// Who asks, if they may. Whoever shows what counts is never slowed down by others at the same address.
async fn admitted(api: &Api, from: SocketAddr, headers: &HeaderMap) -> Result<Caller, Problem> {
    let caller = match access::bearer(headers) {
        Some(Ok(token)) => api.identify(token).await,
        Some(Err(problem)) => Err(problem),
        None => Ok(Caller::Nobody),
    };
    if matches!(caller, Ok(Caller::Operator | Caller::User(_))) {
        return caller;
    }
    let mut quota = api.quota.lock().unwrap_or_else(PoisonError::into_inner);
    if !quota.take(from.ip(), Instant::now()) {
        let message = "too many requests without a credential that counts";
        return Err(Problem::new(ErrorCode::RateLimited, message).retry_after(1));
    }
    caller
}

/// A browser asks whether a page of another site may ask (Fetch, "CORS-preflight request").
fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// The origin was allowed; pages of this server don't need to be told.
fn with_cors(mut response: Response, origin: Option<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static("location, link, retry-after, www-authenticate");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}
