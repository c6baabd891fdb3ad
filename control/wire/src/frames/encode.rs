//! Encoding frames into bytes.

use bytes::Bytes;

use super::escape::Escaping;
use crate::{Command, Frame, Version, header};

/// Encodes a frame.
///
/// `content-length` is computed: it replaces the frame's header of that name, or comes last; an empty body has none. A
/// character that the version can't express in a header becomes a space (see `escape`), so that no header can inject
/// another header or frame. The body of a command that must not have one is omitted.
pub fn encode(frame: &Frame, version: Version) -> Bytes {
    let escaping = Escaping::of(frame.command, version);
    let body: &[u8] = if frame.command.may_have_body() { &frame.body } else { &[] };
    let mut out = Vec::with_capacity(128 + body.len());
    write_command(frame.command, &mut out);
    let mut wrote_length = body.is_empty();
    for (name, value) in frame.headers.iter() {
        if name != header::CONTENT_LENGTH {
            write_header(name, value, escaping, &mut out);
        } else if !wrote_length {
            write_content_length(body.len(), &mut out);
            wrote_length = true;
        }
    }
    if !wrote_length {
        write_content_length(body.len(), &mut out);
    }
    out.push(b'\n');
    out.extend_from_slice(body);
    out.push(0);
    Bytes::from(out)
}

pub(crate) fn write_command(command: Command, out: &mut Vec<u8>) {
    out.extend_from_slice(command.as_str().as_bytes());
    out.push(b'\n');
}

pub(crate) fn write_header(name: &str, value: &str, escaping: Escaping, out: &mut Vec<u8>) {
    escaping.write_name(name, out);
    out.push(b':');
    escaping.write_value(value, out);
    out.push(b'\n');
}

pub(crate) fn write_content_length(length: usize, out: &mut Vec<u8>) {
    write_header(header::CONTENT_LENGTH, &length.to_string(), Escaping::None, out);
}
