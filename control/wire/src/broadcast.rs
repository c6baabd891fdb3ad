//! One message for many subscribers.

use bytes::{BufMut, Bytes, BytesMut};

use crate::encode::{write_command, write_content_length, write_header};
use crate::escape::Escaping;
use crate::{Command, Headers, Version, header};

/// A MESSAGE whose common headers are written once per version, and whose body is shared by all who get it.
#[derive(Clone, Debug)]
pub struct Broadcast {
    /// By version, in the order of `Version`: the common headers, `content-length`, and the empty line.
    tails: [Bytes; 3],
    body: Bytes,
    is_text: bool,
}

/// A frame that is ready to be sent: what is its own, and what it shares with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    head: Bytes,
    tail: Bytes,
    body: Bytes,
    is_text: bool,
}

impl Broadcast {
    /// A message with these headers for everybody. `content-length` is set from the body.
    pub fn new(headers: &Headers, body: Bytes) -> Broadcast {
        let tail = |version| {
            let escaping = Escaping::of(Command::Message, version);
            let mut out = Vec::new();
            for (name, value) in headers.iter().filter(|(n, _)| *n != header::CONTENT_LENGTH) {
                write_header(name, value, escaping, &mut out);
            }
            if !body.is_empty() {
                write_content_length(body.len(), &mut out);
            }
            out.push(b'\n');
            Bytes::from(out)
        };
        let tails = [tail(Version::V1_0), tail(Version::V1_1), tail(Version::V1_2)];
        let is_text = std::str::from_utf8(&body).is_ok();
        Broadcast { tails, body, is_text }
    }

    /// The frame for one subscriber, with its own headers first: they count before common ones of the same name.
    pub fn for_subscriber(&self, own: &[(&str, &str)], version: Version) -> Encoded {
        let escaping = Escaping::of(Command::Message, version);
        let mut head = Vec::with_capacity(96);
        write_command(Command::Message, &mut head);
        for (name, value) in own {
            write_header(name, value, escaping, &mut head);
        }
        let tail = match version {
            Version::V1_0 => &self.tails[0],
            Version::V1_1 => &self.tails[1],
            Version::V1_2 => &self.tails[2],
        };
        Encoded {
            head: head.into(),
            tail: tail.clone(),
            body: self.body.clone(),
            is_text: self.is_text,
        }
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl Encoded {
    /// Its length on the wire, in bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.tail.len() + self.body.len() + 1
    }

    /// Never: a frame has at least its command.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether it is UTF-8 as a whole, and so may go into a WebSocket text message (RFC 6455 §5.6).
    pub fn is_text(&self) -> bool {
        self.is_text
    }

    /// The frame in one piece. Copies the body: to be called when it is written, not when it is queued.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.len());
        out.put_slice(&self.head);
        out.put_slice(&self.tail);
        out.put_slice(&self.body);
        out.put_u8(0);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Frame, encode};

    #[test]
    fn every_subscriber_gets_the_frame_that_encode_would_write() {
        let headers: Headers =
            [("destination", "/topic/회의"), ("x", "a:b\r\n\\")].into_iter().collect();
        let body = Bytes::from_static("안녕하세요".as_bytes());
        let broadcast = Broadcast::new(&headers, body.clone());

        for version in Version::ALL {
            for subscription in ["sub-0", "sub:1"] {
                let mut frame =
                    Frame::new(Command::Message).with_header("subscription", subscription);
                for (name, value) in headers.iter() {
                    frame.headers.push(name, value);
                }
                let frame = frame.with_body(body.clone());

                let encoded = broadcast.for_subscriber(&[("subscription", subscription)], version);

                assert_eq!(encoded.to_bytes(), encode(&frame, version));
                assert_eq!(encoded.len(), encoded.to_bytes().len());
                assert!(encoded.is_text());
            }
        }
    }

    #[test]
    fn the_body_is_shared() {
        let body = Bytes::from(vec![0xFF; 1000]);
        let broadcast = Broadcast::new(&Headers::new(), body.clone());

        let encoded = broadcast.for_subscriber(&[], Version::V1_2);

        assert_eq!(encoded.body.as_ptr(), body.as_ptr());
        assert!(!encoded.is_text());
    }
}
