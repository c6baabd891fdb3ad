//! Determines the protocol of a connection to a port for HTTPS by its first bytes.
//!
//! ```text
//! TLS       16 …                                               a handshake record, RFC 8446 §5.1
//! TURN      type(2) length(2) 21 12 A4 42 …                    STUN on a stream, RFC 8489 §6.2.2
//! ICE-TCP   frame(2) 00 01 length(2) 21 12 A4 42 …             a check after its length, RFC 4571 §2, RFC 6544 §10.1
//! HTTP      anything else: methods consist of letters, and HTTP answers garbage with an error
//! ```

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Tls,
    /// TURN, or only STUN, without TLS.
    Turn,
    /// Media of a peer over ICE-TCP; the first check has arrived as a whole.
    Ice,
    /// HTTP without TLS.
    Http,
}

/// This many bytes always suffice to determine the protocol.
pub(super) const LONGEST: usize = FRAME + LONGEST_CHECK;

/// Size of the length before a datagram, in bytes.
const FRAME: usize = 2;
/// Minimum length of an ICE check, in bytes: a header, USERNAME and MESSAGE-INTEGRITY (RFC 8445 §7.2.2). It has few
/// other attributes.
const SHORTEST_CHECK: usize = STUN_HEADER + 8 + 24;
/// Maximum length of an ICE check, in bytes: far more than checks have. With its length before it, this is 1 KiB, the
/// memory of a connection while its protocol is unknown.
const LONGEST_CHECK: usize = 1022;
/// RFC 8489 §5.
const STUN_HEADER: usize = 20;
const BINDING_REQUEST: [u8; 2] = [0, 1];
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
/// The first byte of a STUN message is below this; that of an HTTP method is a letter.
const NOT_STUN: u8 = 0x40;
/// The first byte of a TLS connection. No HTTP method and no TURN message begins with it.
const HANDSHAKE: u8 = 0x16;

impl Protocol {
    /// Returns the protocol that the first bytes of a connection determine, or `None` if it takes more of them.
    pub(super) fn of(first: &[u8]) -> Option<Protocol> {
        if *first.first()? == HANDSHAKE {
            return Some(Protocol::Tls);
        }
        match (turn(first), check(first)) {
            (Match::Whole, _) => Some(Protocol::Turn),
            (_, Match::Whole) => Some(Protocol::Ice),
            (Match::Broken, Match::Broken) => Some(Protocol::Http),
            (Match::SoFar, _) | (_, Match::SoFar) => None,
        }
    }
}

/// Whether a message with this first byte may be STUN.
pub(super) fn may_be_stun(first: u8) -> bool {
    first < NOT_STUN
}

/// How bytes match a pattern.
#[derive(PartialEq, Eq)]
enum Match {
    Broken,
    /// They match, but more bytes are needed.
    SoFar,
    Whole,
}

/// Matches a STUN header up to its magic cookie.
fn turn(first: &[u8]) -> Match {
    let is_broken = first.first().is_some_and(|byte| !may_be_stun(*byte))
        || first.get(3).is_some_and(|length| !length.is_multiple_of(4));
    if is_broken {
        return Match::Broken;
    }
    cookie(first, 4)
}

/// Matches a Binding request after its length.
fn check(first: &[u8]) -> Match {
    let number = |at: usize| {
        let bytes = first.get(at..at + 2)?;
        Some(usize::from(bytes[0]) << 8 | usize::from(bytes[1]))
    };
    let frame = number(0);
    let stun = number(4).map(|length| length + STUN_HEADER);
    let is_broken = usize::from(first[0]) > LONGEST_CHECK >> 8
        || frame.is_some_and(|frame| !(SHORTEST_CHECK..=LONGEST_CHECK).contains(&frame))
        || first.iter().skip(FRAME).zip(&BINDING_REQUEST).any(|(byte, wanted)| byte != wanted)
        || stun.is_some_and(|stun| Some(stun) != frame);
    if is_broken {
        return Match::Broken;
    }
    match cookie(first, 6) {
        Match::Whole if frame.is_some_and(|frame| first.len() < FRAME + frame) => Match::SoFar,
        cookie => cookie,
    }
}

fn cookie(first: &[u8], at: usize) -> Match {
    let mut bytes = first.iter().skip(at).zip(&MAGIC_COOKIE);
    if bytes.any(|(byte, wanted)| byte != wanted) {
        return Match::Broken;
    }
    match first.len() < at + MAGIC_COOKIE.len() {
        true => Match::SoFar,
        false => Match::Whole,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stun(kind: u16, length: usize) -> Vec<u8> {
        let mut message = kind.to_be_bytes().to_vec();
        message.extend((length as u16).to_be_bytes());
        message.extend(MAGIC_COOKIE);
        message.resize(STUN_HEADER + length, 0x5a);
        message
    }

    fn framed(datagram: &[u8]) -> Vec<u8> {
        let length = (datagram.len() as u16).to_be_bytes();
        length.iter().chain(datagram).copied().collect()
    }

    #[test]
    fn the_first_bytes_tell_the_protocol() {
        let table: &[(&[u8], Option<Protocol>)] = &[
            (b"", None),
            (b"\x16", Some(Protocol::Tls)),
            (b"\x16\x03\x01", Some(Protocol::Tls)),
            (b"G", Some(Protocol::Http)),
            (b"POST /api HTTP/1.1\r\n", Some(Protocol::Http)),
            // An empty line may come before a request: RFC 9112 §2.2.
            (b"\r\nGET / HTTP/1.1\r\n", Some(Protocol::Http)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(Protocol::Http)),
            (b"SSH-2.0-x\r\n", Some(Protocol::Http)),
            (b"\xff\xff", Some(Protocol::Http)),
            (b"\0", None),
            (b"\0\0\0\0\0\0\0\0", Some(Protocol::Http)),
            // Binding, Allocate, Send indication, ConnectionBind.
            (b"\0\x01\0\0\x21\x12\xa4", None),
            (b"\0\x01\0\0\x21\x12\xa4\x42", Some(Protocol::Turn)),
            (b"\0\x03\0\x08\x21\x12\xa4\x42", Some(Protocol::Turn)),
            (b"\0\x16\0\x60\x21\x12\xa4\x42", Some(Protocol::Turn)),
            (b"\0\x0b\x02\x04\x21\x12\xa4\x42\0", Some(Protocol::Turn)),
            // Attributes end at multiples of four bytes.
            (b"\0\x03\0\x09", Some(Protocol::Http)),
            (b"\0\x01\0\0\x21\x12\xa4\x43", Some(Protocol::Http)),
            (b"\0\x4c\0\x01\0\x38\x21\x12\xa4\x42", None),
            // Not the length of the frame; too short for a check; no request; too long.
            (b"\0\x4c\0\x01\0\x34", Some(Protocol::Http)),
            (b"\0\x14\0\x01\0\0\x21\x12", Some(Protocol::Http)),
            (b"\0\x4c\x01\x01\0\x38\x21\x12", Some(Protocol::Http)),
            (b"\x03\xff\0\x01\x03\xeb", Some(Protocol::Http)),
            (b"\x04", None),
            (b"\x04\0\0\x01\x03\xec", Some(Protocol::Http)),
            // A DTLS record in a frame: nothing of media comes before a check.
            (b"\0\xc8\x16\xfe\xfd\0", Some(Protocol::Http)),
        ];
        for (first, protocol) in table {
            assert_eq!(Protocol::of(first), *protocol, "{first:02x?}");
        }
    }

    #[test]
    fn checks_of_every_length_are_awaited_as_a_whole() {
        for length in (SHORTEST_CHECK..=LONGEST_CHECK).step_by(4) {
            let check = framed(&stun(1, length - STUN_HEADER));
            for end in 0..check.len() {
                assert_eq!(Protocol::of(&check[..end]), None, "{end} of {length}");
            }
            assert_eq!(Protocol::of(&check), Some(Protocol::Ice), "{length}");
        }
    }

    /// The beginning of a connection of each kind, or of none.
    fn beginning() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(0_u8..5, 0..40),
            (0_u16..0x4000, 0_usize..300).prop_map(|(kind, words)| stun(kind, 4 * words)),
            (0_usize..300).prop_map(|words| framed(&stun(1, 4 * words))),
            Just(b"GET /rooms/a HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
            Just(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec()),
        ]
    }

    proptest! {
        /// A decision on a prefix holds for everything that can follow it.
        #[test]
        fn no_prefix_is_decided_wrongly(
            mut bytes in beginning(),
            change in (any::<prop::sample::Index>(), any::<u8>(), any::<bool>()),
            rest in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let (at, byte, is_changed) = change;
            if is_changed && !bytes.is_empty() {
                let at = at.index(bytes.len().min(12));
                bytes[at] = byte;
            }
            bytes.extend(rest);
            let mut said = None;
            for end in 0..=bytes.len() {
                let now = Protocol::of(&bytes[..end]);
                prop_assert!(said.is_none() || said == now, "{said:?} at first, {now:?} at {end}");
                said = now;
            }
            prop_assert!(said.is_some() || bytes.len() < LONGEST);
            prop_assert_eq!(said, naively(&bytes));
        }
    }

    /// Determines the protocol naively: whether more bytes are needed is found by trying all that may follow.
    fn naively(bytes: &[u8]) -> Option<Protocol> {
        let has_cookie = |at| bytes.get(at..at + 4) == Some(&MAGIC_COOKIE);
        let is_stun = bytes.first().is_some_and(|first| *first < 0x40);
        let frame = bytes.get(..2).map(|two| 256 * usize::from(two[0]) + usize::from(two[1]));
        let inner = bytes.get(4..6).map(|two| 256 * usize::from(two[0]) + usize::from(two[1]));
        let is_check = bytes.get(2..4) == Some(&[0, 1])
            && has_cookie(6)
            && frame.is_some_and(|frame| (52..=1022).contains(&frame))
            && inner.map(|inner| inner + 20) == frame;
        if bytes.first() == Some(&0x16) {
            return Some(Protocol::Tls);
        } else if is_stun && has_cookie(4) && bytes[3].is_multiple_of(4) {
            return Some(Protocol::Turn);
        } else if is_check {
            return (bytes.len() >= frame? + 2).then_some(Protocol::Ice);
        }
        // Tries the possible continuations to find whether it could still become something else.
        let could_be = |wanted: &[Option<u8>]| {
            bytes.len() < wanted.len()
                && bytes.iter().zip(wanted).all(|(byte, wanted)| wanted.is_none_or(|w| w == *byte))
        };
        let [a, b, c, d] = MAGIC_COOKIE.map(Some);
        let could_be_turn = (is_stun || bytes.is_empty())
            && bytes.get(3).is_none_or(|length| length.is_multiple_of(4))
            && could_be(&[None, None, None, None, a, b, c, d]);
        let could_be_check = (52..=1022).any(|frame: u16| {
            let [f, g] = frame.to_be_bytes().map(Some);
            let [h, i] = (frame - 20).to_be_bytes().map(Some);
            could_be(&[f, g, Some(0), Some(1), h, i, a, b, c, d])
        });
        (!could_be_turn && !could_be_check).then_some(Protocol::Http)
    }
}
