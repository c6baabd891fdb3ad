//! The picture id, in the form that VP8 (RFC 7741 §4.2) and VP9 (RFC 9628 §4.2) share.
//!
//! ```text
//! |M| picture id  |   7 bits, or 15 when M is set
//! |  picture id   |   if M
//! ```

/// Counts the frames of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PictureId {
    pub(crate) value: u16,
    /// Whether it counts modulo 2¹⁵; otherwise modulo 2⁷.
    pub(crate) is_fifteen_bit: bool,
}

impl PictureId {
    /// Reads the next bytes of a descriptor. `None` if they end too early.
    pub(super) fn parse(mut next: impl FnMut() -> Option<u8>) -> Option<PictureId> {
        let head = next()?;
        if head & 0x80 == 0 {
            return Some(PictureId { value: head.into(), is_fifteen_bit: false });
        }
        let value = u16::from_be_bytes([head & 0x7f, next()?]);
        Some(PictureId { value, is_fifteen_bit: true })
    }

    /// Length in bytes.
    pub(super) fn len(self) -> usize {
        if self.is_fifteen_bit { 2 } else { 1 }
    }

    /// Replaces the picture id in place, with the same number of bits: one of 7 bits takes the low 7 of the value.
    pub(super) fn overwrite(self, place: &mut [u8], value: u16) {
        match place {
            [high, low, ..] if self.is_fifteen_bit => {
                [*high, *low] = (0x8000 | value).to_be_bytes();
            }
            [byte, ..] => *byte = value as u8 & 0x7f,
            [] => {}
        }
    }
}
