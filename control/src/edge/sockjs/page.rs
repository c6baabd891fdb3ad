//! The resources besides sessions: the greeting, `info`, and the iframe for browsers without cross-origin requests.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The response by which SockJS clients and load balancers recognize a running server.
pub(crate) const GREETING: &str = "Welcome to SockJS!\n";

/// The headers of resources that never change: caches may keep them for a year.
pub(super) const CACHED: [(HeaderName, &str); 2] = [
    (header::CACHE_CONTROL, "public, max-age=31536000"),
    // For caches that do not know Cache-Control.
    (header::EXPIRES, "Thu, 31 Dec 2099 23:59:59 GMT"),
];

/// sockjs-client 1.6.1 as published.
const CLIENT: &str = include_str!("sockjs.min.js");

/// The script that runs in the iframe page before the client is loaded. Its hash is in [`page_policy`].
const BOOTSTRAP: &str = "
    document.domain = document.domain;
    _sockjs_onload = function(){SockJS.bootstrap_iframe();};
  ";

/// The Content-Security-Policy of the iframe page. Only pages whose origin may connect can embed it.
fn page_policy(client_url: &str, ancestors: &str) -> String {
    let client = if client_url.starts_with('/') { "" } else { client_url };
    format!(
        "default-src 'none'; script-src 'self' {client} 'sha256-jUnPHLZyjq+9Z9HFM1Hc23fEo3zUJ8Fu4xXvZgcyb1Q='; \
         connect-src 'self'; frame-src 'self'; frame-ancestors {ancestors}"
    )
}

/// The Content-Security-Policy of `htmlfile`, which consists of scripts. They contain data of clients only as JSON.
pub(super) fn htmlfile_policy(ancestors: &str) -> String {
    format!("default-src 'none'; script-src 'unsafe-inline'; frame-ancestors {ancestors}")
}

/// `GET /ws/info`
pub(super) fn info(cookie_needed: bool) -> Response {
    let entropy = rand::random::<u32>();
    let info = format!(
        r#"{{"websocket":true,"cookie_needed":{cookie_needed},"origins":["*:*"],"entropy":{entropy}}}"#
    );
    ([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], info).into_response()
}

/// `GET /ws/iframe*.html`
pub(super) fn iframe(client_url: &str, ancestors: &str, headers: &HeaderMap) -> Response {
    let client = client_url.replace('&', "&amp;").replace('"', "&quot;");
    let page = format!(
        "<!DOCTYPE html>
<html>
<head>
  <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />
  <meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\" />
  <script>{BOOTSTRAP}</script>
  <script src=\"{client}\"></script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"
    );
    let mut response = cached(page, "text/html; charset=UTF-8", headers);
    if let Ok(policy) = HeaderValue::from_str(&page_policy(client_url, ancestors)) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// `GET /ws/sockjs.min.js`
pub(super) fn client(headers: &HeaderMap) -> Response {
    cached(CLIENT.to_owned(), "text/javascript; charset=UTF-8", headers)
}

/// The start of an `htmlfile` response, padded to more than 1 KiB because some browsers wait for that much.
pub(super) fn htmlfile_head(callback: &str) -> String {
    let page = format!(
        "<!doctype html>
<html><head>
  <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />
  <meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.{callback};
    c.start();
    function p(d) {{c.message(d);}};
    window.onload = function() {{c.stop();}};
  </script>"
    );
    format!("{page:<1200}\r\n\r\n")
}

/// Reads from the query the name of the callback in the parent page. The name becomes part of a script, so it may
/// contain only letters, digits, `-`, `_` and `.`. The error is a text for the client.
pub(super) fn callback(query: Option<&str>) -> Result<String, &'static str> {
    let fields = query.unwrap_or_default().split('&');
    let mut values =
        fields.filter_map(|field| field.split_once('=')).filter(|(name, _)| *name == "c");
    let Some((_, value)) = values.rfind(|(_, value)| !value.is_empty()) else {
        return Err("\"callback\" parameter required");
    };
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    match unescape(value) {
        Some(name) if name.bytes().all(plain) && name.len() <= 128 => Ok(name),
        _ => Err("invalid \"callback\" parameter"),
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut unescaped = Vec::new();
    while let Some(byte) = bytes.next() {
        unescaped.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(unescaped).ok()
}

fn cached(content: String, kind: &'static str, headers: &HeaderMap) -> Response {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    let etag = format!("\"{:016x}\"", hasher.finish());
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let mut response = match known.is_some_and(|known| known.contains(&etag)) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, kind)], content).into_response(),
    };
    for (name, value) in CACHED {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_a_name() {
        assert_eq!(callback(Some("c=%63allback")).as_deref(), Ok("callback"));
        assert_eq!(callback(Some("t=1&c=_jp.a1b2")).as_deref(), Ok("_jp.a1b2"));
        for missing in [None, Some(""), Some("c"), Some("c="), Some("d=x")] {
            assert_eq!(callback(missing), Err("\"callback\" parameter required"), "{missing:?}");
        }
        for bad in ["c=alert(1)", "c=a%3Cscript", "c=%", "c=%zz", "c=%ff", "c=a%20b"] {
            assert_eq!(callback(Some(bad)), Err("invalid \"callback\" parameter"), "{bad}");
        }
    }
}
