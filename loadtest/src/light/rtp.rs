//! RTP headers (RFC 3550 §5.1), as far as light peers use them.

/// The fields of a header that are readable without decryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Marker bit.
    pub marker: bool,
    /// Payload type.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence_number: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: u32,
}

const FIXED: usize = 12;
const HAS_EXTENSION: u8 = 0x10;

impl Header {
    /// Parses the fixed part.
    pub fn parse(packet: &[u8]) -> Option<Header> {
        let fixed: &[u8; FIXED] = packet.first_chunk()?;
        let word = |at: usize| u32::from_be_bytes(std::array::from_fn(|i| fixed[at + i]));
        (fixed[0] >> 6 == 2).then(|| Header {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7F,
            sequence_number: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: word(4),
            ssrc: word(8),
        })
    }

    /// The length of a packet's header, including CSRCs and extensions.
    pub fn length(packet: &[u8]) -> Option<usize> {
        let first = *packet.first()?;
        let without_extension = FIXED + 4 * usize::from(first & 0x0F);
        if first & HAS_EXTENSION == 0 {
            return Some(without_extension);
        }
        let words = packet.get(without_extension + 2..without_extension + 4)?;
        let words = usize::from(u16::from_be_bytes([words[0], words[1]]));
        Some(without_extension + 4 + 4 * words)
    }

    /// Appends the header, with extensions in the one-byte form (RFC 8285 §4.2): ids 1–14, values of 1–16 bytes.
    pub fn write(&self, extensions: &[(u8, &[u8])], out: &mut Vec<u8>) {
        let has_extension = if extensions.is_empty() { 0 } else { HAS_EXTENSION };
        out.push(0x80 | has_extension);
        out.push(u8::from(self.marker) << 7 | self.payload_type);
        out.extend_from_slice(&self.sequence_number.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        if extensions.is_empty() {
            return;
        }
        out.extend_from_slice(&[0xBE, 0xDE, 0, 0]);
        let start = out.len();
        for (id, value) in extensions {
            out.push(id << 4 | (value.len() as u8).saturating_sub(1));
            out.extend_from_slice(value);
        }
        out.resize(start + (out.len() - start).next_multiple_of(4), 0);
        let words = ((out.len() - start) / 4) as u8;
        out[start - 1] = words;
    }
}

/// Whether a datagram on a media transport is RTCP rather than RTP (RFC 5761 §4).
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, 192..=223, ..])
}

#[cfg(test)]
mod tests {
    use rtc::rtp::packet::Packet;
    use rtc::shared::marshal::Unmarshal;

    use super::*;

    const HEADER: Header =
        Header { marker: true, payload_type: 96, sequence_number: 7, timestamp: 8, ssrc: 9 };

    #[test]
    fn written_headers_are_read_by_another_implementation() {
        for extensions in [&[][..], &[(1, &[0x80][..])], &[(1, &[0x85][..]), (5, &[0, 9])]] {
            let mut packet = Vec::new();
            HEADER.write(extensions, &mut packet);
            assert_eq!(Header::length(&packet), Some(packet.len()));
            assert_eq!(Header::parse(&packet), Some(HEADER));
            packet.extend(b"abc");

            let read = Packet::unmarshal(&mut &packet[..]).unwrap();

            assert_eq!(
                (read.header.ssrc, read.header.marker, &read.payload[..]),
                (9, true, &b"abc"[..])
            );
            for (id, value) in extensions {
                assert_eq!(read.header.get_extension(*id).unwrap(), *value);
            }
        }
    }

    #[test]
    fn cut_headers_are_none() {
        let mut packet = Vec::new();
        HEADER.write(&[(1, &[1])], &mut packet);
        for length in 0..12 {
            assert_eq!(Header::parse(&packet[..length]), None);
        }
        assert_eq!(Header::length(&packet[..14]), None);
    }

    #[test]
    fn rtcp_is_told_apart() {
        assert!(is_rtcp(&[0x80, 200]) && is_rtcp(&[0x81, 206]));
        assert!(!is_rtcp(&[0x80, 96]) && !is_rtcp(&[0x80, 0x80 | 111]) && !is_rtcp(&[22, 200]));
    }
}
