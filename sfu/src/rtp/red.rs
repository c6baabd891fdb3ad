//! RED, redundant audio data (RFC 2198): packets that repeat earlier ones.
//!
//! ```text
//! |1| block PT | timestamp offset (14) | length (10) |   for each repeated block, the oldest first
//! |0| block PT |                                         for the packet's own, the primary
//! | repeated blocks … | primary block |
//! ```

const MORE_FOLLOW: u8 = 0x80;
const REPEATED_HEADER: usize = 4;

/// The primary block: the payload without redundancy. `None` if the payload ends too early.
pub(crate) fn primary(payload: &[u8]) -> Option<&[u8]> {
    let mut rest = payload;
    let mut repeated = 0;
    loop {
        let &first = rest.first()?;
        if first & MORE_FOLLOW == 0 {
            return rest.get(1 + repeated..);
        }
        let (header, behind) = rest.split_at_checked(REPEATED_HEADER)?;
        repeated += usize::from(u16::from_be_bytes([header[2] & 0x03, header[3]]));
        rest = behind;
    }
}

/// Sets the payload type of all blocks to the one that their codec has at the receiver. Redundancy is negotiated for
/// one codec only, so all blocks have the same codec.
pub(crate) fn rewrite(payload: &mut [u8], payload_type: u8) {
    let mut rest = payload;
    while let Some(first) = rest.first_mut() {
        *first = *first & MORE_FOLLOW | payload_type;
        if *first & MORE_FOLLOW == 0 {
            return;
        }
        rest = rest.get_mut(REPEATED_HEADER..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One repeated block "ab", 960 ticks old, and the primary "cde"; payload type 111.
    const TWO: [u8; 10] = [0xef, 0x0f, 0x00, 0x02, 0x6f, b'a', b'b', b'c', b'd', b'e'];

    #[test]
    fn the_primary_block_is_the_last() {
        assert_eq!(primary(&TWO), Some(&b"cde"[..]));
        assert_eq!(primary(&[0x6f, b'x']), Some(&b"x"[..]), "nothing repeated");
        assert_eq!(primary(&[0x6f]), Some(&b""[..]));
    }

    #[test]
    fn a_truncated_payload_has_no_primary_block() {
        for len in 0..7 {
            assert_eq!(primary(&TWO[..len]), None);
        }
    }

    #[test]
    fn every_block_gets_the_payload_type() {
        let mut payload = TWO;
        rewrite(&mut payload, 109);
        assert_eq!(payload, [0xed, 0x0f, 0x00, 0x02, 0x6d, b'a', b'b', b'c', b'd', b'e']);
    }

    proptest! {
        #[test]
        fn renaming_keeps_the_blocks(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut renamed = payload.clone();
            rewrite(&mut renamed, 109);
            prop_assert_eq!(primary(&renamed).map(<[u8]>::len), primary(&payload).map(<[u8]>::len));
        }
    }
}
