//! The codecs offered on an m-line.

use super::description::{Direction, Media};
use crate::codec::Codec;
use crate::{MediaKind, NegotiatedCodec};

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

    /// The codec, for the caller of the media plane.
    pub(crate) fn negotiated(&self) -> NegotiatedCodec {
        let name = self.rtpmap.split('/').next().unwrap_or_default();
        let kind = match self.codec {
            Codec::Opus | Codec::Red => "audio",
            Codec::Vp8 | Codec::Vp9 { .. } | Codec::Av1 { .. } | Codec::H264 { .. } => "video",
        };
        NegotiatedCodec {
            codec: self.codec,
            mime_type: format!("{kind}/{name}"),
            fmtp: self.fmtp.clone(),
        }
    }

    /// Whether TWCC feedback was negotiated.
    pub(crate) fn has_transport_feedback(&self) -> bool {
        self.feedback.contains(&TRANSPORT_CC)
    }
}

/// The payload type in which a receiver gets a stream: the same codec, else one with the same abilities (as two spellings
/// of one H264 profile), else the first one that decodes it. `None` if none does.
pub(crate) fn best_match(payloads: &[Payload], stream: Codec) -> Option<&Payload> {
    let is_equivalent = |own: Codec| own.decodes(stream) && stream.decodes(own);
    let first = |fits: &dyn Fn(Codec) -> bool| payloads.iter().find(|payload| fits(payload.codec));
    first(&|own| own == stream)
        .or_else(|| first(&is_equivalent))
        .or_else(|| first(&|own| own.decodes(stream)))
}

const NACK: &str = "nack";
const TRANSPORT_CC: &str = "transport-cc";
/// The feedback that the media plane supports: RFC 4585 §4.2, RFC 5104 §7.1, and TWCC.
const AUDIO_FEEDBACK: &[&str] = &[NACK, TRANSPORT_CC];
const VIDEO_FEEDBACK: &[&str] = &[NACK, "nack pli", "ccm fir", TRANSPORT_CC];
/// For video that the client receives, also REMB (draft-alvestrand-rmcat-remb).
const SLOT_FEEDBACK: &[&str] = &[NACK, "nack pli", "ccm fir", TRANSPORT_CC, "goog-remb"];

/// The default if `profile-level-id` is absent (RFC 6184 §8.1): Baseline, level 1.
const H264_BASELINE: [u8; 2] = [0x42, 0x00];

/// The payload types of an offered m-line that this server can forward, in the order of the offer. Payload types whose
/// attributes can't be read are left out.
pub(super) fn payloads(media: &Media<'_>, kind: MediaKind, direction: Direction) -> Vec<Payload> {
    let known = match kind {
        MediaKind::Audio => AUDIO_FEEDBACK,
        MediaKind::Video if direction == Direction::ReceiveOnly => SLOT_FEEDBACK,
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
    let codec = match (kind, name_and_clock_rate(rtpmap)?) {
        (MediaKind::Audio, ("opus", 48_000)) => Codec::Opus,
        (MediaKind::Audio, ("red", 48_000)) => red(described, fmtp?)?,
        (MediaKind::Video, ("vp8", 90_000)) => Codec::Vp8,
        (MediaKind::Video, ("vp9", 90_000)) => Codec::Vp9 { profile: profile(fmtp, "profile-id")? },
        (MediaKind::Video, ("av1", 90_000)) => Codec::Av1 { profile: profile(fmtp, "profile")? },
        (MediaKind::Video, ("h264", 90_000)) => h264(fmtp.unwrap_or_default())?,
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
        rtx: described.rtx[usize::from(payload_type)],
    })
}

/// The codecs whose names are compared, in lower case. Names are case-insensitive (RFC 4855 §3).
const NAMES: [&str; 7] = ["opus", "red", "rtx", "vp8", "vp9", "av1", "h264"];

/// The codec's name and clock rate in the value of an `a=rtpmap`. Channels are not compared: Opus has one payload
/// format, and offers may leave them out. `None` if the codec is unknown.
fn name_and_clock_rate(rtpmap: &str) -> Option<(&'static str, u32)> {
    let mut parts = rtpmap.split('/');
    let name = parts.next()?;
    let name = NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name))?;
    Some((name, parts.next()?.trim().parse().ok()?))
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
    /// The payload type of the retransmissions of each.
    rtx: [Option<u8>; PAYLOAD_TYPES],
}

const PAYLOAD_TYPES: usize = 128;

impl<'a> Described<'a> {
    fn read(media: &Media<'a>, known: &[&str]) -> Described<'a> {
        let mut described = Described {
            types: Vec::new(),
            rtpmaps: [None; PAYLOAD_TYPES],
            fmtps: [None; PAYLOAD_TYPES],
            feedback: [0; PAYLOAD_TYPES],
            rtx: [None; PAYLOAD_TYPES],
        };
        let mut is_known = [false; PAYLOAD_TYPES];
        for payload_type in media.formats().filter_map(|format| format.parse().ok()) {
            // RFC 5761 §4: 64–95 would collide with the packet types of RTCP.
            let is_usable = matches!(payload_type, 0..64 | 96..128);
            if is_usable && !std::mem::replace(&mut is_known[usize::from(payload_type)], true) {
                described.types.push(payload_type);
            }
        }
        for attribute in media.section.attributes() {
            if let Some((of, value)) = attribute.value.split_once([' ', '\t']) {
                described.note(attribute.key, of, value.trim(), known);
            }
        }
        described.pair_retransmissions();
        described
    }

    /// Takes one attribute; of several with the same meaning, the first one counts.
    fn note(&mut self, key: &str, of: &str, value: &'a str, known: &[&str]) {
        let payload_type = of.parse::<usize>().ok().filter(|at| *at < PAYLOAD_TYPES);
        match (key, payload_type) {
            ("rtpmap", Some(at)) => _ = self.rtpmaps[at].get_or_insert(value),
            ("fmtp", Some(at)) => _ = self.fmtps[at].get_or_insert(value),
            ("rtcp-fb", _) => {
                let is_it = |known: &&str| value.split_ascii_whitespace().eq(known.split(' '));
                let bit = known.iter().position(is_it).map_or(0, |at| 1 << at);
                match payload_type {
                    Some(at) => self.feedback[at] |= bit,
                    None if of == "*" => self.feedback.iter_mut().for_each(|bits| *bits |= bit),
                    None => {}
                }
            }
            _ => {}
        }
    }

    /// Finds the payload types whose `a=fmtp` has `apt=` with another one.
    fn pair_retransmissions(&mut self) {
        for &rtx in &self.types {
            let is_rtx = self
                .rtpmap(rtx)
                .and_then(name_and_clock_rate)
                .is_some_and(|(name, _)| name == "rtx");
            let apt = self.fmtp(rtx).filter(|_| is_rtx).and_then(|fmtp| fmtp_value(fmtp, "apt"));
            let repeated = apt.and_then(|apt| self.rtx.get_mut(apt.parse::<usize>().ok()?));
            if let Some(first) = repeated {
                first.get_or_insert(rtx);
            }
        }
    }

    fn rtpmap(&self, payload_type: u8) -> Option<&'a str> {
        *self.rtpmaps.get(usize::from(payload_type))?
    }

    fn fmtp(&self, payload_type: u8) -> Option<&'a str> {
        *self.fmtps.get(usize::from(payload_type))?
    }
}

/// The value of one `a=fmtp` parameter.
pub(super) fn fmtp_value<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';').find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// RFC 2198 §5 and RFC 4102: the payload types of the blocks, all of which must be Opus.
fn red(described: &Described<'_>, fmtp: &str) -> Option<Codec> {
    let is_opus = |block: &str| {
        let rtpmap =
            block.trim().parse().ok().and_then(|payload_type| described.rtpmap(payload_type));
        rtpmap.and_then(name_and_clock_rate) == Some(("opus", 48_000))
    };
    fmtp.split('/').all(is_opus).then_some(Codec::Red)
}

/// The profile; 0 if absent.
fn profile(fmtp: Option<&str>, name: &str) -> Option<u8> {
    fmtp_value(fmtp.unwrap_or_default(), name).unwrap_or("0").parse().ok()
}

fn h264(fmtp: &str) -> Option<Codec> {
    let value = |name| fmtp_value(fmtp, name);
    // RFC 6184 §8.1: 0, 1 or 2.
    let packetization_mode = value("packetization-mode").unwrap_or("0").parse().ok()?;
    let profile = match value("profile-level-id") {
        None => H264_BASELINE,
        Some(hex) => {
            let level_id = u32::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 6)?;
            [(level_id >> 16) as u8, (level_id >> 8) as u8]
        }
    };
    (packetization_mode <= 2).then_some(Codec::H264 { packetization_mode, profile })
}
