//! Parses an offer into the parts that the answer depends on.

use std::io::Cursor;

use rtc_sdp::{MediaDescription, SessionDescription};

use super::codec::{self, Payload};
use super::extension::ExtensionMap;
use super::simulcast::{self, OfferedLayer};
use crate::transport::dtls::Fingerprint;
use crate::{MediaKind, Mid, OfferError};

/// M-lines in one offer: 49 video and 16 audio slots, and those that the client publishes.
const MAX_MEDIA: usize = 80;
/// SSRCs that one m-line may announce.
const MAX_SSRCS: usize = 16;

/// A valid offer: the server can answer everything in it.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) ufrag: String,
    pub(crate) fingerprints: Vec<Fingerprint>,
    pub(crate) media: Vec<OfferedMedia>,
}

/// One m-line.
#[derive(Debug)]
pub(crate) struct OfferedMedia {
    pub(crate) mid: Mid,
    /// Media, protocol and formats of the m-line, which the answer repeats.
    pub(crate) name: (String, String, Vec<String>),
    /// Whether RTCP may be sent in reduced size, not only as compound packets (RFC 5506 §5).
    pub(crate) has_reduced_size: bool,
    pub(crate) purpose: Use,
}

/// The purpose of an m-line.
#[derive(Debug)]
pub(crate) enum Use {
    /// The client sends on it.
    Publish(Negotiable),
    /// The client receives on it: a slot.
    Receive(Negotiable),
    /// Neither, at the moment.
    Inactive(Negotiable),
    /// The server can't use it: an unknown medium, or no common codec. It is answered with port 0.
    Refuse,
}

/// The negotiable properties of an m-line.
#[derive(Clone, Debug)]
pub(crate) struct Negotiable {
    pub(crate) kind: MediaKind,
    pub(crate) payloads: Vec<Payload>,
    pub(crate) extensions: ExtensionMap,
    pub(crate) ssrcs: Vec<u32>,
    /// Pairs of SSRC and RTX SSRC: `a=ssrc-group:FID` (RFC 5576 §4.2, RFC 4588 §8.8).
    pub(crate) retransmissions: Vec<(u32, u32)>,
    /// The simulcast encodings; empty without simulcast.
    pub(crate) layers: Vec<OfferedLayer>,
}

impl Offer {
    /// Parses an offer.
    pub(crate) fn parse(sdp: &str) -> Result<Offer, OfferError> {
        if sdp.len() > OfferError::MAX_SDP_BYTES {
            return Err(OfferError::TooLarge { bytes: sdp.len() });
        }
        let session = SessionDescription::unmarshal(&mut Cursor::new(sdp))
            .map_err(|error| bad(format!("it isn't valid SDP ({error})")))?;
        if session.media_descriptions.is_empty() {
            return Err(bad("it has no m-line"));
        }
        if session.media_descriptions.len() > MAX_MEDIA {
            return Err(bad(format!("it has more than {MAX_MEDIA} m-lines")));
        }
        let bundled = bundled_mids(&session);
        let media: Vec<OfferedMedia> = session
            .media_descriptions
            .iter()
            .map(|media| offered_media(media, &bundled))
            .collect::<Result<_, _>>()?;
        for (at, line) in media.iter().enumerate() {
            if media[..at].iter().any(|earlier| earlier.mid == line.mid) {
                return Err(bad(format!("two m-lines have the mid {}", line.mid)));
            }
        }
        Ok(Offer { ufrag: ufrag(&session)?, fingerprints: fingerprints(&session)?, media })
    }

    /// Whether RTCP may be sent in reduced size. There is one transport, so all m-lines must allow it (RFC 5506 §5).
    pub(crate) fn has_reduced_size(&self) -> bool {
        let mut alive = self.media.iter().filter(|line| !matches!(line.purpose, Use::Refuse));
        alive.all(|line| line.has_reduced_size)
    }
}

fn bad(reason: impl Into<String>) -> OfferError {
    OfferError::BadSdp(reason.into())
}

fn bundled_mids(session: &SessionDescription) -> Vec<&str> {
    let groups = session.attributes.iter().filter(|attribute| attribute.key == "group");
    groups
        .filter_map(|group| group.value.as_deref()?.strip_prefix("BUNDLE "))
        .next()
        .map(|mids| mids.split_ascii_whitespace().collect())
        .unwrap_or_default()
}

fn offered_media(media: &MediaDescription, bundled: &[&str]) -> Result<OfferedMedia, OfferError> {
    let Some(mid) = media.attribute("mid").flatten() else {
        return Err(bad("an m-line has no a=mid"));
    };
    if mid.is_empty() || mid.len() > 32 {
        return Err(bad("an a=mid is empty or longer than 32 bytes"));
    }
    let name = &media.media_name;
    let purpose = purpose(media)?;
    if !matches!(purpose, Use::Refuse) {
        if !bundled.contains(&mid) {
            return Err(bad(format!(
                "m-line {mid} isn't in the BUNDLE group; this server uses one transport for all m-lines"
            )));
        }
        if !media.has_attribute("rtcp-mux") {
            return Err(bad(format!("m-line {mid} has no a=rtcp-mux")));
        }
    }
    Ok(OfferedMedia {
        mid: Mid::new(mid),
        name: (name.media.clone(), name.protos.join("/"), name.formats.clone()),
        has_reduced_size: media.has_attribute("rtcp-rsize"),
        purpose,
    })
}

fn purpose(media: &MediaDescription) -> Result<Use, OfferError> {
    let kind = match media.media_name.media.as_str() {
        "audio" => MediaKind::Audio,
        "video" => MediaKind::Video,
        _ => return Ok(Use::Refuse),
    };
    // RFC 8843 §6: port 0 with bundle-only is in use; without, the m-line is closed.
    let closed = media.media_name.port.value == 0 && !media.has_attribute("bundle-only");
    let payloads = codec::payloads(media, kind);
    if closed || payloads.is_empty() {
        return Ok(Use::Refuse);
    }
    let extensions = ExtensionMap::offered(media);
    let layers = match kind {
        MediaKind::Audio => Vec::new(),
        MediaKind::Video => simulcast::offered(media, &extensions)?,
    };
    let negotiable = Negotiable {
        kind,
        payloads,
        extensions,
        ssrcs: ssrcs(media)?,
        retransmissions: retransmissions(media),
        layers,
    };
    Ok(if media.has_attribute("recvonly") {
        Use::Receive(negotiable)
    } else if media.has_attribute("inactive") {
        Use::Inactive(negotiable)
    } else {
        Use::Publish(negotiable)
    })
}

fn ssrcs(media: &MediaDescription) -> Result<Vec<u32>, OfferError> {
    let mut ssrcs = Vec::new();
    for attribute in media.attributes.iter().filter(|attribute| attribute.key == "ssrc") {
        let text = attribute.value.as_deref().unwrap_or_default();
        let ssrc = text.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
        let Some(ssrc) = ssrc else {
            return Err(bad("an a=ssrc has no number"));
        };
        if !ssrcs.contains(&ssrc) {
            ssrcs.push(ssrc);
        }
        if ssrcs.len() > MAX_SSRCS {
            return Err(bad(format!("an m-line has more than {MAX_SSRCS} SSRCs")));
        }
    }
    Ok(ssrcs)
}

fn retransmissions(media: &MediaDescription) -> Vec<(u32, u32)> {
    let groups = media.attributes.iter().filter(|attribute| attribute.key == "ssrc-group");
    let pair = |group: &str| {
        let mut ssrcs = group.strip_prefix("FID ")?.split_ascii_whitespace();
        Some((ssrcs.next()?.parse().ok()?, ssrcs.next()?.parse().ok()?))
    };
    groups.filter_map(|group| pair(group.value.as_deref()?)).take(MAX_SSRCS).collect()
}

/// The values of an attribute at session level and in every m-line.
fn everywhere<'a>(session: &'a SessionDescription, key: &'a str) -> impl Iterator<Item = &'a str> {
    let in_media = session.media_descriptions.iter().flat_map(|media| &media.attributes);
    let all = session.attributes.iter().chain(in_media);
    all.filter(move |attribute| attribute.key == key)
        .filter_map(|attribute| attribute.value.as_deref())
}

fn ufrag(session: &SessionDescription) -> Result<String, OfferError> {
    let Some(ufrag) = everywhere(session, "ice-ufrag").next() else {
        return Err(bad("it has no a=ice-ufrag"));
    };
    if !(4..=256).contains(&ufrag.len()) {
        return Err(bad("its a=ice-ufrag isn't 4 to 256 characters long (RFC 8839, section 5.4)"));
    }
    if everywhere(session, "setup").any(|setup| setup == "passive") {
        return Err(bad(
            "it has a=setup:passive; an offer must be actpass or active (RFC 5763, section 5)",
        ));
    }
    Ok(ufrag.to_owned())
}

fn fingerprints(session: &SessionDescription) -> Result<Vec<Fingerprint>, OfferError> {
    let mut fingerprints = Vec::new();
    for value in everywhere(session, "fingerprint") {
        let Some((hash, hex)) = value.split_once(' ') else {
            continue;
        };
        if !hash.eq_ignore_ascii_case("sha-256") {
            continue;
        }
        let Some(fingerprint) = parse_fingerprint(hex.trim()) else {
            return Err(bad("an a=fingerprint isn't 32 hexadecimal pairs with colons"));
        };
        if !fingerprints.contains(&fingerprint) {
            fingerprints.push(fingerprint);
        }
    }
    if fingerprints.is_empty() {
        return Err(bad("it has no a=fingerprint with sha-256"));
    }
    Ok(fingerprints)
}

fn parse_fingerprint(hex: &str) -> Option<Fingerprint> {
    let mut digest = [0; 32];
    let mut pairs = hex.split(':');
    for byte in &mut digest {
        *byte = u8::from_str_radix(pairs.next()?, 16).ok()?;
    }
    pairs.next().is_none().then_some(Fingerprint(digest))
}
