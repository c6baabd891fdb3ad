//! Parsing the ClientHello, as far as needed before the server keeps any state about the sender.
//!
//! ```text
//! record (RFC 6347 §4.1)            handshake (§4.2.2)                        ClientHello (§4.2.1)
//! type 22 │ version │ epoch 0 │     type 1 │ length │ message_seq │           version │ random │ session_id │
//! sequence number │ length          fragment_offset 0 │ fragment_length       cookie │ …
//! ```

/// The random bytes of a ClientHello, which distinguish one attempt of a client from the next.
pub(super) type Random = [u8; 32];

/// The cookie that a client must return to prove that it receives at its address.
pub(super) type Cookie = [u8; 32];

const RECORD_HEADER: usize = 13;
const HANDSHAKE_HEADER: usize = 12;
const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const APPLICATION_DATA: u8 = 23;
const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;
/// DTLS 1.0. A HelloVerifyRequest contains this version regardless of the version negotiated later (RFC 6347 §4.2.1).
const DTLS_1_0: [u8; 2] = [0xfe, 0xff];
const DTLS_1_2: [u8; 2] = [0xfe, 0xfd];
const FATAL: u8 = 2;

/// The maximum number of hellos per attempt. A client that needs more has a cookie that changes on the way.
const MOST_HELLOS: u16 = 4;

/// An unfragmented ClientHello. A fragmented one is not answered, because the server would have to keep fragments of
/// unauthenticated clients. Only hellos with post-quantum keys need fragments.
pub(super) struct ClientHello<'a> {
    /// The datagram that contains the hello.
    pub(super) datagram: &'a [u8],
    version: [u8; 2],
    /// The number of hellos that the client has sent before in this attempt.
    pub(super) message_seq: u16,
    pub(super) random: Random,
    pub(super) cookie: &'a [u8],
}

impl ClientHello<'_> {
    pub(super) fn parse(datagram: &[u8]) -> Option<ClientHello<'_>> {
        let (header, rest) = datagram.split_at_checked(RECORD_HEADER)?;
        if header[0] != HANDSHAKE || header[1] != DTLS_1_0[0] || header[3..5] != [0, 0] {
            return None;
        }
        let record = rest.get(..usize::from(u16::from_be_bytes([header[11], header[12]])))?;
        let (header, body) = record.split_at_checked(HANDSHAKE_HEADER)?;
        let is_whole = header[6..9] == [0; 3] && header[1..4] == header[9..12];
        if header[0] != CLIENT_HELLO || !is_whole {
            return None;
        }
        let (version_and_random, rest) = body.split_at_checked(34)?;
        let (version, random) = version_and_random.split_first_chunk::<2>()?;
        let random = random.try_into().ok()?;
        let (_session_id, rest) = counted(rest)?;
        let (cookie, _) = counted(rest)?;
        let message_seq = u16::from_be_bytes([header[4], header[5]]);
        let version = *version;
        let hello = ClientHello { datagram, version, message_seq, random, cookie };
        (message_seq < MOST_HELLOS).then_some(hello)
    }

    /// Whether the client supports only DTLS 1.0, which must not be used (RFC 8996 §3). DTLS versions count down.
    pub(super) fn is_too_old(&self) -> bool {
        self.version > DTLS_1_2
    }

    /// Appends an alert that tells the client to give up (RFC 5246 §7.2). It is not authenticated, like everything
    /// before encryption.
    pub(super) fn refuse_with(&self, alert: Alert, out: &mut Vec<u8>) {
        record(ALERT, DTLS_1_2, self.message_seq, &[FATAL, alert as u8], out);
    }

    /// Appends a HelloVerifyRequest (RFC 6347 §4.2.1), which is shorter than any hello. Its record number is the
    /// hello's message number, which no record of the following flight uses.
    pub(super) fn answer_with(&self, cookie: &Cookie, out: &mut Vec<u8>) {
        let mut body = DTLS_1_0.to_vec();
        body.push(cookie.len() as u8);
        body.extend(cookie);
        message(HELLO_VERIFY_REQUEST, DTLS_1_0, self.message_seq, &body, out);
    }

    /// Recreates the n-th hello of this attempt, without a cookie, with the parts that a server checks before it asks
    /// for a cookie.
    pub(super) fn former(&self, message_seq: u16) -> Vec<u8> {
        let mut body = DTLS_1_2.to_vec();
        body.extend(self.random);
        // No session, no cookie, one cipher suite (ECDHE-ECDSA, AES-128-GCM), no compression.
        body.extend([0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
        let mut out = Vec::new();
        message(CLIENT_HELLO, DTLS_1_2, message_seq, &body, &mut out);
        out
    }
}

/// The reason for refusing a client (RFC 5246 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alert {
    /// Client and server have no cipher suite or key exchange in common.
    HandshakeFailure = 40,
    /// Client and server have no version in common.
    ProtocolVersion = 70,
}

/// Whether a datagram belongs to the client's handshake rather than to its established session, while one replaces the
/// other.
pub(super) fn is_of_handshake(datagram: &[u8]) -> bool {
    match (datagram.first(), datagram.get(3..5)) {
        // Only handshake messages are unencrypted (epoch 0).
        (_, Some([0, 0])) => true,
        (Some(&ALERT | &APPLICATION_DATA), _) => false,
        _ => true,
    }
}

/// Splits off a vector with a one-byte length prefix.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    rest.split_at_checked(length.into())
}

/// Appends an unencrypted handshake message in a record of its own.
fn message(kind: u8, version: [u8; 2], seq: u16, body: &[u8], out: &mut Vec<u8>) {
    let [high, low] = (body.len() as u16).to_be_bytes();
    let mut fragment = vec![kind, 0, high, low];
    fragment.extend(seq.to_be_bytes());
    fragment.extend([0, 0, 0, 0, high, low]);
    fragment.extend(body);
    record(HANDSHAKE, version, seq, &fragment, out);
}

/// Appends an unencrypted record.
fn record(kind: u8, version: [u8; 2], seq: u16, fragment: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend(version);
    out.extend([0; 6]);
    out.extend(seq.to_be_bytes());
    out.extend((fragment.len() as u16).to_be_bytes());
    out.extend(fragment);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hello_is_longer_than_what_it_is_answered_with() {
        let hello = hello();
        let former = hello.former(0);
        let parsed = ClientHello::parse(&former).unwrap();
        assert_eq!((parsed.message_seq, parsed.random, parsed.cookie), (0, [7; 32], &[][..]));
        let mut answer = Vec::new();
        parsed.answer_with(&[1; 32], &mut answer);

        assert!(answer.len() < former.len(), "{} {}", answer.len(), former.len());
    }

    #[test]
    fn what_is_cut_off_or_in_fragments_is_no_hello() {
        let whole = hello().former(0);
        for end in 0..whole.len() {
            assert!(ClientHello::parse(&whole[..end]).is_none(), "{end}");
        }
        let mut fragment = whole.clone();
        fragment[24] -= 1;
        assert!(ClientHello::parse(&fragment).is_none());
        let mut encrypted = whole;
        encrypted[4] = 1;
        assert!(ClientHello::parse(&encrypted).is_none());
    }

    #[test]
    fn versions_count_down() {
        for (version, is_too_old) in
            [([0xfe, 0xff], true), (DTLS_1_2, false), ([0xfe, 0xfc], false)]
        {
            assert_eq!(ClientHello { version, ..hello() }.is_too_old(), is_too_old);
        }
    }

    fn hello() -> ClientHello<'static> {
        let random = [7; 32];
        ClientHello { datagram: &[], version: DTLS_1_2, message_seq: 1, random, cookie: &[] }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(datagram: Vec<u8>) {
            ClientHello::parse(&datagram);
            is_of_handshake(&datagram);
        }
    }
}
