//! RTP packets (RFC 3550 §5.1): views of received packets, and a writer for outgoing headers.
//!
//! [`Header::parse`] reads only fields that SRTP does not encrypt, so it works on encrypted and decrypted packets.
//! Payload formats are covered by [`key_frame`] and [`Counters`].
//!
//! ```text
//! |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//! |                           timestamp                           |
//! |                             SSRC                              |
//! |                       CSRC × CC                               |
//! |      extension profile        |     length in 32-bit words    |  if X
//! |                       extension elements                      |
//! ```

use std::ops::Range;

pub(crate) use crate::codec::Codec;
pub(crate) use counters::Counters;
pub(crate) use extension::Extensions;
pub(crate) use position::Position;
pub(crate) use writer::write_header;

mod av1;
mod counters;
pub(crate) mod dependency;
mod extension;
pub(crate) mod key_frame;
mod picture_id;
mod position;
pub(crate) mod red;
mod vp8;
mod vp9;
mod writer;

/// Length in bytes of the header without CSRCs and extension.
const FIXED_LEN: usize = 12;

/// The fields of an RTP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) marker: bool,
    /// 0 to 127.
    pub(crate) payload_type: u8,
    pub(crate) sequence_number: u16,
    /// In ticks of the payload format's clock.
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    /// Length of the header in bytes, with CSRCs and extension; the payload starts there.
    pub(crate) header_len: usize,
    /// Whether the payload ends with padding, whose length is only known after decryption.
    pub(crate) has_padding: bool,
    /// The profile of the header extension, and the range of its elements in the packet.
    pub(crate) extension: Option<(u16, Range<usize>)>,
}

impl Header {
    /// Reads the header of a packet. `None` if the version is not 2, or the packet is shorter than its header.
    pub(crate) fn parse(packet: &[u8]) -> Option<Header> {
        let fixed: &[u8; FIXED_LEN] = packet.first_chunk()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let csrc_end = FIXED_LEN + 4 * usize::from(fixed[0] & 0x0f);
        let extension = match fixed[0] & 0x10 {
            0 => None,
            _ => Some(parse_extension(packet, csrc_end)?),
        };
        let header_len = extension.as_ref().map_or(csrc_end, |(_, elements)| elements.end);
        if packet.len() < header_len {
            return None;
        }
        Some(Header {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence_number: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            header_len,
            has_padding: fixed[0] & 0x20 != 0,
            extension,
        })
    }

    /// The header extension elements (RFC 8285) of `packet`, which this header was parsed from. Empty if there are
    /// none, or if the profile is not one of RFC 8285.
    pub(crate) fn extensions<'a>(&self, packet: &'a [u8]) -> Extensions<'a> {
        match &self.extension {
            Some((profile, elements)) => {
                Extensions::new(*profile, packet.get(elements.clone()).unwrap_or_default())
            }
            None => Extensions::default(),
        }
    }

    /// The data of the first extension element with this id.
    pub(crate) fn extension<'a>(&self, packet: &'a [u8], id: u8) -> Option<&'a [u8]> {
        self.extensions(packet).find(|(found, _)| *found == id).map(|(_, data)| data)
    }

    /// The range in `packet` of the first extension element with this id.
    pub(crate) fn extension_range(&self, packet: &[u8], id: u8) -> Option<Range<usize>> {
        let data = self.extension(packet, id)?;
        let start = data.as_ptr().addr() - packet.as_ptr().addr();
        Some(start..start + data.len())
    }

    /// The range of the payload without padding in a decrypted packet. It may be empty: congestion control probes with
    /// packets that consist of padding. `None` if the padding is longer than the payload.
    pub(crate) fn payload_range(&self, opened: &[u8]) -> Option<Range<usize>> {
        let len = opened.len().checked_sub(self.header_len)?;
        if !self.has_padding {
            return Some(self.header_len..opened.len());
        }
        let padding = usize::from(*opened.last()?);
        if padding == 0 || padding > len {
            return None;
        }
        Some(self.header_len..opened.len() - padding)
    }
}

fn parse_extension(packet: &[u8], at: usize) -> Option<(u16, Range<usize>)> {
    let head: &[u8; 4] = packet.get(at..)?.first_chunk()?;
    let profile = u16::from_be_bytes([head[0], head[1]]);
    let words = u16::from_be_bytes([head[2], head[3]]);
    let start = at + head.len();
    Some((profile, start..start + 4 * usize::from(words)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_field_is_read() {
        let mut packet = vec![0x92, 0xe0, 0x12, 0x34, 0, 0, 0, 5, 0xca, 0xfe, 0xba, 0xbe];
        packet.extend([1; 8]); // two CSRCs
        packet.extend([0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0]);
        packet.extend(b"payload");

        let header = Header::parse(&packet).unwrap();

        let expected = Header {
            marker: true,
            payload_type: 96,
            sequence_number: 0x1234,
            timestamp: 5,
            ssrc: 0xcafe_babe,
            header_len: 28,
            has_padding: false,
            extension: Some((0xbede, 24..28)),
        };
        assert_eq!(header, expected);
        assert_eq!(header.extension(&packet, 1), Some(&[0xaa][..]));
        assert_eq!(header.extension(&packet, 2), None);
        assert_eq!(&packet[header.payload_range(&packet).unwrap()], b"payload");
    }

    #[test]
    fn a_packet_shorter_than_its_header_is_none() {
        let mut packet = vec![0x91; 16]; // one CSRC, and an extension:
        packet.extend([0xbe, 0xde, 0, 2]);
        packet.extend([0; 8]);

        for len in 0..packet.len() {
            assert_eq!(Header::parse(&packet[..len]), None);
        }
        assert!(Header::parse(&packet).is_some());
    }

    #[test]
    fn other_versions_are_none() {
        for first in [0x00, 0x40, 0xc0] {
            let mut packet = [0; FIXED_LEN];
            packet[0] = first;
            assert_eq!(Header::parse(&packet), None);
        }
    }

    #[test]
    fn padding_is_not_payload() {
        let payload = |bytes: &[u8]| {
            let packet = [&[0xa0; FIXED_LEN], bytes].concat();
            Header::parse(&packet).unwrap().payload_range(&packet)
        };

        assert_eq!(payload(&[1, 2, 0, 2]), Some(12..14));
        assert_eq!(payload(&[0, 0, 3]), Some(12..12));
        assert_eq!(payload(&[0, 0, 4]), None);
        assert_eq!(payload(&[1, 2, 0]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_it_panic(
            mut packet in prop::collection::vec(any::<u8>(), 12..80),
            first in 0x80_u8..0xc0,
            words in 0_u8..20,
        ) {
            packet[0] = first;
            let csrc_end = FIXED_LEN + 4 * usize::from(first & 0xf);
            if let Some(head) = packet.get_mut(csrc_end..csrc_end + 4) {
                head.copy_from_slice(&[0xbe, 0xde, 0, words]);
            }
            if let Some(header) = Header::parse(&packet) {
                prop_assert!(header.header_len <= packet.len());
                if let Some(range) = header.payload_range(&packet) {
                    prop_assert!(packet.get(range).is_some());
                }
                prop_assert!(header.extensions(&packet).count() <= packet.len());
            }
        }
    }
}
