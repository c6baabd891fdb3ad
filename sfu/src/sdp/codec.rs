//! The codecs offered on an m-line.

use rtc_sdp::MediaDescription;

use crate::MediaKind;
use crate::rtp::Codec;

/// A payload type of an m-line, and its codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) payload_type: u8,
    pub(crate) codec: Codec,
    /// The value of `a=rtpmap` without the payload type, as offered.
    pub(crate) rtpmap: String,
    /// The value of `a=fmtp` without the payload type, as offered.
    pub(crate) fmtp: Option<String>,
    /// The offered `a=rtcp-fb` values that this server supports.
    pub(crate) feedback: Vec<&'static str>,
    /// The payload type of its retransmissions (RTX, RFC 4588 §8.6).
    pub(crate) rtx: Option<u8>,
}

impl Payload {
    /// Whether NACK was negotiated.
    pub(crate) fn has_nack(&self) -> bool {
        self.feedback.contains(&NACK)
    }

    /// Whether TWCC feedback was negotiated.
    pub(crate) fn has_transport_feedback(&self) -> bool {
        self.feedback.contains(&TRANSPORT_CC)
    }
}

const NACK: &str = "nack";
const TRANSPORT_CC: &str = "transport-cc";
/// The feedback that the media plane supports: RFC 4585 §4.2, RFC 5104 §7.1, and TWCC.
const AUDIO_FEEDBACK: &[&str] = &[NACK, TRANSPORT_CC];
const VIDEO_FEEDBACK: &[&str] = &[NACK, "nack pli", "ccm fir", TRANSPORT_CC];
/// For video that the client receives, also REMB (draft-alvestrand-rmcat-remb).
const SLOT_FEEDBACK: &[&str] = &[NACK, "nack pli", "ccm fir", TRANSPORT_CC, "goog-remb"];

const OPUS: &str = "opus/48000/2";

/// The default if `profile-level-id` is absent (RFC 6184 §8.1): Baseline, level 1.
const H264_BASELINE: [u8; 2] = [0x42, 0x00];

/// The payload types of an offered m-line that this server can forward, in the order of the offer.
pub(crate) fn payloads(media: &MediaDescription, kind: MediaKind) -> Vec<Payload> {
    let known = match kind {
        MediaKind::Audio => AUDIO_FEEDBACK,
        MediaKind::Video if media.has_attribute("recvonly") => SLOT_FEEDBACK,
        MediaKind::Video => VIDEO_FEEDBACK,
    };
    let described = Described::read(media, known);
    let types = described.types.iter();
    types.filter_map(|&payload_type| payload(&described, kind, known, payload_type)).collect()
}

fn payload(
    described: &Described<'_>,
    kind: MediaKind,
    known: &[&'static str],
    payload_type: u8,
) -> Option<Payload> {
    let rtpmap = described.rtpmap(payload_type)?;
    let fmtp = described.fmtp(payload_type);
    let codec = match (kind, rtpmap.to_ascii_lowercase().as_str()) {
        (MediaKind::Audio, OPUS) => Codec::Opus,
        (MediaKind::Audio, "red/48000/2") => red(described, fmtp?)?,
        (MediaKind::Video, "vp8/90000") => Codec::Vp8,
        (MediaKind::Video, "vp9/90000") => Codec::Vp9 { profile: profile(fmtp, "profile-id")? },
        (MediaKind::Video, "av1/90000") => Codec::Av1 { profile: profile(fmtp, "profile")? },
        (MediaKind::Video, "h264/90000") => h264(fmtp.unwrap_or_default())?,
        _ => return None,
    };
    let offered = described.feedback[usize::from(payload_type)];
    let feedback = known.iter().enumerate().filter(|(place, _)| offered >> place & 1 == 1);
    Some(Payload {
        payload_type,
        codec,
        rtpmap: rtpmap.to_owned(),
        fmtp: fmtp.map(str::to_owned),
        feedback: feedback.map(|(_, value)| *value).collect(),
        rtx: described.rtx_of(payload_type),
    })
}

/// The attributes of an m-line by payload type. They are gathered in one pass, because an m-line may have thousands of
/// lines.
struct Described<'a> {
    /// The usable payload types, each once, in order of preference.
    types: Vec<u8>,
    rtpmaps: [Option<&'a str>; PAYLOAD_TYPES],
    fmtps: [Option<&'a str>; PAYLOAD_TYPES],
    /// A bit for each supported feedback, by its index in the list.
    feedback: [u8; PAYLOAD_TYPES],
}

const PAYLOAD_TYPES: usize = 128;

impl<'a> Described<'a> {
    fn read(media: &'a MediaDescription, known: &[&str]) -> Described<'a> {
        let mut described = Described {
            types: Vec::new(),
            rtpmaps: [None; PAYLOAD_TYPES],
            fmtps: [None; PAYLOAD_TYPES],
            feedback: [0; PAYLOAD_TYPES],
        };
        let mut is_known = [false; PAYLOAD_TYPES];
        for payload_type in media.media_name.formats.iter().filter_map(|format| format.parse().ok())
        {
            // RFC 5761 §4: 64–95 would collide with the packet types of RTCP.
            let is_usable = matches!(payload_type, 0..64 | 96..128);
            if is_usable && !std::mem::replace(&mut is_known[usize::from(payload_type)], true) {
                described.types.push(payload_type);
            }
        }
        for attribute in &media.attributes {
            if let Some((of, value)) =
                attribute.value.as_deref().and_then(|text| text.split_once(' '))
            {
                described.note(&attribute.key, of, value.trim(), known);
            }
        }
        described
    }

    /// Takes one attribute; of several with the same meaning, the first one counts.
    fn note(&mut self, key: &str, of: &str, value: &'a str, known: &[&str]) {
        let payload_type = of.parse::<usize>().ok().filter(|at| *at < PAYLOAD_TYPES);
        match (key, payload_type) {
            ("rtpmap", Some(at)) => _ = self.rtpmaps[at].get_or_insert(value),
            ("fmtp", Some(at)) => _ = self.fmtps[at].get_or_insert(value),
            ("rtcp-fb", _) => {
                let bit = known.iter().position(|known| *known == value).map_or(0, |at| 1 << at);
                match payload_type {
                    Some(at) => self.feedback[at] |= bit,
                    None if of == "*" => self.feedback.iter_mut().for_each(|bits| *bits |= bit),
                    None => {}
                }
            }
            _ => {}
        }
    }

    fn rtpmap(&self, payload_type: u8) -> Option<&'a str> {
        *self.rtpmaps.get(usize::from(payload_type))?
    }

    fn fmtp(&self, payload_type: u8) -> Option<&'a str> {
        *self.fmtps.get(usize::from(payload_type))?
    }

    /// The payload type whose `a=fmtp` has `apt=` with this one.
    fn rtx_of(&self, payload_type: u8) -> Option<u8> {
        self.types.iter().copied().find(|&rtx| {
            let is_rtx = self
                .rtpmap(rtx)
                .is_some_and(|rtpmap| rtpmap.to_ascii_lowercase().starts_with("rtx/"));
            let apt = self.fmtp(rtx).filter(|_| is_rtx).and_then(|fmtp| {
                fmtp.split(';').find_map(|part| part.trim().strip_prefix("apt=")?.parse().ok())
            });
            apt == Some(payload_type)
        })
    }
}

/// The value of one `a=fmtp` parameter.
pub(super) fn fmtp_value<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';').find_map(|part| {
        let (key, value) = part.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// RFC 2198 §5 and RFC 4102: the payload types of the blocks, all of which must be Opus.
fn red(described: &Described<'_>, fmtp: &str) -> Option<Codec> {
    let is_opus = |block: &str| {
        block.trim().parse().is_ok_and(|payload_type| {
            described.rtpmap(payload_type).is_some_and(|rtpmap| rtpmap.eq_ignore_ascii_case(OPUS))
        })
    };
    fmtp.split('/').all(is_opus).then_some(Codec::Red)
}

/// The profile; 0 if absent.
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
