//! The VP8 payload descriptor (RFC 7741 §4.2), read and renumbered in place.
//!
//! ```text
//! |X|R|N|S|R| PID |   N not referenced, S starts a partition, PID its number
//! |I|L|T|K|  RSV  |   if X: which of the following are there
//! |M| picture id  |   if I: 7 bits, or 15 when M is set
//! |  picture id   |   if M
//! |   TL0PICIDX   |   if L
//! |TID|Y|  KEYIDX |   if T or K
//! ```
//!
//! Receivers expect picture ids and TL0PICIDX without gaps, so both are renumbered when a slot switches streams or
//! omits temporal layers.

use super::picture_id::PictureId;

/// The fields of a payload descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// No other frame refers to this one, so it may be dropped.
    pub(crate) is_non_reference: bool,
    /// Whether the packet starts a partition.
    pub(crate) starts_partition: bool,
    /// The partition's number, 0 to 7.
    pub(crate) partition: u8,
    pub(crate) picture_id: Option<PictureId>,
    /// Counts the frames of the lowest temporal layer.
    pub(crate) tl0_pic_idx: Option<u8>,
    pub(crate) temporal_layer: Option<TemporalLayer>,
    /// Key frame index, 0 to 31.
    pub(crate) key_idx: Option<u8>,
    /// Length of the descriptor in bytes; the VP8 payload starts there.
    pub(crate) len: usize,
}

/// The temporal layer of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TemporalLayer {
    /// From 0, the lowest, to 3.
    pub(crate) id: u8,
    /// The frame depends on the lowest layer only (Y), so a receiver may be switched up to its layer here.
    pub(crate) is_sync: bool,
}

impl Descriptor {
    /// Reads the descriptor at the start of an RTP payload. `None` if it ends too early.
    pub(crate) fn parse(payload: &[u8]) -> Option<Descriptor> {
        let mut rest = payload;
        let mut next = || {
            let (&byte, behind) = rest.split_first()?;
            rest = behind;
            Some(byte)
        };

        let first = next()?;
        let fields = if first & 0x80 != 0 { Fields(next()?) } else { Fields(0) };
        let picture_id = match fields.has_picture_id() {
            true => Some(PictureId::parse(&mut next)?),
            false => None,
        };
        let tl0_pic_idx = match fields.has_tl0_pic_idx() {
            true => Some(next()?),
            false => None,
        };
        let layers = match fields.has_temporal_layer() || fields.has_key_idx() {
            true => next()?,
            false => 0,
        };
        Some(Descriptor {
            is_non_reference: first & 0x20 != 0,
            starts_partition: first & 0x10 != 0,
            partition: first & 0x07,
            picture_id,
            tl0_pic_idx,
            temporal_layer: fields
                .has_temporal_layer()
                .then_some(TemporalLayer { id: layers >> 6, is_sync: layers & 0x20 != 0 }),
            key_idx: fields.has_key_idx().then_some(layers & 0x1f),
            len: payload.len() - rest.len(),
        })
    }

    /// Whether the packet is the first of its frame.
    pub(crate) fn starts_frame(&self) -> bool {
        self.starts_partition && self.partition == 0
    }
}

/// Replaces picture id and TL0PICIDX in `payload`, if it has them. The length stays the same, so a picture id of 7 bits
/// takes the low 7 bits. A truncated descriptor stays unchanged.
pub(crate) fn rewrite(payload: &mut [u8], picture_id: u16, tl0_pic_idx: u8) {
    let Some(descriptor) = Descriptor::parse(payload) else {
        return;
    };
    let mut at = 2;
    if let Some(id) = descriptor.picture_id {
        id.overwrite(&mut payload[at..], picture_id);
        at += id.len();
    }
    if descriptor.tl0_pic_idx.is_some() {
        payload[at] = tl0_pic_idx;
    }
}

/// The descriptor's second byte.
struct Fields(u8);

impl Fields {
    fn has_picture_id(&self) -> bool {
        self.0 & 0x80 != 0
    }

    fn has_tl0_pic_idx(&self) -> bool {
        self.0 & 0x40 != 0
    }

    fn has_temporal_layer(&self) -> bool {
        self.0 & 0x20 != 0
    }

    fn has_key_idx(&self) -> bool {
        self.0 & 0x10 != 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// N, S, partition 2; picture id of 15 bits, TL0PICIDX, layer 2 with Y, key frame index 9.
    const FULL: [u8; 6] = [0xb2, 0xf0, 0x92, 0x34, 0x56, 0xa9];

    #[test]
    fn every_field_is_read() {
        let expected = Descriptor {
            is_non_reference: true,
            starts_partition: true,
            partition: 2,
            picture_id: Some(PictureId { value: 0x1234, is_fifteen_bit: true }),
            tl0_pic_idx: Some(0x56),
            temporal_layer: Some(TemporalLayer { id: 2, is_sync: true }),
            key_idx: Some(9),
            len: 6,
        };
        assert_eq!(Descriptor::parse(&FULL), Some(expected));
    }

    #[test]
    fn the_shortest_descriptor_is_one_byte() {
        let descriptor = Descriptor::parse(&[0x10, 0x9c]).unwrap();

        assert!(descriptor.starts_frame());
        assert_eq!(descriptor.picture_id, None);
        assert_eq!(descriptor.tl0_pic_idx, None);
        assert_eq!(descriptor.temporal_layer, None);
        assert_eq!(descriptor.key_idx, None);
        assert_eq!(descriptor.len, 1);
    }

    #[test]
    fn a_picture_id_may_have_seven_bits() {
        let descriptor = Descriptor::parse(&[0x90, 0x80, 0x7f, 0x9c]).unwrap();

        let expected = PictureId { value: 0x7f, is_fifteen_bit: false };
        assert_eq!(descriptor.picture_id, Some(expected));
        assert_eq!(descriptor.len, 3);
    }

    #[test]
    fn layer_and_key_index_share_a_byte() {
        let layer = Descriptor::parse(&[0x90, 0x20, 0x7f]).unwrap();
        let key = Descriptor::parse(&[0x90, 0x10, 0x7f]).unwrap();

        assert_eq!(layer.temporal_layer, Some(TemporalLayer { id: 1, is_sync: true }));
        assert_eq!((layer.key_idx, layer.len), (None, 3));
        assert_eq!(key.temporal_layer, None);
        assert_eq!((key.key_idx, key.len), (Some(31), 3));
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
        assert_eq!(full, [0xb2, 0xf0, 0x81, 0x02, 0x33, 0xa9]);

        let mut seven_bits = [0x90, 0xc0, 0x7f, 0x01, 0x9c];
        rewrite(&mut seven_bits, 0x0182, 0x33);
        assert_eq!(seven_bits, [0x90, 0xc0, 0x02, 0x33, 0x9c]);

        let mut no_picture_id = [0x90, 0x40, 0x01, 0x9c];
        rewrite(&mut no_picture_id, 0x0102, 0x33);
        assert_eq!(no_picture_id, [0x90, 0x40, 0x33, 0x9c]);

        let mut neither = [0x10, 0x9c];
        rewrite(&mut neither, 0x0102, 0x33);
        assert_eq!(neither, [0x10, 0x9c]);
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
            prop_assert_eq!(&payload[before.len..], &original[before.len..]);
        }
    }
}
