//! Detects packets that start a key frame, where a slot can switch streams.

use super::{Codec, av1, dependency, vp8, vp9};

/// Whether `payload` (without padding) starts a key frame; a malformed one does not. `dependency` is the packet's
/// dependency descriptor, if any.
pub(crate) fn is_key_frame(codec: Codec, payload: &[u8], dependency: Option<&[u8]>) -> bool {
    match codec {
        Codec::Vp8 => is_vp8_key_frame(payload),
        Codec::Vp9 { .. } => {
            vp9::Descriptor::parse(payload).is_some_and(|vp9| vp9.starts_key_frame())
        }
        Codec::H264 { .. } => is_h264_key_frame(payload),
        Codec::Av1 { .. } => match dependency.and_then(dependency::Descriptor::parse) {
            Some(descriptor) => descriptor.starts_key_frame(),
            None => av1::starts_key_frame(payload),
        },
        Codec::Opus | Codec::Red => false,
    }
}

/// RFC 7741 §4.3: the inverse key frame flag P is the lowest bit of the VP8 payload header, at the start of the first
/// partition.
fn is_vp8_key_frame(payload: &[u8]) -> bool {
    let Some(descriptor) = vp8::Descriptor::parse(payload) else {
        return false;
    };
    descriptor.starts_frame() && payload.get(descriptor.len).is_some_and(|head| head & 1 == 0)
}

/// The number of pixels of a picture, if `payload` starts a VP8 key frame (RFC 6386 §9.1: start code, then 14 bits each
/// of width and height). Other formats bury the size too deep.
pub(crate) fn pixels(codec: Codec, payload: &[u8]) -> Option<u32> {
    const FRAME_TAG: usize = 3;
    const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];

    if codec != Codec::Vp8 || !is_vp8_key_frame(payload) {
        return None;
    }
    let frame = payload.get(vp8::Descriptor::parse(payload)?.len + FRAME_TAG..)?;
    let &[width, more_width, height, more_height] =
        frame.strip_prefix(&START_CODE)?.first_chunk()?;
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    Some(side(width, more_width) * side(height, more_height))
}

/// RFC 6184 §5.2: an IDR picture, or the sequence parameter set in front of it, as a single unit, in an aggregate, or
/// as the first fragment.
fn is_h264_key_frame(payload: &[u8]) -> bool {
    const FU_A: u8 = 28;
    const START: u8 = 0x80;

    let Some((indicator, rest)) = payload.split_first() else {
        return false;
    };
    match indicator & 0x1f {
        STAP_A => aggregated(rest).any(|unit| is_key_nal(unit[0])),
        FU_A => rest.first().is_some_and(|head| head & START != 0 && is_key_nal(*head)),
        _ => is_key_nal(*indicator),
    }
}

/// The first two bytes of an H264 stream's `profile-level-id`, if the packet has its sequence parameter set (ITU-T H.264
/// §7.3.2.1.1): as a single unit or in an aggregate. It is too short to be fragmented.
pub(crate) fn h264_profile(payload: &[u8]) -> Option<[u8; 2]> {
    let (indicator, rest) = payload.split_first()?;
    let set = match indicator & 0x1f {
        SPS => payload,
        STAP_A => aggregated(rest).find(|unit| unit[0] & 0x1f == SPS)?,
        _ => return None,
    };
    set.get(1..)?.first_chunk().copied()
}

const SPS: u8 = 7;
const STAP_A: u8 = 24;

/// Whether the NAL unit type in the low five bits is IDR or SPS.
fn is_key_nal(head: u8) -> bool {
    const IDR: u8 = 5;
    matches!(head & 0x1f, IDR | SPS)
}

/// The complete NAL units in a STAP-A (RFC 6184 §5.7.1). None is empty; one that is ends the list.
fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (size, behind) = rest.split_first_chunk()?;
        let (unit, behind) = behind.split_at_checked(u16::from_be_bytes(*size).into())?;
        rest = behind;
        (!unit.is_empty()).then_some(unit)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VP9: Codec = Codec::Vp9 { profile: 0 };
    const AV1: Codec = Codec::Av1 { profile: 0 };
    const H264: Codec = Codec::H264 { packetization_mode: 1, profile: [0x42, 0xe0] };

    #[test]
    fn the_size_of_a_vp8_picture_is_in_its_key_frame() {
        let key = [0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x41, 0x00];
        assert_eq!(pixels(Codec::Vp8, &key), Some(640 * 360), "the upper bits are the scale");
        assert_eq!(pixels(Codec::Vp8, &key[..10]), None);
        assert_eq!(pixels(VP9, &key), None);
        let delta = [0x10, 0x11, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
        assert_eq!(pixels(Codec::Vp8, &delta), None);
    }

    #[test]
    fn a_vp8_key_frame_has_p_clear_in_its_first_partition() {
        let is_key = |payload: &[u8]| is_key_frame(Codec::Vp8, payload, None);

        assert!(is_key(&[0x10, 0x9c]));
        assert!(is_key(&[0x90, 0x80, 0x81, 0x23, 0x9c]), "with a picture id");
        assert!(!is_key(&[0x10, 0x9d]), "P is set");
        assert!(!is_key(&[0x00, 0x9c]), "not the start of a partition");
        assert!(!is_key(&[0x11, 0x9c]), "the second partition");
        assert!(!is_key(&[0x10]), "no payload header");
        assert!(!is_key(&[]));
    }

    #[test]
    fn an_h264_key_frame_is_idr_or_sps() {
        let is_key = |payload: &[u8]| is_key_frame(H264, payload, None);

        assert!(is_key(&[0x65, 1, 2]), "IDR");
        assert!(is_key(&[0x67, 1, 2]), "SPS");
        assert!(!is_key(&[0x68, 1, 2]), "PPS");
        assert!(!is_key(&[0x61, 1, 2]), "another slice");
        assert!(!is_key(&[]));
    }

    #[test]
    fn an_h264_aggregate_is_looked_into() {
        let is_key = |payload: &[u8]| is_key_frame(H264, payload, None);

        assert!(is_key(&[24, 0, 2, 0x68, 1, 0, 1, 0x65]), "PPS, IDR");
        assert!(!is_key(&[24, 0, 2, 0x68, 1, 0, 1, 0x61]), "PPS, slice");
        assert!(!is_key(&[24, 0, 2, 0x68, 1, 0, 9, 0x65]), "cut off");
        assert!(!is_key(&[24, 0, 0, 0, 1, 0x65]), "an empty unit ends the list");
        assert!(!is_key(&[24]));
    }

    #[test]
    fn an_h264_fragment_counts_when_it_is_the_first() {
        let is_key = |payload: &[u8]| is_key_frame(H264, payload, None);

        assert!(is_key(&[0x7c, 0x85, 1]), "start of an IDR");
        assert!(!is_key(&[0x7c, 0x05, 1]), "middle of an IDR");
        assert!(!is_key(&[0x7c, 0x81, 1]), "start of another slice");
        assert!(!is_key(&[0x7c]));
    }

    #[test]
    fn a_vp9_key_frame_is_predicted_from_nothing_and_starts_the_lowest_layer() {
        let is_key = |payload: &[u8]| is_key_frame(VP9, payload, None);

        assert!(is_key(&[0x08, 0x82]));
        assert!(is_key(&[0xab, 0x81, 0x23, 0x00, 0x01, 0x82]), "with numbers, layers, structure");
        assert!(!is_key(&[0x48, 0x82]), "P is set");
        assert!(!is_key(&[0x04, 0x82]), "not the start of a frame");
        assert!(!is_key(&[0xa8, 0x81, 0x23, 0x03, 0x01, 0x82]), "spatial layer 1");
        assert!(!is_key(&[]));
    }

    #[test]
    fn an_av1_dependency_descriptor_says_more_than_the_payload() {
        let header = [0x18, 0x0a, 1, 2];
        let structure = [0x80, 0, 1, 0x80];

        assert!(is_key_frame(AV1, &header, None));
        assert!(is_key_frame(AV1, &header, Some(&structure)));
        assert!(!is_key_frame(AV1, &header, Some(&[0x80, 0, 1])), "of another layer");
        assert!(is_key_frame(AV1, &header, Some(&[0x80])), "a damaged one is none");
    }

    #[test]
    fn an_h264_stream_names_its_profile() {
        assert_eq!(h264_profile(&[0x67, 0x42, 0xc0, 0x1f, 1]), Some([0x42, 0xc0]));
        assert_eq!(h264_profile(&[0x78, 0, 1, 0x68, 0, 4, 0x67, 0x64, 0, 0x1f]), Some([0x64, 0]));
        for without in
            [&[][..], &[0x65, 1, 2], &[0x67, 0x42], &[0x78, 0, 9, 0x67, 1, 2], &[0x7c, 0x87, 1, 2]]
        {
            assert_eq!(h264_profile(without), None, "{without:x?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_it_panic(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            for codec in [Codec::Vp8, VP9, H264, AV1, Codec::Red] {
                is_key_frame(codec, &payload, None);
                is_key_frame(codec, &[], Some(&payload));
            }
            h264_profile(&payload);
        }
    }
}
