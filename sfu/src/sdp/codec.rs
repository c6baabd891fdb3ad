//! What may be negotiated for an m-line: codecs and header extensions that the packet path knows.

use rtc_sdp::MediaDescription;

use crate::MediaKind;

/// A codec as far as forwarding must tell one from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Opus,
    Vp8,
    /// RFC 6184 §8.1: streams differ in `packetization-mode` and in profile (the first two bytes of
    /// `profile-level-id`); the level may differ.
    H264 {
        packetization_mode: u8,
        profile: [u8; 2],
    },
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
        (MediaKind::Audio, "opus/48000/2") => Codec::Opus,
        (MediaKind::Video, "vp8/90000") => Codec::Vp8,
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

fn h264(fmtp: &str) -> Option<Codec> {
    let value = |name: &str| {
        fmtp.split(';').find_map(|part| {
            let (key, value) = part.trim().split_once('=')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    };
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

/// Whether a stream of the published codec can be put, unchanged, where the other one was negotiated.
pub(crate) fn same_stream_format(published: Codec, received: Codec) -> bool {
    published == received
}

/// A header extension that is read here or passed on (RFC 8285).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    /// Transport-wide sequence numbers (draft-holmer-rmcat-transport-wide-cc-extensions-01). Read, not passed on.
    TransportSequence,
    /// RFC 9143 §15: tells which m-line an unknown SSRC belongs to. Read, not passed on.
    Mid,
    /// RFC 6464. Read and passed on.
    AudioLevel,
    /// 3GPP TS 26.114 §7.4.5: the rotation of the camera. Passed on.
    VideoOrientation,
    /// `playout-delay`: passed on.
    PlayoutDelay,
    /// `abs-capture-time`: passed on.
    AbsoluteCaptureTime,
}

const EXTENSIONS: [(Extension, &str); 6] = [
    (
        Extension::TransportSequence,
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    ),
    (Extension::Mid, "urn:ietf:params:rtp-hdrext:sdes:mid"),
    (Extension::AudioLevel, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
    (Extension::VideoOrientation, "urn:3gpp:video-orientation"),
    (Extension::PlayoutDelay, "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"),
    (
        Extension::AbsoluteCaptureTime,
        "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
    ),
];

impl Extension {
    /// Whether receivers get it too: it says something of the media, not of the publisher's connection.
    pub(crate) fn is_passed_on(self) -> bool {
        match self {
            Extension::Mid | Extension::TransportSequence => false,
            Extension::AudioLevel
            | Extension::VideoOrientation
            | Extension::PlayoutDelay
            | Extension::AbsoluteCaptureTime => true,
        }
    }
}

/// The negotiated ids of an m-line's header extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExtensionMap(Vec<(u8, Extension)>);

impl ExtensionMap {
    /// The offered extensions that this server knows.
    pub(crate) fn offered(media: &MediaDescription) -> ExtensionMap {
        let extmaps = media.attributes.iter().filter(|attribute| attribute.key == "extmap");
        let known = extmaps.filter_map(|attribute| {
            let mut words = attribute.value.as_deref()?.split_ascii_whitespace();
            // An id may carry a direction: `3/sendonly`. RFC 8285 §8.
            let id = words.next()?.split('/').next()?.parse().ok()?;
            let uri = words.next()?;
            let (extension, _) = EXTENSIONS.iter().find(|(_, known)| *known == uri)?;
            (1..=255).contains(&id).then_some((id, *extension))
        });
        ExtensionMap(known.collect())
    }

    /// The id under which an extension travels on this m-line.
    pub(crate) fn id_of(&self, extension: Extension) -> Option<u8> {
        self.0.iter().find(|(_, known)| *known == extension).map(|(id, _)| *id)
    }

    /// The extension that travels under an id.
    pub(crate) fn extension(&self, id: u8) -> Option<Extension> {
        self.0.iter().find(|(known, _)| *known == id).map(|(_, extension)| *extension)
    }

    /// `a=extmap` values, in the order of the offer.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().filter_map(|(id, extension)| {
            let (_, uri) = EXTENSIONS.iter().find(|(known, _)| known == extension)?;
            Some(format!("{id} {uri}"))
        })
    }
}
