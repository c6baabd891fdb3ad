//! Madang's web client, embedded in the binary.
//!
//! The client is TypeScript (`web/client`), which Vite builds into a handful of files. `build.rs` runs that build, so
//! one `cargo build` builds the server and the page. This crate embeds the files and returns them by path:
//!
//! ```text
//! web/client/*.ts ── npm run build ──► web/dist ── rust-embed ──► asset("index.html")
//! ```
//!
//! The crate does not know HTTP: the server decides which request path gets which asset (`/` and `/rooms/*` get
//! `index.html`) and writes the caching headers. There is no directory listing, and no file system access at run time.

use std::borrow::Cow;
use std::fmt::Write;

use rust_embed::{EmbeddedFile, RustEmbed};

/// A file of the web client.
#[derive(Clone, Debug)]
pub struct Asset {
    /// The content.
    pub bytes: Cow<'static, [u8]>,
    /// For the `Content-Type` header.
    pub content_type: &'static str,
    /// For the `ETag` header, with its quotes. Computed from the content (RFC 9110 §8.8.3).
    pub etag: String,
    /// Whether the name contains a hash of the content, so that a cached copy never becomes stale (RFC 8246).
    pub immutable: bool,
}

/// The asset at `path`, relative to the web root and without a leading slash, e.g. `index.html`.
pub fn asset(path: &str) -> Option<Asset> {
    let EmbeddedFile { data, metadata } = Client::get(path)?;
    Some(Asset {
        bytes: data,
        content_type: content_type(path),
        etag: etag(&metadata.sha256_hash()),
        immutable: path.starts_with(HASHED_NAMES),
    })
}

/// The paths of all assets.
pub fn paths() -> impl Iterator<Item = Cow<'static, str>> {
    Client::iter()
}

#[derive(RustEmbed)]
#[folder = "dist"]
struct Client;

/// Vite's folder for files whose names contain a hash of their content.
const HASHED_NAMES: &str = "assets/";

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// Uses 128 bits of the SHA-256, which is enough to distinguish versions of a file.
fn etag(sha256: &[u8; 32]) -> String {
    let mut etag = String::from("\"");
    for byte in &sha256[..16] {
        write!(etag, "{byte:02x}").expect("writing to a String cannot fail");
    }
    etag.push('"');
    etag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_embedded_and_everything_it_loads_too() {
        let page = asset("index.html").unwrap();
        let html = std::str::from_utf8(&page.bytes).unwrap();

        let loaded: Vec<&str> = html
            .split(['"', '\''])
            .filter_map(|text| text.strip_prefix('/'))
            .filter(|path| path.contains('.'))
            .collect();

        assert_eq!(page.content_type, "text/html; charset=utf-8");
        assert!(loaded.iter().any(|path| path.ends_with(".js")), "{html}");
        for path in loaded {
            assert!(asset(path).is_some(), "{path} is missing");
        }
    }

    #[test]
    fn nothing_of_the_page_needs_an_inline_script() {
        let page = asset("index.html").unwrap();
        let html = std::str::from_utf8(&page.bytes).unwrap();

        for script in html.split("<script").skip(1) {
            let (attributes, rest) = script.split_once('>').unwrap();
            assert!(attributes.contains("src="), "{attributes}");
            assert!(rest.starts_with("</script>"), "{rest}");
        }
        assert!(!html.contains("<style"), "{html}");
    }

    #[test]
    fn only_files_named_by_their_content_are_immutable() {
        for path in paths() {
            let asset = asset(&path).unwrap();
            assert_eq!(asset.immutable, path.starts_with("assets/"), "{path}");
            assert_ne!(asset.content_type, "application/octet-stream", "{path}");
        }
    }

    #[test]
    fn an_etag_is_quoted_and_differs_between_files() {
        let etags: std::collections::BTreeSet<String> =
            paths().map(|path| asset(&path).unwrap().etag).collect();

        assert_eq!(etags.len(), paths().count());
        assert!(
            etags
                .iter()
                .all(|etag| etag.len() == 34 && etag.starts_with('"') && etag.ends_with('"'))
        );
    }

    #[test]
    fn other_paths_are_not_served() {
        for path in
            ["", "/index.html", "../Cargo.toml", "/etc/passwd", "assets", "assets/", "nothing.js"]
        {
            assert!(asset(path).is_none(), "{path}");
        }
    }
}
