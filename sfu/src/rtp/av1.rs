//! AV1 over RTP (AV1 RTP payload format 1.0, §4), as far as needed to find key frames. The numbers that a switch has to
//! rewrite are in the [dependency descriptor](super::dependency).
//!
//! ```text
//! |Z|Y| W |N|-|-|-|   Z continues an OBU, W number of OBUs (0: each has its length), N starts a sequence
//! | length | OBU …    the last of W has no length
//! ```

const CONTINUES: u8 = 0x80;
const BEGINS_SEQUENCE: u8 = 0x08;
const SEQUENCE_HEADER: u8 = 1;

/// Whether the payload starts a coded video sequence: it says so, and contains the sequence header.
pub(crate) fn starts_key_frame(payload: &[u8]) -> bool {
    let Some((&head, rest)) = payload.split_first() else {
        return false;
    };
    let begins = head & (CONTINUES | BEGINS_SEQUENCE) == BEGINS_SEQUENCE;
    begins && obu_types(head, rest).any(|kind| kind == SEQUENCE_HEADER)
}

/// The types of the complete OBUs (AV1 §6.2.1).
fn obu_types(head: u8, mut rest: &[u8]) -> impl Iterator<Item = u8> {
    let count = usize::from(head >> 4 & 3);
    let mut number = 0;
    std::iter::from_fn(move || {
        number += 1;
        let length = match number == count {
            true => rest.len(),
            false => read_leb128(&mut rest)?,
        };
        let (obu, behind) = rest.split_at_checked(length)?;
        rest = behind;
        // An empty OBU has no type, and ends the iteration.
        obu.first().map(|header| header >> 3 & 0x0f)
    })
}

/// LEB128 (AV1 §4.10.5): seven bits per byte, the lowest first. A number with more than four bytes exceeds any packet.
fn read_leb128(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for place in 0..4 {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_frame_starts_a_sequence_and_contains_its_header() {
        assert!(starts_key_frame(&[0x18, 0x0a, 1, 2]), "one OBU");
        assert!(starts_key_frame(&[0x28, 2, 0x0a, 1, 0x32, 1, 2]), "header and frame");
        assert!(starts_key_frame(&[0x08, 2, 0x0a, 1, 2, 0x32, 1]), "each with its length");
        assert!(starts_key_frame(&[0x28, 0x82, 0x00, 0x0a, 1, 0x32]), "a length of two bytes");
    }

    #[test]
    fn other_payloads_start_no_key_frame() {
        assert!(!starts_key_frame(&[0x10, 0x0a, 1, 2]), "N isn't set");
        assert!(!starts_key_frame(&[0x98, 0x0a, 1, 2]), "goes on with an OBU");
        assert!(!starts_key_frame(&[0x18, 0x32, 1, 2]), "a frame without header");
        assert!(!starts_key_frame(&[0x28, 9, 0x0a]), "cut off");
        assert!(!starts_key_frame(&[0x08, 0, 2, 0x0a, 1]), "an empty OBU");
        assert!(!starts_key_frame(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff]), "an endless length");
        assert!(!starts_key_frame(&[0x18]));
        assert!(!starts_key_frame(&[]));
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_it_panic(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            starts_key_frame(&payload);
        }
    }
}
