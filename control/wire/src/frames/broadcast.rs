//! Fan-out: one message for many subscribers.

use std::sync::OnceLock;

use bytes::Bytes;

use super::encode::{write_command, write_content_length, write_header};
use super::escape::Escaping;
use crate::{Command, Headers, Version, header};

/// A MESSAGE for many subscribers. Its common headers are encoded once per version, and all subscribers share its body.
#[derive(Clone, Debug)]
pub struct Broadcast {
    headers: Headers,
    /// Per version, in the order of `Version`, filled on first use: the common headers, `content-length`, and the empty
    /// line.
    tails: [OnceLock<Bytes>; 3],
    body: Bytes,
    is_text: bool,
    /// Takes ownership of encoded headers.
    own: fn(Bytes) -> Bytes,
}

/// A frame that is ready to be sent: a part of its own, and parts that it shares with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    head: Bytes,
    tail: Bytes,
    body: Bytes,
    end: &'static [u8],
    is_text: bool,
}

impl Broadcast {
    /// Creates a message with these common headers. `content-length` is computed from the body.
    pub fn new(headers: Headers, body: Bytes) -> Broadcast {
        Broadcast::owned_by(|encoded| encoded, headers, body)
    }

    /// Like [`Broadcast::new`]; `own` gets the encoded headers and may wrap them, for example to count their memory.
    pub fn owned_by(own: fn(Bytes) -> Bytes, mut headers: Headers, body: Bytes) -> Broadcast {
        headers.remove(header::CONTENT_LENGTH);
        let is_text = std::str::from_utf8(&body).is_ok();
        Broadcast { headers, tails: Default::default(), body, is_text, own }
    }

    /// Encodes the start of a subscriber's frames, with its own headers, which take precedence over common ones of the
    /// same name. It can be used for every message.
    pub fn head(own: &[(&str, &str)], version: Version) -> Bytes {
        let escaping = Escaping::of(Command::Message, version);
        let mut head = Vec::with_capacity(64);
        write_command(Command::Message, &mut head);
        for (name, value) in own {
            write_header(name, value, escaping, &mut head);
        }
        head.into()
    }

    /// The frame of the subscriber with this [`Broadcast::head`].
    pub fn for_subscriber(&self, head: Bytes, version: Version) -> Encoded {
        let tail = self.tails[version as usize].get_or_init(|| self.tail(version)).clone();
        Encoded { head, tail, body: self.body.clone(), end: b"\0", is_text: self.is_text }
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    fn tail(&self, version: Version) -> Bytes {
        let escaping = Escaping::of(Command::Message, version);
        let mut out = Vec::with_capacity(128);
        for (name, value) in self.headers.iter() {
            write_header(name, value, escaping, &mut out);
        }
        if !self.body.is_empty() {
            write_content_length(self.body.len(), &mut out);
        }
        out.push(b'\n');
        (self.own)(out.into())
    }
}

impl Encoded {
    /// Wraps bytes written by [`encode`](crate::encode), or an EOL.
    pub fn whole(bytes: Bytes) -> Encoded {
        let is_text = std::str::from_utf8(&bytes).is_ok();
        Encoded { head: bytes, tail: Bytes::new(), body: Bytes::new(), end: b"", is_text }
    }

    /// The length on the wire, in bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.tail.len() + self.body.len() + self.end.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the frame is UTF-8 as a whole, so that it may be sent as a WebSocket text message (RFC 6455 §5.6).
    pub fn is_text(&self) -> bool {
        self.is_text
    }

    /// The parts to send, in this order. Some may be empty.
    pub fn into_parts(self) -> [Bytes; 4] {
        [self.head, self.tail, self.body, Bytes::from_static(self.end)]
    }

    /// The frame as one buffer; copies the body.
    pub fn to_bytes(&self) -> Bytes {
        [&self.head[..], &self.tail, &self.body, self.end].concat().into()
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
        let broadcast = Broadcast::new(headers.clone(), body.clone());

        for version in Version::ALL {
            for subscription in ["sub-0", "sub:1"] {
                let mut frame =
                    Frame::new(Command::Message).with_header("subscription", subscription);
                for (name, value) in headers.iter() {
                    frame.headers.push(name, value);
                }
                let frame = frame.with_body(body.clone());

                let head = Broadcast::head(&[("subscription", subscription)], version);
                let encoded = broadcast.for_subscriber(head, version);

                assert_eq!(encoded.to_bytes(), encode(&frame, version));
                assert_eq!(encoded.len(), encoded.to_bytes().len());
                assert!(encoded.is_text());
            }
        }
    }

    #[test]
    fn the_body_is_shared() {
        let body = Bytes::from(vec![0xFF; 1000]);
        let broadcast = Broadcast::new(Headers::new(), body.clone());

        let encoded = broadcast.for_subscriber(Broadcast::head(&[], Version::V1_2), Version::V1_2);

        assert_eq!(encoded.body.as_ptr(), body.as_ptr());
        assert!(!encoded.is_text());
    }
}
