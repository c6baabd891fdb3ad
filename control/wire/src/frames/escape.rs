//! Escaping of header names and values.
//!
//! | octet | 1.0 | 1.1 | 1.2 |
//! | --- | --- | --- | --- |
//! | LF | not possible | `\n` | `\n` |
//! | CR | not possible | not possible | `\r` |
//! | `:` | unescaped | `\c` | `\c` |
//! | `\` | unescaped | `\\` | `\\` |

use crate::{Command, Version};

/// The escaping of one frame's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escaping {
    /// STOMP 1.0, CONNECT, CONNECTED.
    None,
    /// STOMP 1.1.
    LineFeed,
    /// STOMP 1.2.
    LineFeedAndReturn,
}

impl Escaping {
    pub(crate) fn of(command: Command, version: Version) -> Escaping {
        match version {
            _ if !command.escapes_headers() => Escaping::None,
            Version::V1_0 => Escaping::None,
            Version::V1_1 => Escaping::LineFeed,
            Version::V1_2 => Escaping::LineFeedAndReturn,
        }
    }

    /// Writes a header name. A character that can't be expressed becomes a space, so that it can't start another line,
    /// header or frame.
    pub(crate) fn write_name(self, name: &str, out: &mut Vec<u8>) {
        for &byte in name.as_bytes() {
            match (byte, self) {
                (b':', Escaping::None) => out.push(b' '),
                _ => self.write_byte(byte, out),
            }
        }
    }

    /// Writes a header value. A character that can't be expressed becomes a space.
    pub(crate) fn write_value(self, value: &str, out: &mut Vec<u8>) {
        for &byte in value.as_bytes() {
            self.write_byte(byte, out);
        }
    }

    fn write_byte(self, byte: u8, out: &mut Vec<u8>) {
        match (byte, self) {
            (0, _) | (b'\n' | b'\r', Escaping::None) | (b'\r', Escaping::LineFeed) => {
                out.push(b' ')
            }
            (_, Escaping::None) => out.push(byte),
            (b'\n', _) => out.extend_from_slice(br"\n"),
            (b'\r', _) => out.extend_from_slice(br"\r"),
            (b':', _) => out.extend_from_slice(br"\c"),
            (b'\\', _) => out.extend_from_slice(br"\\"),
            _ => out.push(byte),
        }
    }

    /// Unescapes a name or value; `None` for an escape sequence that this version does not define, which is a fatal
    /// error (STOMP 1.2, "Value Encoding").
    pub(crate) fn read(self, text: &str) -> Option<String> {
        if self == Escaping::None || !text.contains('\\') {
            return Some(text.to_owned());
        }
        let mut plain = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '\\' {
                plain.push(c);
                continue;
            }
            match (chars.next()?, self) {
                ('n', _) => plain.push('\n'),
                ('c', _) => plain.push(':'),
                ('\\', _) => plain.push('\\'),
                ('r', Escaping::LineFeedAndReturn) => plain.push('\r'),
                _ => return None,
            }
        }
        Some(plain)
    }
}
