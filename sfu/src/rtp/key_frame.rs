//! Whether a packet starts a key frame, which is where a switch of streams may happen.

use super::vp8;
use crate::sdp::Codec;

/// Whether `payload` (without padding) is the start of a key frame. A damaged one is not.
pub(crate) fn is_key_frame(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Vp8 => is_vp8_key_frame(payload),
        Codec::H264 { .. } => is_h264_key_frame(payload),
        Codec::Opus => false,
    }
}

/// RFC 7741 §4.3: the inverse key frame flag P is the lowest bit of the VP8 payload header, which
/// stands at the start of the first partition.
fn is_vp8_key_frame(payload: &[u8]) -> bool {
    let Some(descriptor) = vp8::Descriptor::parse(payload) else {
        return false;
    };
    descriptor.starts_frame() && payload.get(descriptor.len).is_some_and(|head| head & 1 == 0)
}

/// RFC 6184 §5.2: an IDR picture or the sequence parameter set that goes ahead of it, alone, in an
/// aggregate, or as the first fragment.
fn is_h264_key_frame(payload: &[u8]) -> bool {
    const STAP_A: u8 = 24;
    const FU_A: u8 = 28;
    const START: u8 = 0x80;

    let Some((indicator, rest)) = payload.split_first() else {
        return false;
    };
    match indicator & 0x1f {
        STAP_A => aggregated(rest).any(is_key_nal),
        FU_A => rest.first().is_some_and(|head| head & START != 0 && is_key_nal(*head)),
        _ => is_key_nal(*indicator),
    }
}

/// Whether the NAL unit type in the low five bits is IDR or SPS.
fn is_key_nal(head: u8) -> bool {
    const IDR: u8 = 5;
    const SPS: u8 = 7;
    matches!(head & 0x1f, IDR | SPS)
}

/// The first bytes of a STAP-A's NAL units, as far as they are whole (RFC 6184 §5.7.1).
fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (size, behind) = rest.split_first_chunk()?;
        let (unit, behind) = behind.split_at_checked(u16::from_be_bytes(*size).into())?;
        rest = behind;
        unit.first().copied()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const H264: Codec = Codec::H264 { packetization_mode: 1, profile: [0x42, 0xe0] };

    #[test]
    fn a_vp8_key_frame_has_p_clear_in_its_first_partition() {
        let is_key = |payload: &[u8]| is_key_frame(Codec::Vp8, payload);

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
        let is_key = |payload: &[u8]| is_key_frame(H264, payload);

        assert!(is_key(&[0x65, 1, 2]), "IDR");
        assert!(is_key(&[0x67, 1, 2]), "SPS");
        assert!(!is_key(&[0x68, 1, 2]), "PPS");
        assert!(!is_key(&[0x61, 1, 2]), "another slice");
        assert!(!is_key(&[]));
    }

    #[test]
    fn an_h264_aggregate_is_looked_into() {
        let is_key = |payload: &[u8]| is_key_frame(H264, payload);

        assert!(is_key(&[24, 0, 2, 0x68, 1, 0, 1, 0x65]), "PPS, IDR");
        assert!(!is_key(&[24, 0, 2, 0x68, 1, 0, 1, 0x61]), "PPS, slice");
        assert!(!is_key(&[24, 0, 2, 0x68, 1, 0, 9, 0x65]), "cut off");
        assert!(!is_key(&[24, 0, 0, 0, 1, 0x65]), "an empty unit ends the list");
        assert!(!is_key(&[24]));
    }

    #[test]
    fn an_h264_fragment_counts_when_it_is_the_first() {
        let is_key = |payload: &[u8]| is_key_frame(H264, payload);

        assert!(is_key(&[0x7c, 0x85, 1]), "start of an IDR");
        assert!(!is_key(&[0x7c, 0x05, 1]), "middle of an IDR");
        assert!(!is_key(&[0x7c, 0x81, 1]), "start of another slice");
        assert!(!is_key(&[0x7c]));
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_it_panic(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            is_key_frame(Codec::Vp8, &payload);
            is_key_frame(H264, &payload);
        }
    }
}
