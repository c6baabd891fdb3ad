//! Framing of messages in a stream by their length fields (RFC 8489 §6.2.2, RFC 8656 §12.5).

use bytes::{Bytes, BytesMut};

/// The longest message accepted from a stream, in bytes. It fits a full packet in a Send indication, or a request with
/// the longest credentials. A longer one is a [`FramingError`].
pub(crate) const MAX_MESSAGE: usize = 4096;

/// The number of bytes that contain the length of any message.
const HEAD: usize = 4;
/// The length of a STUN header; the length field counts only what follows it.
const STUN_HEADER: usize = 20;

/// The stream is malformed, so that the start of the next message is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FramingError {
    /// RFC 8656 §12: the first two bits distinguish STUN and ChannelData; other values are unassigned.
    #[error("the message is neither STUN nor ChannelData")]
    Unknown,
    #[error("the message has {0} bytes; the maximum is {MAX_MESSAGE}")]
    TooLong(usize),
}

/// Splits the first complete message off the received bytes; `None` until it has arrived.
pub(crate) fn next_message(received: &mut BytesMut) -> Result<Option<Bytes>, FramingError> {
    let Some(&[first, _, high, low]) = received.first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let announced = usize::from(u16::from_be_bytes([high, low]));
    let length = match first {
        0x00..=0x03 => STUN_HEADER + announced,
        0x40..=0x4f => (HEAD + announced).next_multiple_of(4),
        _ => return Err(FramingError::Unknown),
    };
    if length > MAX_MESSAGE {
        return Err(FramingError::TooLong(length));
    }
    Ok((received.len() >= length).then(|| received.split_to(length).freeze()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn messages(stream: &[u8], cut: usize) -> Result<Vec<Bytes>, FramingError> {
        let mut received = BytesMut::new();
        let mut messages = Vec::new();
        for piece in stream.chunks(cut) {
            received.extend_from_slice(piece);
            while let Some(message) = next_message(&mut received)? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    #[test]
    fn messages_come_out_however_the_stream_is_cut() {
        let stun = [&[0, 1, 0, 4][..], &[7; 20]].concat();
        let padded = [0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0];
        let stream = [&stun[..], &padded, &stun, &padded].concat();

        for cut in 1..=stream.len() {
            assert_eq!(messages(&stream, cut).unwrap(), [&stun[..], &padded, &stun, &padded]);
        }
    }

    #[test]
    fn what_can_not_be_a_message_is_refused_before_it_is_there() {
        assert_eq!(messages(b"SSH-2.0-", 8), Err(FramingError::Unknown));
        assert_eq!(messages(&[0x16, 3, 1, 2], 4), Err(FramingError::Unknown));
        // "GE" lies in the range of channel numbers.
        assert_eq!(messages(b"GET / HTTP/1.1", 14), Err(FramingError::TooLong(21_540)));
        assert_eq!(messages(&[0x40, 0, 0xff, 0xff], 4), Err(FramingError::TooLong(65_540)));
        assert_eq!(messages(&[0, 1, 0x10, 0], 4), Err(FramingError::TooLong(4116)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_wait_for_more_than_a_message(stream: Vec<u8>, cut in 1..50usize) {
            let mut received = BytesMut::new();
            for piece in stream.chunks(cut) {
                received.extend_from_slice(piece);
                loop {
                    match next_message(&mut received) {
                        Ok(Some(message)) => prop_assert!(message.len() <= MAX_MESSAGE),
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
                prop_assert!(received.len() < MAX_MESSAGE);
            }
        }
    }
}
