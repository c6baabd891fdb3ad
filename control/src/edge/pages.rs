//! The files of the web client, and the response for addresses without a file.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use madang_wire::RoomName;

/// The page of the web client, which reads the name of the room from its URL.
const PAGE: &str = "index.html";

/// The web client connects only to this server, its images are its own, and cameras arrive as streams and blobs. Other
/// pages must not frame it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; \
     style-src 'self'; script-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // URLs contain room names.
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(self), microphone=(self), display-capture=(self), geolocation=()",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

pub(super) async fn client(headers: HeaderMap) -> Response {
    found(PAGE, &headers)
}

pub(super) async fn room(
    room: Result<Path<String>, axum::extract::rejection::PathRejection>,
    headers: HeaderMap,
) -> Response {
    let name = room.ok().and_then(|Path(name)| RoomName::parse(&name).ok());
    match name {
        Some(_) => found(PAGE, &headers),
        None => not_found(
            &headers,
            "This is not a room name. A room name has 1 to 64 characters: letters A-Z and a-z, digits, _ , - and \
             Hangul syllables.",
        ),
    }
}

pub(super) async fn asset(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return wrong_method().await;
    }
    found(uri.path().trim_start_matches('/'), &headers)
}

pub(super) async fn wrong_method() -> Response {
    let allow = [(header::ALLOW, "GET, HEAD")];
    (StatusCode::METHOD_NOT_ALLOWED, allow, "This address supports only GET and HEAD.\n")
        .into_response()
}

pub(super) async fn with_security_headers(mut response: Response) -> Response {
    for (name, value) in SECURITY_HEADERS {
        // Some pages set their own policy.
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn found(path: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = madang_web::asset(path) else {
        return not_found(
            headers,
            "There is nothing at this address. The address of a room is /rooms/ followed by its name.",
        );
    };
    let caching = if asset.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let caching = [(header::CACHE_CONTROL, caching), (header::ETAG, asset.etag.as_str())];
    if has_already(headers, &asset.etag) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(header::CONTENT_TYPE, asset.content_type)], asset.bytes).into_response()
}

/// Whether the client has this version (RFC 9110 §13.1.2, with weak comparison).
fn has_already(headers: &HeaderMap, etag: &str) -> bool {
    let sent = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let tags = sent.unwrap_or("").split(',').map(|tag| tag.trim().trim_start_matches("W/"));
    tags.into_iter().any(|tag| tag == etag || tag == "*")
}

/// Answers browsers with a page, and programs with a line of text.
fn not_found(headers: &HeaderMap, why: &str) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if !accept.unwrap_or("").contains("text/html") {
        return (StatusCode::NOT_FOUND, format!("{why}\n")).into_response();
    }
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Not found – Madang</title>\n\
         <h1>Not found</h1>\n<p>{why}</p>\n<p><a href=\"/\">Go to the start page</a></p>\n</html>\n"
    );
    (StatusCode::NOT_FOUND, Html(page)).into_response()
}
