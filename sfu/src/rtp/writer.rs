//! Writes the header of a forwarded packet straight into the send buffer.

use super::FIXED_LEN;
use super::extension::{ONE_BYTE, TWO_BYTE};

/// The longest header that [`write_header`] writes, in bytes. It leaves 240 for extension elements, more than all of
/// WebRTC's together need; elements that do not fit are omitted.
pub(crate) const MAX_HEADER_LEN: usize = 256;

/// Where the extension elements start, behind the profile and length.
const ELEMENTS: usize = FIXED_LEN + 4;

/// Writes an RTP header without CSRCs to the start of `buf`, and returns its length.
///
/// Extension elements are `(id, data)`. They get the one-byte form of RFC 8285 if all ids are 1 to 14 and all lengths 1
/// to 16 bytes, else the two-byte form. An element that fits neither form (id 0, more than 255 bytes) is omitted.
///
/// # Panics
/// If `buf` is shorter than [`MAX_HEADER_LEN`].
pub(crate) fn write_header<'a>(
    buf: &mut [u8],
    marker: bool,
    payload_type: u8,
    sequence_number: u16,
    timestamp: u32,
    ssrc: u32,
    extensions: impl Iterator<Item = (u8, &'a [u8])> + Clone,
) -> usize {
    let buf: &mut [u8; MAX_HEADER_LEN] =
        buf.first_chunk_mut().expect("the caller left room for the longest header");

    let header_len = write_extensions(buf, extensions);
    buf[0] = if header_len > FIXED_LEN { 0x90 } else { 0x80 };
    buf[1] = u8::from(marker) << 7 | payload_type & 0x7f;
    buf[2..4].copy_from_slice(&sequence_number.to_be_bytes());
    buf[4..8].copy_from_slice(&timestamp.to_be_bytes());
    buf[8..12].copy_from_slice(&ssrc.to_be_bytes());
    header_len
}

/// Returns the end of the header, which is the end of the fixed part if there are no elements.
fn write_extensions<'a>(
    buf: &mut [u8; MAX_HEADER_LEN],
    extensions: impl Iterator<Item = (u8, &'a [u8])> + Clone,
) -> usize {
    let writable = extensions.filter(|(id, data)| *id != 0 && data.len() <= 255);
    let one_byte = writable.clone().all(|(id, data)| id < 15 && (1..=16).contains(&data.len()));

    let mut at = ELEMENTS;
    for (id, data) in writable {
        at += write_element(&mut buf[at..], one_byte, id, data).unwrap_or(0);
    }
    if at == ELEMENTS {
        return FIXED_LEN;
    }
    let end = at.next_multiple_of(4);
    buf[at..end].fill(0);

    let profile = if one_byte { ONE_BYTE } else { TWO_BYTE };
    let words = ((end - ELEMENTS) / 4) as u16;
    buf[FIXED_LEN..FIXED_LEN + 2].copy_from_slice(&profile.to_be_bytes());
    buf[FIXED_LEN + 2..ELEMENTS].copy_from_slice(&words.to_be_bytes());
    end
}

/// Returns the element's length, or `None` if it does not fit.
fn write_element(buf: &mut [u8], one_byte: bool, id: u8, data: &[u8]) -> Option<usize> {
    let head_len = if one_byte { 1 } else { 2 };
    let (head, body) = buf.get_mut(..head_len + data.len())?.split_at_mut(head_len);
    if one_byte {
        head[0] = id << 4 | (data.len() as u8 - 1);
    } else {
        head.copy_from_slice(&[id, data.len() as u8]);
    }
    body.copy_from_slice(data);
    Some(head_len + data.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Header;
    use super::*;

    #[test]
    fn without_elements_there_is_no_extension() {
        let mut buf = [0xff; MAX_HEADER_LEN];

        let len = write_header(&mut buf, true, 96, 0x1234, 5, 0xcafe_babe, [].into_iter());

        assert_eq!(buf[..len], [0x80, 0xe0, 0x12, 0x34, 0, 0, 0, 5, 0xca, 0xfe, 0xba, 0xbe]);
    }

    #[test]
    fn short_elements_get_the_one_byte_form() {
        assert_eq!(
            extension_bytes(&[(1, b"0"), (14, b"abc")]),
            [0xbe, 0xde, 0, 2, 0x10, b'0', 0xe2, b'a', b'b', b'c', 0, 0]
        );
    }

    #[test]
    fn one_long_element_makes_all_two_byte() {
        for (id, data) in [(15, &b"a"[..]), (2, b""), (2, b"seventeen bytes !")] {
            let written = extension_bytes(&[(1, b"0"), (id, data)]);
            assert_eq!(written[..2], [0x10, 0x00]);
            assert_eq!(written[4..9], [1, 1, b'0', id, data.len() as u8]);
        }
    }

    #[test]
    fn elements_that_fit_no_form_are_omitted() {
        assert_eq!(extension_bytes(&[(0, b"zero"), (3, &[7; 256])]), []);
    }

    #[test]
    fn elements_beyond_the_longest_header_are_omitted() {
        let written = extension_bytes(&[(1, &[1; 200]), (2, &[2; 200]), (3, &[3; 36])]);

        assert_eq!(written.len(), MAX_HEADER_LEN - FIXED_LEN);
        assert_eq!(written[4..6], [1, 200]);
        assert_eq!(written[206..208], [3, 36]);
    }

    proptest! {
        #[test]
        fn a_written_header_reads_back(
            marker: bool,
            payload_type in 0_u8..128,
            sequence_number: u16,
            timestamp: u32,
            ssrc: u32,
            elements in prop::collection::vec(
                (1_u8..=255, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
        ) {
            let mut buf = [0xff; MAX_HEADER_LEN];
            let given = || elements.iter().map(|(id, data)| (*id, data.as_slice()));

            let len = write_header(
                &mut buf, marker, payload_type, sequence_number, timestamp, ssrc, given());

            let header = Header::parse(&buf[..len]).unwrap();
            prop_assert_eq!(header.header_len, len);
            prop_assert_eq!(header.marker, marker);
            prop_assert_eq!(header.payload_type, payload_type);
            prop_assert_eq!(header.sequence_number, sequence_number);
            prop_assert_eq!(header.timestamp, timestamp);
            prop_assert_eq!(header.ssrc, ssrc);
            prop_assert!(!header.has_padding);
            let read: Vec<_> = header.extensions(&buf[..len]).collect();
            prop_assert_eq!(read, given().collect::<Vec<_>>());
        }
    }

    /// The extension with profile and length, as written behind the fixed header.
    fn extension_bytes(elements: &[(u8, &[u8])]) -> Vec<u8> {
        let mut buf = [0xff; MAX_HEADER_LEN];
        let len = write_header(&mut buf, false, 0, 0, 0, 0, elements.iter().copied());
        buf[FIXED_LEN..len].to_vec()
    }
}
