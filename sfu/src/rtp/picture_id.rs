//! The running number of a frame, in the form that VP8 (RFC 7741 §4.2) and VP9 (RFC 9628 §4.2) share.
//!
//! ```text
//! |M| picture id  |   7 bits, or 15 when M is set
//! |  picture id   |   if M
//! ```

/// The running number of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PictureId {
    pub(crate) value: u16,
    /// Counts modulo 2¹⁵; else modulo 2⁷.
    pub(crate) is_fifteen_bit: bool,
}

impl PictureId {
    /// Reads it from a descriptor's next bytes. `None` when it is cut off.
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

    /// Writes another number in its place, with as many bits: one of seven takes the low seven of it.
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
