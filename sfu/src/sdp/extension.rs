//! The RTP header extensions that can be negotiated for an m-line (RFC 8285).

use super::description::Section;

/// A header extension that the server reads or passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    /// The transport-wide sequence number of TWCC (draft-holmer-rmcat-transport-wide-cc-extensions-01). Read, not
    /// passed on.
    TransportSequence,
    /// RFC 9143 §15: the m-line that the SSRC belongs to. Read, not passed on.
    Mid,
    /// RFC 8852: the simulcast encoding that the SSRC carries. Read, not passed on.
    StreamId,
    /// RFC 8852: the simulcast encoding that a retransmission belongs to. Read, not passed on.
    RepairedStreamId,
    /// `abs-send-time`: when a packet was sent. Not passed on: receivers get the time at which it left the server.
    AbsoluteSendTime,
    /// RFC 6464: the audio level. Read and passed on.
    AudioLevel,
    /// 3GPP TS 26.114 §7.4.5: the rotation of the camera. Passed on.
    VideoOrientation,
    /// `playout-delay`. Passed on.
    PlayoutDelay,
    /// `abs-capture-time`. Passed on.
    AbsoluteCaptureTime,
    /// AV1 RTP payload format 1.0, appendix A: which frames a frame depends on. Read, renumbered and passed on.
    DependencyDescriptor,
}

const EXTENSIONS: [(Extension, &str); 10] = [
    (
        Extension::TransportSequence,
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    ),
    (Extension::Mid, "urn:ietf:params:rtp-hdrext:sdes:mid"),
    (Extension::StreamId, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"),
    (Extension::RepairedStreamId, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"),
    (Extension::AbsoluteSendTime, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
    (Extension::AudioLevel, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
    (Extension::VideoOrientation, "urn:3gpp:video-orientation"),
    (Extension::PlayoutDelay, "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"),
    (
        Extension::AbsoluteCaptureTime,
        "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
    ),
    (
        Extension::DependencyDescriptor,
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
    ),
];

impl Extension {
    /// Whether receivers get it as well, because it is about the media and not about the publisher's connection.
    pub(crate) fn is_passed_on(self) -> bool {
        match self {
            Extension::Mid
            | Extension::StreamId
            | Extension::RepairedStreamId
            | Extension::AbsoluteSendTime
            | Extension::TransportSequence => false,
            Extension::AudioLevel
            | Extension::VideoOrientation
            | Extension::PlayoutDelay
            | Extension::AbsoluteCaptureTime
            | Extension::DependencyDescriptor => true,
        }
    }
}

/// The negotiated ids of an m-line's header extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExtensionMap(Vec<(u8, Extension)>);

impl ExtensionMap {
    /// The offered extensions that this server supports: those of the m-line, and those of the session, which hold for
    /// all m-lines (RFC 8285 §6). Each has one id, and each id one extension (RFC 8285 §5); later duplicates are
    /// ignored.
    pub(super) fn offered(media: &Section<'_>, session: &Section<'_>) -> ExtensionMap {
        let extmaps = media.all("extmap").chain(session.all("extmap"));
        let offered = extmaps.filter_map(|attribute| {
            let mut words = attribute.value.split_ascii_whitespace();
            // The id may be followed by a direction, as in `3/sendonly` (RFC 8285 §8).
            let id = words.next()?.split('/').next()?.parse().ok()?;
            let uri = words.next()?;
            let (extension, _) = EXTENSIONS.iter().find(|(_, known)| *known == uri)?;
            (1..=255).contains(&id).then_some((id, *extension))
        });
        let mut known = ExtensionMap::default();
        for (id, extension) in offered {
            if known.id_of(extension).is_none() && known.extension(id).is_none() {
                known.0.push((id, extension));
            }
        }
        known
    }

    /// The id of an extension on this m-line.
    pub(crate) fn id_of(&self, extension: Extension) -> Option<u8> {
        self.0.iter().find(|(_, known)| *known == extension).map(|(id, _)| *id)
    }

    /// The extension with this id.
    pub(crate) fn extension(&self, id: u8) -> Option<Extension> {
        self.0.iter().find(|(known, _)| *known == id).map(|(_, extension)| *extension)
    }

    /// The `a=extmap` values, in the order of the offer.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().filter_map(|(id, extension)| {
            let (_, uri) = EXTENSIONS.iter().find(|(known, _)| known == extension)?;
            Some(format!("{id} {uri}"))
        })
    }
}
