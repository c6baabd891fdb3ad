//! URLs in responses.

use std::fmt::Write;

use axum::http::HeaderValue;
use madang_wire::RoomName;

/// The path of a room.
pub(super) fn room(room: &RoomName) -> String {
    format!("/api/v1/rooms/{}", encoded(room.as_str()))
}

/// Percent-encodes all but unreserved characters (RFC 3986 §2.3), for use in a path or a query.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a String can't fail");
        }
    }
    encoded
}

/// The value of the header `Link` (RFC 8288) for the pages that exist.
pub(super) fn header(prev: Option<&str>, next: Option<&str>) -> Option<HeaderValue> {
    let link = |(target, rel): (Option<&str>, &str)| {
        target.map(|target| format!("<{target}>; rel=\"{rel}\""))
    };
    let links: Vec<String> =
        [(prev, "prev"), (next, "next")].into_iter().filter_map(link).collect();
    if links.is_empty() { None } else { HeaderValue::from_str(&links.join(", ")).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hangul_is_encoded() {
        let name = RoomName::parse("마당-1").unwrap();

        assert_eq!(room(&name), "/api/v1/rooms/%EB%A7%88%EB%8B%B9-1");
        assert_eq!(encoded("a b&c"), "a%20b%26c");
    }

    #[test]
    fn links_are_those_that_there_are() {
        assert_eq!(header(None, None), None);
        assert_eq!(
            header(Some("/a"), Some("/b")).unwrap(),
            r#"</a>; rel="prev", </b>; rel="next""#
        );
    }
}
