//! The dependency descriptor, a header extension (AV1 RTP payload format 1.0, appendix A): its mandatory part, read
//! and renumbered in place.
//!
//! ```text
//! |S|E| template  |   first and last packet of a frame
//! | frame number  |   16 bits
//! |               |
//! |T|A|I|F|C|  …  |   T: the structure that the templates are defined in follows; on key frames
//! ```
//!
//! Templates name the frames that a frame depends on by the distance from its own number, so only that number changes
//! when a stream follows another one.

/// The fields of a descriptor that matter for forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) starts_frame: bool,
    /// Counts the frames of all layers.
    pub(crate) frame_number: u16,
    /// The descriptor contains the template structure, which only a key frame may change.
    pub(crate) has_structure: bool,
}

impl Descriptor {
    /// Reads the data of the extension element. `None` if it is shorter than the mandatory part.
    pub(crate) fn parse(element: &[u8]) -> Option<Descriptor> {
        let [first, high, low, extended @ ..] = element else {
            return None;
        };
        Some(Descriptor {
            starts_frame: first & 0x80 != 0,
            frame_number: u16::from_be_bytes([*high, *low]),
            has_structure: extended.first().is_some_and(|flags| flags & 0x80 != 0),
        })
    }

    /// Whether the packet is the first of a key frame.
    pub(crate) fn starts_key_frame(&self) -> bool {
        self.starts_frame && self.has_structure
    }
}

/// Replaces the frame number. An element without the mandatory part stays unchanged.
pub(crate) fn rewrite(element: &mut [u8], frame_number: u16) {
    if let [_, high, low, ..] = element {
        [*high, *low] = frame_number.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mandatory_part_is_read() {
        let expected =
            Descriptor { starts_frame: true, frame_number: 0x1234, has_structure: false };
        assert_eq!(Descriptor::parse(&[0xc5, 0x12, 0x34]), Some(expected));
        assert_eq!(Descriptor::parse(&[0xc5, 0x12]), None);
    }

    #[test]
    fn a_key_frame_starts_with_the_structure() {
        let is_key = |element: &[u8]| Descriptor::parse(element).unwrap().starts_key_frame();

        assert!(is_key(&[0x80, 0, 1, 0x80, 0x01]));
        assert!(!is_key(&[0x80, 0, 1, 0x40, 0x01]), "other extended fields");
        assert!(!is_key(&[0x40, 0, 1, 0x80, 0x01]), "not the first packet");
    }

    #[test]
    fn only_the_frame_number_is_rewritten() {
        let mut element = [0xc5, 0x12, 0x34, 0x80, 0x55];
        rewrite(&mut element, 0xfffe);
        assert_eq!(element, [0xc5, 0xff, 0xfe, 0x80, 0x55]);

        let mut short = [0xc5, 0x12];
        rewrite(&mut short, 7);
        assert_eq!(short, [0xc5, 0x12]);
    }
}
