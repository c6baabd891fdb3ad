//! Counters besides those of the RTP header: in payload descriptors, and in the dependency descriptor. Receivers expect
//! them without gaps, so a slot renumbers them when it continues with another stream.

use super::{Codec, dependency, vp8, vp9};

/// The counters of one packet, or the difference between those of two. All of them wrap; missing ones are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// In VP8 and VP9.
    pub(crate) picture_id: u16,
    /// In VP8 and VP9.
    pub(crate) tl0_pic_idx: u8,
    /// In the dependency descriptor.
    pub(crate) frame_number: u16,
}

impl Counters {
    /// One step of each counter.
    pub(crate) const STEP: Counters = Counters { picture_id: 1, tl0_pic_idx: 1, frame_number: 1 };

    /// Reads the counters from a payload, and from the dependency descriptor if the packet has one.
    pub(crate) fn read(codec: Codec, payload: &[u8], dependency: Option<&[u8]>) -> Counters {
        let (picture_id, tl0_pic_idx) = match codec {
            Codec::Vp8 => vp8::Descriptor::parse(payload)
                .map_or((None, None), |vp8| (vp8.picture_id, vp8.tl0_pic_idx)),
            Codec::Vp9 { .. } => vp9::Descriptor::parse(payload)
                .map_or((None, None), |vp9| (vp9.picture_id, vp9.tl0_pic_idx)),
            Codec::Opus | Codec::Red | Codec::H264 { .. } | Codec::Av1 { .. } => (None, None),
        };
        let dependency = dependency.and_then(dependency::Descriptor::parse);
        Counters {
            picture_id: picture_id.map_or(0, |picture| picture.value),
            tl0_pic_idx: tl0_pic_idx.unwrap_or_default(),
            frame_number: dependency.map_or(0, |frame| frame.frame_number),
        }
    }

    /// Writes the counters in the payload; [`dependency::rewrite`] writes the one in the dependency descriptor.
    pub(crate) fn write(self, codec: Codec, payload: &mut [u8]) {
        match codec {
            Codec::Vp8 => vp8::rewrite(payload, self.picture_id, self.tl0_pic_idx),
            Codec::Vp9 { .. } => vp9::rewrite(payload, self.picture_id, self.tl0_pic_idx),
            Codec::Opus | Codec::Red | Codec::H264 { .. } | Codec::Av1 { .. } => {}
        }
    }

    /// Adds a difference.
    pub(crate) fn plus(self, distance: Counters) -> Counters {
        Counters {
            picture_id: self.picture_id.wrapping_add(distance.picture_id),
            tl0_pic_idx: self.tl0_pic_idx.wrapping_add(distance.tl0_pic_idx),
            frame_number: self.frame_number.wrapping_add(distance.frame_number),
        }
    }

    /// The difference from `others` to `self`.
    pub(crate) fn minus(self, others: Counters) -> Counters {
        Counters {
            picture_id: self.picture_id.wrapping_sub(others.picture_id),
            tl0_pic_idx: self.tl0_pic_idx.wrapping_sub(others.tl0_pic_idx),
            frame_number: self.frame_number.wrapping_sub(others.frame_number),
        }
    }
}
