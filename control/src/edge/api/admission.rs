//! Checks the origin, the credential and the rate limit of every request. The API's clock is read here.
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

/// How long a browser may cache the answer to a preflight request, in seconds.
const PREFLIGHT_SECONDS: &str = "600";

/// Pages of other origins may use these headers and methods, besides those that the Fetch standard allows every page.
const ALLOWED_HEADERS: &str = "authorization, content-type";
const ALLOWED_METHODS: &str = "GET, POST, PUT, PATCH, DELETE";

/// The current time.
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// The value of [`Api::started`].
pub(super) fn instant() -> Instant {
    Instant::now()
}

/// The time since the server started.
pub(super) fn uptime(api: &Api) -> Duration {
    api.started.elapsed()
}

/// Passes a request on with its [`Caller`], or answers it.
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

/// Returns the caller of a request. Only requests without a valid credential count towards the rate limit of an
/// address: they never slow down a caller who has one and shares the address.
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
        let message = "too many requests without a valid credential";
        return Err(Problem::new(ErrorCode::RateLimited, message).retry_after(1));
    }
    caller
}

/// Whether a browser asks if a page of another origin may send a request (Fetch, "CORS-preflight request").
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

/// Adds the CORS headers for an origin that was allowed. Requests without an origin need only the headers for caches.
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
