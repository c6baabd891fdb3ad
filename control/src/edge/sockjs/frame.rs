//! SockJS frames: `o`, `h`, `a["message",…]`, `c[code,"reason"]`, and the messages of clients.

use std::fmt::{self, Formatter, Write};

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

pub(super) const OPEN: &str = "o";
pub(super) const HEART_BEAT: &str = "h";

/// Why a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

impl Close {
    pub(super) const INTERRUPTED: Close = Close { code: 1002, reason: "Connection interrupted" };
    pub(super) const NOT_TEXT: Close = Close { code: 1003, reason: "SockJS carries text only" };
    pub(super) const SECOND_RECEIVER: Close =
        Close { code: 2010, reason: "Another connection still open" };
    pub(super) const SHORT_OF_MEMORY: Close =
        Close { code: 1013, reason: "The server is short of memory" };
    pub(super) const GO_AWAY: Close = Close { code: 3000, reason: "Go away!" };

    pub(super) fn to_frame(self) -> String {
        format!("c[{},{}]", self.code, quote(self.reason))
    }
}

/// Returns one frame with all `messages`.
pub(super) fn messages<T: AsRef<str>>(messages: impl IntoIterator<Item = T>) -> String {
    let mut frame = String::from("a[");
    for (index, message) in messages.into_iter().enumerate() {
        if index > 0 {
            frame.push(',');
        }
        frame.push_str(&quote(message.as_ref()));
    }
    frame.push(']');
    frame
}

/// Returns a JSON string that escapes also the characters that old browsers lose (sockjs-protocol, "unicode encoding").
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + text.len() / 8 + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0'..='\x1f'
            | '\u{7f}'
            | '\u{200c}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff0}'..='\u{ffff}' => {
                write!(quoted, "\\u{:04x}", u32::from(c)).expect("writing to a String can't fail");
            }
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The maximum number of messages in an array. Clients put what they have queued into one array; the rate limit of a
/// session is far lower.
const MOST_MESSAGES: usize = 1000;

/// Parses the body of an `xhr_send`: an array of messages.
pub(super) fn parse_array(payload: &[u8]) -> Option<Vec<String>> {
    serde_json::from_slice(payload).ok().map(|Messages(messages)| messages)
}

/// An array of at most [`MOST_MESSAGES`]: a string takes more memory than it takes characters to write an empty one.
struct Messages(Vec<String>);

impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Messages, D::Error> {
        deserializer.deserialize_seq(Array)
    }
}

struct Array;

impl<'de> Visitor<'de> for Array {
    type Value = Messages;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "an array of at most {MOST_MESSAGES} strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Messages, A::Error> {
        let mut messages = Vec::new();
        while let Some(message) = array.next_element()? {
            if messages.len() == MOST_MESSAGES {
                return Err(de::Error::invalid_length(MOST_MESSAGES + 1, &self));
            }
            messages.push(message);
        }
        Ok(Messages(messages))
    }
}

/// Parses a WebSocket message: an array of messages or a single one. An empty payload has no messages.
pub(super) fn parse(payload: &str) -> Option<Vec<String>> {
    if payload.is_empty() {
        return Some(Vec::new());
    }
    if payload.starts_with('[') {
        return parse_array(payload.as_bytes());
    }
    serde_json::from_str(payload).ok().map(|message| vec![message])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_json_that_gives_the_messages_back() {
        let said = [
            "",
            "안녕 \"마당\" \\ 😀",
            "\0\u{1}\n\r\t\u{7f}",
            "\u{200d}\u{2028}\u{206a}\u{feff}\u{ffff}",
        ];

        let frame = messages(said);

        let back: Vec<String> = serde_json::from_str(&frame[1..]).unwrap();
        assert_eq!(back, said);
        assert!(frame.contains("\\u0000\\u0001\\n\\r\\t\\u007f"), "{frame}");
        assert!(frame.contains("\\u200d\\u2028\\u206a\u{feff}\\uffff"), "{frame}");
        assert_eq!(messages([""; 0]), "a[]");
    }

    #[test]
    fn payloads_are_arrays_of_text_or_broken() {
        assert_eq!(parse_array(b"[\"a\",\"b\"]"), Some(vec!["a".into(), "b".into()]));
        for broken in ["", "[\"a", "\"a\"", "[1]", "{}", "[[\"a\"]]", "[\"\\ud800\"]"] {
            assert_eq!(parse_array(broken.as_bytes()), None, "{broken}");
        }
        assert_eq!(parse_array(b"[\"\xff\"]"), None);
        let array = |count| format!("[{}]", vec!["\"\""; count].join(","));
        assert_eq!(
            parse(&array(MOST_MESSAGES)).map(|messages| messages.len()),
            Some(MOST_MESSAGES)
        );
        assert_eq!(parse(&array(MOST_MESSAGES + 1)), None);
        assert_eq!(parse(""), Some(vec![]));
        assert_eq!(parse("\"a\""), Some(vec!["a".into()]));
        assert_eq!(parse("[\"a\"]"), Some(vec!["a".into()]));
        assert_eq!(parse("[\"a"), None);
        assert_eq!(parse("a"), None);
    }
}
