//! The source of public keys.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::Url;

use crate::secrets::shown_url;

/// The location of a JWK set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// A file.
    File(PathBuf),
    /// An `https://` or `http://` URL.
    Url(Url),
}

impl JwksSource {
    /// Parses a source: text with a scheme is a URL, everything else a path. The error text continues a sentence that
    /// starts with the configuration key.
    ///
    /// # Errors
    /// When the text is a URL that can't be fetched.
    pub fn parse(text: &str) -> Result<JwksSource, String> {
        if !text.contains("://") {
            return Ok(JwksSource::File(PathBuf::from(text)));
        }
        let url = Url::parse(text).map_err(|error| format!("can't be read as a URL: {error}"))?;
        let is_fetchable = matches!(url.scheme(), "https" | "http") && url.has_host();
        if is_fetchable && url.username().is_empty() && url.password().is_none() {
            return Ok(JwksSource::Url(url));
        }
        Err("must be a path, or an https:// URL without user and password".to_owned())
    }

    /// Whether an attacker on the network path could substitute keys, because the URL is fetched from another host
    /// without TLS.
    pub fn is_forgeable(&self) -> bool {
        let JwksSource::Url(url) = self else {
            return false;
        };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        url.scheme() == "http" && !is_here
    }
}

/// Omits the values of a URL's query.
impl fmt::Display for JwksSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JwksSource::File(path) => path.display().fmt(f),
            JwksSource::Url(url) => f.write_str(&shown_url(url.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_a_scheme_and_all_else_is_a_path() {
        let path = JwksSource::parse("keys/마당.json").unwrap();
        assert_eq!(path, JwksSource::File("keys/마당.json".into()));
        for (text, is_forgeable) in [
            ("https://id.example/keys", false),
            ("http://127.0.0.1:8000/keys", false),
            ("http://[::1]/keys", false),
            ("http://localhost/keys", false),
            ("http://id.example/keys", true),
            ("http://127.0.0.1.example/keys", true),
        ] {
            let source = JwksSource::parse(text).unwrap();
            assert_eq!(source.to_string(), text);
            assert_eq!(source.is_forgeable(), is_forgeable, "{text}");
        }
        for text in ["ftp://a/b", "https://", "https://user:word@a/b", "file:///etc/keys"] {
            assert!(JwksSource::parse(text).is_err(), "{text}");
        }
    }
}
