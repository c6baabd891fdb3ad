//! The requests below `/ws/`.
#![expect(clippy::disallowed_methods, reason = "handing over messages has a deadline")]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http_body_util::BodyExt;

use super::frame::{self, Close};
use super::page::{CACHED, GREETING};
use super::receiver::{self, Wrapping};
use super::session::Session;
use super::websocket::Framed;
use super::{SockJs, page};
use crate::edge::http::{ORIGIN_REFUSAL, Upgrade};
use crate::memory::Held;

const NOT_CACHED: &str = "no-store, no-cache, must-revalidate, max-age=0";

/// Maximum duration of an `xhr_send`, including the wait for earlier ones.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// Escaping may double the length of a message.
const ESCAPING: usize = 2;
/// Maximum length of a session or server id, in bytes. Clients use 8 to 36.
const LONGEST_ID: usize = 256;

/// The routes below `/ws/`.
pub(crate) fn routes(sockjs: SockJs) -> Router {
    Router::new()
        .route("/ws/", get(|| async { GREETING }))
        .route("/ws/{*path}", any(dispatch))
        .with_state(Arc::new(sockjs))
}

/// The resource at a path.
#[derive(Debug, PartialEq)]
enum Resource {
    Info,
    Iframe,
    Client,
    RawWebSocket,
    WebSocket,
    Receive(String, Wrapping),
    Send(String),
}

impl Resource {
    /// Does not decode the path: two ids are equal if they are spelled alike.
    fn parse(path: &str) -> Option<Resource> {
        let segments: Vec<&str> = path.strip_prefix("/ws/")?.split('/').collect();
        match segments.as_slice() {
            ["info"] => Some(Resource::Info),
            ["sockjs.min.js"] => Some(Resource::Client),
            ["websocket"] => Some(Resource::RawWebSocket),
            [page] if page.starts_with("iframe") && page.ends_with(".html") => {
                let version = &page["iframe".len()..page.len() - ".html".len()];
                (version.is_empty() || version.starts_with('-')).then_some(Resource::Iframe)
            }
            [server, session, transport] => {
                let is_id =
                    |id: &str| !id.is_empty() && !id.contains('.') && id.len() <= LONGEST_ID;
                if !is_id(server) || !is_id(session) {
                    return None;
                }
                // The server id is for load balancers.
                let id = (*session).to_owned();
                match *transport {
                    "websocket" => Some(Resource::WebSocket),
                    "xhr" => Some(Resource::Receive(id, Wrapping::Xhr)),
                    "xhr_streaming" => Some(Resource::Receive(id, Wrapping::XhrStreaming)),
                    "eventsource" => Some(Resource::Receive(id, Wrapping::EventSource)),
                    "htmlfile" => Some(Resource::Receive(id, Wrapping::HtmlFile)),
                    "xhr_send" => Some(Resource::Send(id)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The methods of the resource, for `Allow`.
    fn methods(&self) -> &'static str {
        match self {
            Resource::Receive(_, Wrapping::Xhr | Wrapping::XhrStreaming) | Resource::Send(_) => {
                "OPTIONS, POST"
            }
            Resource::Info => "OPTIONS, GET",
            _ => "GET",
        }
    }
}

async fn dispatch(
    State(sockjs): State<Arc<SockJs>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let Some(resource) = Resource::parse(request.uri().path()) else {
        return (StatusCode::NOT_FOUND, "There is no SockJS resource at this address.\n")
            .into_response();
    };
    let methods = resource.methods();
    if !methods.split(", ").any(|method| method == request.method().as_str()) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, methods)]).into_response();
    }
    let (parts, body) = request.into_parts();
    match resource {
        Resource::Iframe => {
            let ancestors = sockjs.gate.origins.frame_ancestors();
            return page::iframe(&sockjs.config.client_url, &ancestors, &parts.headers);
        }
        Resource::Client => return page::client(&parts.headers),
        Resource::RawWebSocket | Resource::WebSocket => {
            return websocket(sockjs, parts, from.ip(), resource == Resource::RawWebSocket).await;
        }
        Resource::Info | Resource::Receive(..) | Resource::Send(_) => {}
    }

    if !sockjs.gate.origins.allow(&parts.headers) {
        return (StatusCode::FORBIDDEN, ORIGIN_REFUSAL).into_response();
    }
    let mut response = match resource {
        _ if parts.method == Method::OPTIONS => preflight(methods),
        Resource::Receive(id, wrapping) => receive(&sockjs, &parts, id, wrapping, from.ip()),
        Resource::Send(id) => send(&sockjs, &id, body).await,
        _ => page::info(sockjs.config.cookie),
    };
    if sockjs.config.cookie && parts.uri.path() != "/ws/info" && parts.method != Method::OPTIONS {
        stick(&parts.headers, response.headers_mut());
    }
    share(&parts.headers, response.headers_mut());
    response
}

async fn websocket(sockjs: Arc<SockJs>, mut parts: Parts, from: IpAddr, is_raw: bool) -> Response {
    let names = |name: HeaderName, wanted: &str| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.to_ascii_lowercase().contains(wanted))
    };
    if !names(header::UPGRADE, "websocket") {
        return (StatusCode::BAD_REQUEST, "Can \"Upgrade\" only to \"WebSocket\".").into_response();
    }
    if !names(header::CONNECTION, "upgrade") {
        return (StatusCode::BAD_REQUEST, "\"Connection\" must be \"Upgrade\".").into_response();
    }
    let request = match Upgrade::from_request_parts(&mut parts, &()).await {
        Ok(request) => request,
        Err(rejection) => return rejection.into_response(),
    };
    let hub = sockjs.gate.hub.clone();
    if is_raw {
        return sockjs.gate.upgrade(&parts.headers, request, 1, move |socket| async move {
            hub.serve(socket, from).await;
        });
    }
    sockjs.gate.upgrade(&parts.headers, request, ESCAPING, move |socket| async move {
        if let Some(socket) = Framed::open(socket).await {
            hub.serve(socket, from).await;
        }
    })
}

fn receive(
    sockjs: &SockJs,
    parts: &Parts,
    id: String,
    wrapping: Wrapping,
    from: IpAddr,
) -> Response {
    let head = match wrapping {
        Wrapping::HtmlFile => match page::callback(parts.uri.query()) {
            Ok(callback) => page::htmlfile_head(&callback),
            Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error).into_response(),
        },
        _ => String::new(),
    };
    let body = match sockjs.sessions.receive(id, from) {
        Ok(Some(receiver)) => receiver.into_body(wrapping, head),
        Ok(None) => {
            let close = Close::SECOND_RECEIVER.to_frame();
            Body::from(receiver::refusal(wrapping, &head, &close))
        }
        Err(reason) => return (StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
    };
    let kind = match wrapping {
        Wrapping::Xhr | Wrapping::XhrStreaming => "application/javascript; charset=UTF-8",
        Wrapping::EventSource => "text/event-stream; charset=UTF-8",
        Wrapping::HtmlFile => "text/html; charset=UTF-8",
    };
    let mut response = ([(header::CONTENT_TYPE, kind)], body).into_response();
    let headers = response.headers_mut();
    // Proxies that buffer responses (nginx) would hold back a stream.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    if wrapping == Wrapping::HtmlFile
        && let Ok(policy) =
            HeaderValue::from_str(&page::htmlfile_policy(&sockjs.gate.origins.frame_ancestors()))
    {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

async fn send(sockjs: &SockJs, id: &str, body: Body) -> Response {
    let unknown = || (StatusCode::NOT_FOUND, "There is no such session.\n").into_response();
    let Some(live) = sockjs.sessions.find(id).filter(|live| !live.look(Session::is_over)) else {
        return unknown();
    };
    let Ok(_place) = live.waiting.try_acquire() else {
        let text = "Wait for the response to the last xhr_send.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let limit = sockjs.gate.message_bytes().saturating_mul(ESCAPING);
    let sent = async {
        let turn = live.sending.acquire().await;
        let body = match read(body, limit).await {
            Ok(body) => body,
            Err(refusal) => return refusal.into_response(),
        };
        if body.is_empty() {
            return (StatusCode::INTERNAL_SERVER_ERROR, "Payload expected.").into_response();
        }
        let Some(mut messages) = frame::parse_array(&body) else {
            return (StatusCode::INTERNAL_SERVER_ERROR, "Broken JSON encoding.").into_response();
        };
        let mut changes = live.changes();
        while !live.look(Session::is_over) {
            changes.mark_unchanged();
            if live.change(|session| session.handle_messages(&mut messages)) {
                break;
            }
            // This can't fail: `live` owns the sender.
            let _ = changes.changed().await;
        }
        drop(turn);
        let kind = [(header::CONTENT_TYPE, "text/plain; charset=UTF-8")];
        (StatusCode::NO_CONTENT, kind).into_response()
    };
    match tokio::time::timeout(SEND_TIMEOUT, sent).await {
        Ok(response) => response,
        Err(_) => {
            (StatusCode::REQUEST_TIMEOUT, "The payload was not received in time.\n").into_response()
        }
    }
}

/// Reads a body, which counts as held meanwhile.
async fn read(mut body: Body, limit: usize) -> Result<Vec<u8>, (StatusCode, &'static str)> {
    let (mut bytes, mut held) = (Vec::new(), Held::default());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| (StatusCode::BAD_REQUEST, "The payload is broken.\n"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, "The payload is too large.\n"));
        }
        bytes.extend_from_slice(&data);
        held.set(bytes.len());
        if held.is_too_much() {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "The server is short of memory.\n"));
        }
    }
    Ok(bytes)
}

fn preflight(methods: &'static str) -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
        (header::ACCESS_CONTROL_MAX_AGE, "31536000"),
    ];
    let mut response = (StatusCode::NO_CONTENT, headers).into_response();
    for (name, value) in CACHED {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Lets the page read the response (Fetch, "CORS protocol") and forbids caching. The origin was checked before.
fn share(request: &HeaderMap, response: &mut HeaderMap) {
    // Browsers send "null" for pages from files, and accept it in the response.
    let any = HeaderValue::from_static("*");
    let origin = request.get(header::ORIGIN).unwrap_or(&any).clone();
    response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response.insert(header::VARY, HeaderValue::from_static("Origin"));
    let yes = HeaderValue::from_static("true");
    response.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    let wanted = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    if let Some(names) = wanted.filter(|names| !names.is_empty()) {
        response.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    if !response.contains_key(header::CACHE_CONTROL) {
        response.insert(header::CACHE_CONTROL, HeaderValue::from_static(NOT_CACHED));
    }
}

/// Sets the cookie by which load balancers keep a client on one server: the client's own, or a placeholder.
fn stick(request: &HeaderMap, response: &mut HeaderMap) {
    let cookies = request.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let cookie = cookies
        .flat_map(|line| line.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix("JSESSIONID="))
        .unwrap_or("dummy");
    if let Ok(cookie) = HeaderValue::from_str(&format!("JSESSIONID={cookie}; path=/")) {
        response.insert(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_resources_or_nothing() {
        let xhr = |id: &str| Some(Resource::Receive(id.to_owned(), Wrapping::Xhr));
        let table = [
            ("/ws/info", Some(Resource::Info)),
            ("/ws/websocket", Some(Resource::RawWebSocket)),
            ("/ws/iframe.html", Some(Resource::Iframe)),
            ("/ws/iframe-.html", Some(Resource::Iframe)),
            ("/ws/iframe-0.1.2abc-dirty.2144.html", Some(Resource::Iframe)),
            ("/ws/000/a/xhr", xhr("a")),
            ("/ws/_/_/xhr", xhr("_")),
            ("/ws/abcdefgh_i-j%20/abcdefg_i-j%20/xhr", xhr("abcdefg_i-j%20")),
            ("/ws/000/a/xhr_send", Some(Resource::Send("a".to_owned()))),
            ("/ws/000/a/websocket", Some(Resource::WebSocket)),
            ("/ws/000/a/jsonp", None),
        ];
        for (path, expected) in table {
            assert_eq!(Resource::parse(path), expected, "{path}");
        }
        let nothing = [
            "/ws/",
            "/ws//",
            "/ws///",
            "/ws/a",
            "/ws/a.html",
            "/ws/a/a",
            "/ws/a/a/",
            "/ws/a/",
            "/ws/iframe.htm",
            "/ws/iframe",
            "/ws/IFRAME.HTML",
            "/ws/iframe.HTML",
            "/ws/iframe.xml",
            "/ws/iframe-/.html",
            "/ws/iframes.html",
            "/ws///xhr",
            "/ws/a./a/xhr",
            "/ws/a/a./xhr",
            "/ws/./a/xhr",
            "/ws/a/b/c/xhr",
        ];
        for path in nothing {
            assert_eq!(Resource::parse(path), None, "{path}");
        }
    }
}
