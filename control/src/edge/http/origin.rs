//! The origins whose pages may open a WebSocket.
//!
//! The same-origin policy does not cover WebSockets: any page that a user visits could open one to this server, from
//! inside the user's network. Browsers send the origin of the page (RFC 6455 §10.2). Other programs send none, and do
//! not pose this risk.

use axum::http::{HeaderMap, Uri, header};

/// The response to a page that is refused.
pub(crate) const REFUSAL: &str = "This page's origin may not connect here. Add it to the key \
                                  `http.allowed_origins` to allow it.\n";

/// The allowed origins: the server's own, and those in the configuration.
#[derive(Clone, Debug)]
pub struct Origins {
    /// `scheme://host[:port]`, in lower case; `*` allows every origin.
    allowed: Vec<String>,
}

impl Origins {
    /// Allows the origins in `allowed` besides the server's own.
    pub fn new(allowed: &[String]) -> Origins {
        Origins { allowed: allowed.iter().map(|origin| origin.to_ascii_lowercase()).collect() }
    }

    /// The allowed origins in the form of the CSP directive `frame-ancestors` (CSP 3 §6.4.2).
    pub(crate) fn frame_ancestors(&self) -> String {
        ["'self'"]
            .into_iter()
            .chain(self.allowed.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Whether a request with these headers may open a WebSocket.
    pub fn allow(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return true;
        };
        let Ok(origin) = origin.to_str().map(str::to_ascii_lowercase) else {
            return false;
        };
        let named = |allowed: &String| allowed == "*" || *allowed == origin;
        self.allowed.iter().any(named) || is_own(&origin, headers)
    }
}

/// Whether the page came from the host to which the request was sent. The scheme is not compared: behind a proxy that
/// terminates TLS, the page is `https` and the request is not.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let (Some(host), Ok(origin)) = (host, origin.parse::<Uri>()) else {
        return false;
    };
    let (Some(scheme), Some(authority)) = (origin.scheme_str(), origin.authority()) else {
        return false;
    };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let host = host.to_ascii_lowercase();
    host.trim_end_matches(default_port) == authority.as_str().trim_end_matches(default_port)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_rule() {
        // origin, host, allowed, may connect
        let rules: &[(Option<&str>, &str, &[&str], bool)] = &[
            (None, "localhost:8080", &[], true),
            (Some("http://localhost:8080"), "localhost:8080", &[], true),
            (Some("http://LocalHost:8080"), "localhost:8080", &[], true),
            (Some("http://[::1]:8080"), "[::1]:8080", &[], true),
            (Some("https://meet.example.com"), "meet.example.com", &[], true),
            (Some("https://meet.example.com"), "meet.example.com:443", &[], true),
            (Some("http://meet.example.com:80"), "meet.example.com", &[], true),
            (Some("http://localhost:8081"), "localhost:8080", &[], false),
            (Some("http://127.0.0.1:8080"), "localhost:8080", &[], false),
            (Some("https://evil.example"), "meet.example.com", &[], false),
            (Some("https://meet.example.com.evil.example"), "meet.example.com", &[], false),
            (Some("null"), "localhost:8080", &[], false),
            (Some("file://"), "localhost:8080", &[], false),
            (Some("chrome-extension://localhost:8080"), "localhost:8080", &[], false),
            (Some(""), "localhost:8080", &[], false),
            (Some("null"), "localhost:8080", &["*"], true),
            (Some("https://app.example"), "localhost:8080", &["https://App.example"], true),
            (Some("https://app.example:444"), "localhost:8080", &["https://app.example"], false),
            (Some("http://app.example"), "localhost:8080", &["https://app.example"], false),
        ];
        for (origin, host, allowed, expected) in rules {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            let allowed: Vec<String> = allowed.iter().map(|text| (*text).to_owned()).collect();

            let may_connect = Origins::new(&allowed).allow(&headers);

            assert_eq!(may_connect, *expected, "{origin:?} at {host}, allowed {allowed:?}");
        }
    }

    #[test]
    fn an_origin_that_is_not_text_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        headers.insert(header::ORIGIN, HeaderValue::from_bytes(b"http://localhost\xff").unwrap());

        assert!(!Origins::new(&[]).allow(&headers));
    }
}
