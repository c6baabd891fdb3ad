//! The first message of a handshake, as far as it must be understood before anything is kept of its sender.
//!
//! ```text
//! record (RFC 6347 §4.1)            handshake (§4.2.2)                        ClientHello (§4.2.1)
//! type 22 │ version │ epoch 0 │     type 1 │ length │ message_seq │           version │ random │ session_id │
//! sequence number │ length          fragment_offset 0 │ fragment_length       cookie │ …
//! ```

/// The random bytes that tell one attempt of a client from the next.
pub(super) type Random = [u8; 32];

/// What a client must show to prove that it receives at its address.
pub(super) type Cookie = [u8; 32];

const RECORD_HEADER: usize = 13;
const HANDSHAKE_HEADER: usize = 12;
const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const APPLICATION_DATA: u8 = 23;
const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;
/// DTLS 1.0, which a HelloVerifyRequest names whatever comes later (RFC 6347 §4.2.1).
const DTLS_1_0: [u8; 2] = [0xfe, 0xff];
const DTLS_1_2: [u8; 2] = [0xfe, 0xfd];
const FATAL: u8 = 2;

/// A client that is sent back more often has a cookie that changes on the way.
const MOST_HELLOS: u16 = 4;

/// A ClientHello in one piece. One in fragments, which nobody needs whose hello has no post-quantum keys, is not answered:
/// its pieces would have to be kept for strangers.
pub(super) struct ClientHello<'a> {
    /// What it came in.
    pub(super) datagram: &'a [u8],
    version: [u8; 2],
    /// How many hellos the client has sent before, in this attempt.
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

    /// Whether the client has nothing but DTLS 1.0, which is not to be spoken any more (RFC 8996 §3). Versions count down.
    pub(super) fn is_too_old(&self) -> bool {
        self.version > DTLS_1_2
    }

    /// Appends an alert that tells the client to give up (RFC 5246 §7.2). Like whatever comes before encryption, it may be
    /// somebody else's word.
    pub(super) fn refuse_with(&self, alert: Alert, out: &mut Vec<u8>) {
        record(ALERT, DTLS_1_2, self.message_seq, &[FATAL, alert as u8], out);
    }

    /// Appends a HelloVerifyRequest (RFC 6347 §4.2.1), shorter than any hello. Its record has the number of the message,
    /// which no record of the flight that follows has.
    pub(super) fn answer_with(&self, cookie: &Cookie, out: &mut Vec<u8>) {
        let mut body = DTLS_1_0.to_vec();
        body.push(cookie.len() as u8);
        body.extend(cookie);
        message(HELLO_VERIFY_REQUEST, DTLS_1_0, self.message_seq, &body, out);
    }

    /// The hello without a cookie that must have come before, the n-th, as far as a server looks at it before it asks for
    /// a cookie.
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

/// Why a client is not served (RFC 5246 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alert {
    /// There is no cipher suite, or key exchange, that both have.
    HandshakeFailure = 40,
    /// There is no version that both have.
    ProtocolVersion = 70,
}

/// Which of a client's two sessions a datagram belongs to, while one replaces the other.
pub(super) fn is_of_handshake(datagram: &[u8]) -> bool {
    match (datagram.first(), datagram.get(3..5)) {
        // Before encryption, there is nothing but the handshake.
        (_, Some([0, 0])) => true,
        (Some(&ALERT | &APPLICATION_DATA), _) => false,
        _ => true,
    }
}

/// A vector with its length in front, and what follows.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    rest.split_at_checked(length.into())
}

/// A handshake message in a record of its own, both unencrypted.
fn message(kind: u8, version: [u8; 2], seq: u16, body: &[u8], out: &mut Vec<u8>) {
    let [high, low] = (body.len() as u16).to_be_bytes();
    let mut fragment = vec![kind, 0, high, low];
    fragment.extend(seq.to_be_bytes());
    fragment.extend([0, 0, 0, 0, high, low]);
    fragment.extend(body);
    record(HANDSHAKE, version, seq, &fragment, out);
}

/// A record without encryption.
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
