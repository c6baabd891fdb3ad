//! The codecs that the server forwards.

use crate::MediaKind;
use crate::media::clock_rate;

/// A codec with the parameters that matter for forwarding: a stream can be forwarded unchanged wherever an equal codec
/// was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Opus,
    /// Opus with redundancy: packets repeat earlier ones (RED, RFC 2198).
    Red,
    Vp8,
    /// RFC 9628 §6: streams differ in `profile-id`.
    Vp9 {
        profile: u8,
    },
    /// AV1 RTP payload format 1.0, §7.2: streams differ in `profile`; `level-idx` and `tier` may differ.
    Av1 {
        profile: u8,
    },
    /// RFC 6184 §8.1: streams differ in `packetization-mode` and in profile (the first two bytes of
    /// `profile-level-id`); the level may differ.
    H264 {
        packetization_mode: u8,
        profile: [u8; 2],
    },
}

impl Codec {
    /// RTP clock ticks per second.
    pub(crate) fn clock_rate(self) -> u32 {
        match self {
            Codec::Opus | Codec::Red => clock_rate(MediaKind::Audio),
            Codec::Vp8 | Codec::Vp9 { .. } | Codec::Av1 { .. } | Codec::H264 { .. } => {
                clock_rate(MediaKind::Video)
            }
        }
    }
}
