//! The VP9 payload descriptor (RFC 9628 §4.2), read and renumbered in place.
//!
//! ```text
//! |I|P|L|F|B|E|V|Z|   P predicted from other pictures, F flexible mode, B begins a frame
//! |M| picture id  |   if I: 7 bits, or 15 when M is set
//! |  picture id   |   if M
//! | TID |U| SID |D|   if L: temporal and spatial layer
//! |   TL0PICIDX   |   if L and not F
//! ```
//!
//! References to other pictures and the scalability structure may follow. Both are relative, so they stay valid when
//! pictures are renumbered.

use super::picture_id::PictureId;

/// The fields of a payload descriptor that matter for forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// The frame depends on earlier pictures; otherwise at most on lower layers of its own picture.
    pub(crate) is_inter_predicted: bool,
    /// Whether the packet is the first of its frame. A picture has one frame per spatial layer.
    pub(crate) starts_frame: bool,
    pub(crate) picture_id: Option<PictureId>,
    /// From 0, the lowest, to 7; 0 if the stream has only one.
    pub(crate) spatial_layer: u8,
    /// Counts the pictures of the lowest temporal layer.
    pub(crate) tl0_pic_idx: Option<u8>,
}

const HAS_PICTURE_ID: u8 = 0x80;
const INTER_PREDICTED: u8 = 0x40;
const HAS_LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const STARTS_FRAME: u8 = 0x08;

impl Descriptor {
    /// Reads the descriptor at the start of an RTP payload. `None` if it ends too early.
    pub(crate) fn parse(payload: &[u8]) -> Option<Descriptor> {
        let mut bytes = payload.iter().copied();
        let first = bytes.next()?;
        let picture_id = match first & HAS_PICTURE_ID {
            0 => None,
            _ => Some(PictureId::parse(|| bytes.next())?),
        };
        let layers = match first & HAS_LAYERS {
            0 => 0,
            _ => bytes.next()?,
        };
        let tl0_pic_idx = match first & (HAS_LAYERS | FLEXIBLE) {
            HAS_LAYERS => Some(bytes.next()?),
            _ => None,
        };
        Some(Descriptor {
            is_inter_predicted: first & INTER_PREDICTED != 0,
            starts_frame: first & STARTS_FRAME != 0,
            picture_id,
            spatial_layer: layers >> 1 & 0x07,
            tl0_pic_idx,
        })
    }

    /// Whether the packet is the first of a picture that depends on no earlier one.
    pub(crate) fn starts_key_frame(&self) -> bool {
        self.starts_frame && !self.is_inter_predicted && self.spatial_layer == 0
    }
}

/// Replaces picture id and TL0PICIDX in `payload`, if it has them. The length stays the same. A truncated descriptor
/// stays unchanged.
pub(crate) fn rewrite(payload: &mut [u8], picture_id: u16, tl0_pic_idx: u8) {
    let Some(descriptor) = Descriptor::parse(payload) else {
        return;
    };
    let mut at = 1;
    if let Some(id) = descriptor.picture_id {
        id.overwrite(&mut payload[at..], picture_id);
        at += id.len();
    }
    if descriptor.tl0_pic_idx.is_some() {
        payload[at + 1] = tl0_pic_idx;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// I, P, L, B; picture id of 15 bits; temporal layer 2, spatial layer 1 with D; TL0PICIDX.
    const FULL: [u8; 5] = [0xe8, 0x92, 0x34, 0x43, 0x56];

    #[test]
    fn every_field_is_read() {
        let expected = Descriptor {
            is_inter_predicted: true,
            starts_frame: true,
            picture_id: Some(PictureId { value: 0x1234, is_fifteen_bit: true }),
            spatial_layer: 1,
            tl0_pic_idx: Some(0x56),
        };
        assert_eq!(Descriptor::parse(&FULL), Some(expected));
    }

    #[test]
    fn in_flexible_mode_there_is_no_tl0_pic_idx() {
        let descriptor = Descriptor::parse(&[0xb8, 0x7f, 0x00, 0x9c]).unwrap();

        let seven_bits = PictureId { value: 0x7f, is_fifteen_bit: false };
        assert_eq!(descriptor.picture_id, Some(seven_bits));
        assert_eq!(descriptor.tl0_pic_idx, None);
    }

    #[test]
    fn a_truncated_descriptor_is_rejected() {
        for len in 0..FULL.len() {
            assert_eq!(Descriptor::parse(&FULL[..len]), None);
        }
    }

    #[test]
    fn numbers_are_rewritten_in_place() {
        let mut full = FULL;
        rewrite(&mut full, 0x0102, 0x33);
        assert_eq!(full, [0xe8, 0x81, 0x02, 0x43, 0x33]);

        let mut seven_bits = [0xa8, 0x7f, 0x00, 0x01, 0x9c];
        rewrite(&mut seven_bits, 0x0182, 0x33);
        assert_eq!(seven_bits, [0xa8, 0x02, 0x00, 0x33, 0x9c]);

        let mut neither = [0x08, 0x9c];
        rewrite(&mut neither, 0x0102, 0x33);
        assert_eq!(neither, [0x08, 0x9c]);
    }

    proptest! {
        #[test]
        fn rewriting_changes_the_numbers_alone(
            original in prop::collection::vec(any::<u8>(), 0..12),
            picture_id in 0_u16..0x8000,
            tl0_pic_idx: u8,
        ) {
            let mut payload = original.clone();
            rewrite(&mut payload, picture_id, tl0_pic_idx);

            let Some(before) = Descriptor::parse(&original) else {
                prop_assert_eq!(payload, original);
                return Ok(());
            };
            let mask = |id: PictureId| if id.is_fifteen_bit { 0x7fff } else { 0x7f };
            let expected = Descriptor {
                picture_id: before
                    .picture_id
                    .map(|id| PictureId { value: picture_id & mask(id), ..id }),
                tl0_pic_idx: before.tl0_pic_idx.map(|_| tl0_pic_idx),
                ..before
            };
            prop_assert_eq!(Descriptor::parse(&payload), Some(expected));
            let changed = payload.iter().zip(&original).filter(|(a, b)| a != b).count();
            prop_assert!(changed <= 3);
        }
    }
}
