//! The codecs that the server forwards, and which receivers can decode which streams.
//!
//! A stream is forwarded unchanged, so compatibility is a relation between what a receiver negotiated and what a
//! publisher sends, not equality of their parameters:
//!
//! | codec | a receiver decodes | by |
//! | --- | --- | --- |
//! | Opus | Opus, and RED, which the server unwraps for it | RFC 2198 |
//! | RED | RED | |
//! | VP8 | every VP8 stream | RFC 7741 §6 |
//! | VP9 | its `profile-id` alone: profiles differ in bit depth and subsampling, so none contains another | RFC 9628 §6 |
//! | AV1 | its `profile` and lower ones: Main ⊂ High ⊂ Professional | AV1 specification, annex A.2 |
//! | H264 | profiles whose tools it has (see `h264`); packetization mode 0 also with mode 1 | RFC 6184 §8.1, §5.4 |
//!
//! For H264, the profile that counts is the one in the stream's sequence parameter set, if the negotiated profile contains it:
//! browsers that negotiate Baseline send Constrained Baseline, which is decoded much more widely.
//!
//! Levels and tiers are ignored. They bound the size and the bitrate of a stream, not its syntax; receivers may state
//! lower ones than their decoders support, and `level-asymmetry-allowed` (RFC 6184 §8.1) as well as AV1's `level-idx`
//! and `tier` (AV1 RTP payload format §7.2) describe one direction only. Simulcast and bandwidth estimation bound the
//! size instead.

mod h264;
mod receivers;

pub use receivers::Receivers;

/// A codec with the parameters that decide which receivers can decode a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// Opus with redundancy: packets repeat earlier ones (RED, RFC 2198).
    Red,
    /// RFC 7741.
    Vp8,
    /// RFC 9628 §6.
    Vp9 {
        /// `profile-id`
        profile: u8,
    },
    /// AV1 RTP payload format 1.0, §7.2.
    Av1 {
        /// `profile`: 0 is Main, 1 High, 2 Professional.
        profile: u8,
    },
    /// RFC 6184 §8.1.
    H264 {
        /// `packetization-mode`
        packetization_mode: u8,
        /// The first two bytes of `profile-level-id`: `profile_idc` and `profile-iop`.
        profile: [u8; 2],
    },
}

impl Codec {
    /// Whether a receiver that negotiated this codec can decode such a stream; see the module's text.
    pub fn decodes(self, stream: Codec) -> bool {
        match (self, stream) {
            (Codec::Opus, Codec::Opus | Codec::Red)
            | (Codec::Red, Codec::Red)
            | (Codec::Vp8, Codec::Vp8) => true,
            (Codec::Vp9 { profile: own }, Codec::Vp9 { profile }) => own == profile,
            (Codec::Av1 { profile: own }, Codec::Av1 { profile }) => own >= profile,
            (
                Codec::H264 { packetization_mode: own_mode, profile: own },
                Codec::H264 { packetization_mode, profile },
            ) => {
                // RFC 6184 §5.4, table 3: mode 1 has all packet types of mode 0; mode 2 lacks them.
                let has_mode =
                    own_mode == packetization_mode || (own_mode, packetization_mode) == (1, 0);
                has_mode && h264::decodes(own, profile)
            }
            (
                Codec::Opus
                | Codec::Red
                | Codec::Vp8
                | Codec::Vp9 { .. }
                | Codec::Av1 { .. }
                | Codec::H264 { .. },
                _,
            ) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vp9_profiles_exclude_each_other() {
        for (own, profile) in pairs(4) {
            let decodes = Codec::Vp9 { profile: own }.decodes(Codec::Vp9 { profile });
            assert_eq!(decodes, own == profile, "{own} {profile}");
        }
    }

    #[test]
    fn av1_profiles_contain_each_other() {
        for (own, profile) in pairs(3) {
            let decodes = Codec::Av1 { profile: own }.decodes(Codec::Av1 { profile });
            assert_eq!(decodes, profile <= own, "{own} {profile}");
        }
    }

    #[test]
    fn h264_in_packetization_mode_1_contains_mode_0() {
        let h264 = |packetization_mode| Codec::H264 { packetization_mode, profile: [0x42, 0xe0] };
        let decoded = pairs(3).filter(|(own, stream)| h264(*own).decodes(h264(*stream)));
        assert_eq!(decoded.collect::<Vec<_>>(), [(0, 0), (1, 0), (1, 1), (2, 2)]);
    }

    #[test]
    fn only_opus_decodes_another_codec() {
        let all = [
            Codec::Opus,
            Codec::Red,
            Codec::Vp8,
            Codec::Vp9 { profile: 0 },
            Codec::Av1 { profile: 0 },
            Codec::H264 { packetization_mode: 1, profile: [0x42, 0xe0] },
        ];
        for (at, own) in all.into_iter().enumerate() {
            for (of, stream) in all.into_iter().enumerate() {
                let is_red_to_opus = (own, stream) == (Codec::Opus, Codec::Red);
                assert_eq!(own.decodes(stream), at == of || is_red_to_opus, "{own:?} {stream:?}");
            }
        }
    }

    fn pairs(count: u8) -> impl Iterator<Item = (u8, u8)> {
        (0..count).flat_map(move |own| (0..count).map(move |stream| (own, stream)))
    }
}
