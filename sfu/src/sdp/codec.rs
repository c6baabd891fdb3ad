//! The codecs that may be negotiated for an m-line.

use rtc_sdp::MediaDescription;

use crate::MediaKind;
use crate::track::clock_rate;

/// A codec as far as forwarding must tell one from another: a published stream can be put, unchanged, where an equal one
/// was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Opus,
    /// Opus that repeats earlier packets (RFC 2198).
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
    /// Ticks a second of its RTP timestamps.
    pub(crate) fn clock_rate(self) -> u32 {
        match self {
            Codec::Opus | Codec::Red => clock_rate(MediaKind::Audio),
            Codec::Vp8 | Codec::Vp9 { .. } | Codec::Av1 { .. } | Codec::H264 { .. } => {
                clock_rate(MediaKind::Video)
            }
        }
    }
}

/// One payload type of an m-line with its codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) payload_type: u8,
    pub(crate) codec: Codec,
    /// `a=rtpmap`'s value without the payload type, as offered.
    pub(crate) rtpmap: String,
    /// `a=fmtp`'s value without the payload type, as offered.
    pub(crate) fmtp: Option<String>,
    /// The offered `a=rtcp-fb` values that this server acts on.
    pub(crate) feedback: Vec<&'static str>,
    /// The payload type under which lost packets of this one are sent again (RFC 4588 §8.6).
    pub(crate) rtx: Option<u8>,
}

impl Payload {
    /// Whether lost packets may be asked for.
    pub(crate) fn has_nack(&self) -> bool {
        self.feedback.contains(&NACK)
    }
}

const NACK: &str = "nack";
const TRANSPORT_CC: &str = "transport-cc";
/// The feedback that the media plane acts on: RFC 4585 §4.2, RFC 5104 §7.1, and transport-wide congestion control.
const AUDIO_FEEDBACK: &[&str] = &[NACK, TRANSPORT_CC];
const VIDEO_FEEDBACK: &[&str] = &[NACK, "nack pli", "ccm fir", TRANSPORT_CC];

const OPUS: &str = "opus/48000/2";

/// The default of RFC 6184 §8.1 when `profile-level-id` is absent: Baseline, level 1.
const H264_BASELINE: [u8; 2] = [0x42, 0x00];

/// The payload types of an offered m-line that this server can forward, in the offerer's order of preference.
pub(crate) fn payloads(media: &MediaDescription, kind: MediaKind) -> Vec<Payload> {
    let formats = media.media_name.formats.iter();
    formats.filter_map(|format| payload(media, kind, format.parse().ok()?)).collect()
}

fn payload(media: &MediaDescription, kind: MediaKind, payload_type: u8) -> Option<Payload> {
    // RFC 5761 §4: 64–95 would collide with RTCP's packet types.
    if payload_type > 127 || (64..96).contains(&payload_type) {
        return None;
    }
    let rtpmap = parameter(media, "rtpmap", payload_type)?;
    let fmtp = parameter(media, "fmtp", payload_type);
    let codec = match (kind, rtpmap.to_ascii_lowercase().as_str()) {
        (MediaKind::Audio, OPUS) => Codec::Opus,
        (MediaKind::Audio, "red/48000/2") => red(media, fmtp?)?,
        (MediaKind::Video, "vp8/90000") => Codec::Vp8,
        (MediaKind::Video, "vp9/90000") => Codec::Vp9 { profile: profile(fmtp, "profile-id")? },
        (MediaKind::Video, "av1/90000") => Codec::Av1 { profile: profile(fmtp, "profile")? },
        (MediaKind::Video, "h264/90000") => h264(fmtp.unwrap_or_default())?,
        _ => return None,
    };
    let offered = |value: &&&str| {
        media.attributes.iter().filter(|attribute| attribute.key == "rtcp-fb").any(|attribute| {
            let text = attribute.value.as_deref().unwrap_or_default();
            text.split_once(' ').is_some_and(|(to, feedback)| {
                (to == "*" || to.parse() == Ok(payload_type)) && feedback.trim() == **value
            })
        })
    };
    let known = match kind {
        MediaKind::Audio => AUDIO_FEEDBACK,
        MediaKind::Video => VIDEO_FEEDBACK,
    };
    Some(Payload {
        payload_type,
        codec,
        rtpmap: rtpmap.to_owned(),
        fmtp: fmtp.map(str::to_owned),
        feedback: known.iter().filter(offered).copied().collect(),
        rtx: rtx_of(media, payload_type),
    })
}

/// The payload type whose `a=fmtp` says `apt=` this one.
fn rtx_of(media: &MediaDescription, payload_type: u8) -> Option<u8> {
    let formats = media.media_name.formats.iter();
    formats.filter_map(|format| format.parse().ok()).find(|&rtx| {
        let is_rtx = parameter(media, "rtpmap", rtx)
            .is_some_and(|rtpmap| rtpmap.to_ascii_lowercase().starts_with("rtx/"));
        let apt = parameter(media, "fmtp", rtx).and_then(|fmtp| {
            fmtp.split(';').find_map(|part| part.trim().strip_prefix("apt=")?.parse().ok())
        });
        is_rtx && apt == Some(payload_type)
    })
}

/// The value of `a=key:<payload type> <value>`.
fn parameter<'a>(media: &'a MediaDescription, key: &str, payload_type: u8) -> Option<&'a str> {
    media.attributes.iter().filter(|attribute| attribute.key == key).find_map(|attribute| {
        let (of, value) = attribute.value.as_deref()?.split_once(' ')?;
        (of.parse() == Ok(payload_type)).then(|| value.trim())
    })
}

/// The value of one parameter of an `a=fmtp`.
pub(super) fn fmtp_value<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';').find_map(|part| {
        let (key, value) = part.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// RFC 2198 §5 and RFC 4102: the blocks' payload types, here all of them that of Opus.
fn red(media: &MediaDescription, fmtp: &str) -> Option<Codec> {
    let is_opus = |block: &str| {
        block.trim().parse().is_ok_and(|payload_type| {
            parameter(media, "rtpmap", payload_type)
                .is_some_and(|rtpmap| rtpmap.eq_ignore_ascii_case(OPUS))
        })
    };
    fmtp.split('/').all(is_opus).then_some(Codec::Red)
}

/// A profile that is 0 when it isn't named.
fn profile(fmtp: Option<&str>, name: &str) -> Option<u8> {
    fmtp_value(fmtp.unwrap_or_default(), name).unwrap_or("0").parse().ok()
}

fn h264(fmtp: &str) -> Option<Codec> {
    let value = |name| fmtp_value(fmtp, name);
    let packetization_mode = value("packetization-mode").unwrap_or("0").parse().ok()?;
    let profile = match value("profile-level-id") {
        None => H264_BASELINE,
        Some(hex) => {
            let level_id = u32::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 6)?;
            [(level_id >> 16) as u8, (level_id >> 8) as u8]
        }
    };
    Some(Codec::H264 { packetization_mode, profile })
}
