//! Reads from an offer the parts that the answer depends on.
//!
//! Rules for offers that leave something out, or put it elsewhere:
//!
//! - **One transport.** The server has one transport for all m-lines, so an offer has one BUNDLE group, or a single
//!   m-line in use. M-lines outside the group are rejected (answered with port 0), as long as the group has one that the
//!   server can use.
//! - **Transport attributes hold for the bundle.** `rtcp-mux`, `rtcp-rsize`, `setup`, `fingerprint` and ICE credentials
//!   (categories IDENTICAL and TRANSPORT of RFC 8859) may stand in any m-line of the bundle or at session level (RFC
//!   9143 §7.1.3, RFC 9429 §5.2.1). If they differ, the offerer-tagged m-line wins, the first one of the group, then the
//!   session, then the other m-lines.
//! - **Directions and header extensions at session level** hold for m-lines without their own (RFC 8866 §6.7, RFC 8285
//!   §6).
//! - **What the server can't use is rejected**, and needs no attributes: closed m-lines (port 0 without `bundle-only`),
//!   unknown media and protocols, m-lines without a common codec.
//! - **The offerer-tagged m-line is not rejected** while another one is in use, because the transport belongs to it:
//!   Chromium can't move the bundle to another m-line with the bundle policy `max-bundle`. If the server can't use it,
//!   it carries the transport and nothing else: [`Use::Carry`].
//! - **What can't be read is ignored** where it is not needed: unknown attributes, malformed ones, SSRCs beyond a bound.
//!
//! An offer is refused only for what can't work. The error names the line.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::codec::{self, Payload};
use super::description::{Attribute, Description, Direction, Media, Section, direction, refused};
use super::extension::ExtensionMap;
use super::simulcast::{self, OfferedLayer};
use crate::codec::Receivers;
use crate::transport::dtls::Fingerprint;
use crate::{MediaKind, MediaLine, Mid, NegotiatedCodec, OfferError};

/// M-lines in use in one offer: 49 video and 16 audio slots, and those that the client publishes. It bounds the slots of
/// a peer, because those of m-lines that have left the offer are reused.
const MAX_IN_USE: usize = 80;
/// The longest `a=mid`, in bytes. RFC 5888 §4 sets no limit; in RTP packets a mid has at most 255 bytes (RFC 9143 §15.2:
/// it is an SDES item).
const MAX_MID_BYTES: usize = 255;
/// Mids that are read from a BUNDLE group: more than there are m-lines.
const MAX_GROUP: usize = 256;
/// SSRCs, and groups of SSRCs, that one m-line may announce. Further ones are ignored: packets of theirs are recognized
/// by their header extensions or payload types.
const MAX_SSRCS: usize = 64;
/// Fingerprints of one offer. Further ones are ignored.
const MAX_FINGERPRINTS: usize = 16;

/// A valid offer: the server can answer everything in it.
#[derive(Debug)]
pub(crate) struct Offer {
    /// The client's ICE user fragment. `None` if no m-line is in use.
    pub(crate) ufrag: Option<String>,
    pub(crate) fingerprints: Vec<Fingerprint>,
    /// `a=tls-id`, which identifies the DTLS association (RFC 8842 §4). Browsers do not send it.
    pub(crate) tls_id: Option<String>,
    pub(crate) media: Vec<OfferedMedia>,
    pub(super) bundle: Bundle,
    /// Whether RTCP may be sent in reduced size, not only as compound packets (RFC 5506 §5).
    pub(crate) has_reduced_size: bool,
    /// Whether header extensions in one-byte and in two-byte form may be mixed (RFC 8285 §4.1.2).
    pub(super) allows_mixed_extensions: bool,
}

/// The accepted m-lines.
#[derive(Debug, Default)]
pub(super) struct Bundle {
    /// By index, in the order of the BUNDLE group. The transport belongs to the first one, the tagged m-line.
    pub(super) members: Vec<usize>,
    /// Whether they are in a BUNDLE group. Otherwise there is only one.
    pub(super) is_group: bool,
}

impl Bundle {
    /// Whether the answer has the candidates in this m-line. The tagged one is enough by RFC 9143 §9.2.2, but aiortc reads
    /// those of the last m-line, of each kind as long as it has not bundled.
    pub(super) fn carries_candidates(&self, at: usize, media: &[OfferedMedia]) -> bool {
        let is_kind = |other: &&usize| media[**other].medium == media[at].medium;
        self.members.first() == Some(&at) || self.members.iter().filter(is_kind).max() == Some(&at)
    }
}

/// One m-line.
#[derive(Debug)]
pub(crate) struct OfferedMedia {
    /// Empty if a rejected m-line has none.
    pub(crate) mid: Mid,
    /// The medium, which the answer repeats.
    pub(super) medium: String,
    /// The protocol, which the answer repeats.
    pub(super) protocol: String,
    /// The formats, which the answer repeats if it rejects the m-line.
    pub(super) formats: Vec<String>,
    /// Whether this m-line says that RTCP may be sent in reduced size.
    pub(super) has_reduced_size: bool,
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
    /// The server can't use it, but the transport belongs to it. It is accepted, and nothing is sent on it.
    Carry,
    /// The server can't use it. It is answered with port 0.
    Refuse,
}

/// The negotiable properties of an m-line.
#[derive(Clone, Debug)]
pub(crate) struct Negotiable {
    pub(crate) kind: MediaKind,
    /// Shared with the tracks and slots that it is negotiated for.
    pub(crate) payloads: Arc<[Payload]>,
    pub(crate) extensions: ExtensionMap,
    pub(crate) ssrcs: Vec<u32>,
    /// Pairs of SSRC and RTX SSRC: `a=ssrc-group:FID` (RFC 5576 §4.2, RFC 4588 §8.8).
    pub(crate) retransmissions: Vec<(u32, u32)>,
    /// The simulcast encodings; empty without simulcast.
    pub(crate) layers: Vec<OfferedLayer>,
}

impl Offer {
    /// Parses an offer to these receivers.
    ///
    /// # Errors
    /// See [`Self::parse`].
    pub(crate) fn read(sdp: &str, receivers: &Receivers) -> Result<Offer, OfferError> {
        let mut offer = Offer::parse(sdp)?;
        offer.prefer(receivers);
        Ok(offer)
    }

    /// Parses an offer.
    ///
    /// # Errors
    /// If it is too long, or can't be answered; the text names the line and the reason.
    pub(crate) fn parse(sdp: &str) -> Result<Offer, OfferError> {
        if sdp.len() > OfferError::MAX_SDP_BYTES {
            return Err(OfferError::TooLarge { bytes: sdp.len() });
        }
        let description = Description::read(sdp)?;
        let mut media = read_media(&description)?;
        let bundle = bundle(&description, &mut media)?;
        let Some((&tagged, others)) = bundle.members.split_first() else {
            return Ok(Offer::without_transport(media));
        };
        let transport = Transport { description: &description, tagged, others };
        transport.check_role_and_multiplexing()?;
        Ok(Offer {
            ufrag: Some(transport.ufrag()?),
            fingerprints: transport.fingerprints()?,
            tls_id: transport.tls_id(),
            media,
            has_reduced_size: transport.has("rtcp-rsize"),
            allows_mixed_extensions: transport.has("extmap-allow-mixed"),
            bundle,
        })
    }

    /// Puts the video codecs first, on each m-line that publishes, that most receivers can decode: browsers send with the
    /// first codec of the answer.
    fn prefer(&mut self, receivers: &Receivers) {
        for line in &mut self.media {
            if let Use::Publish(Negotiable { kind: MediaKind::Video, payloads, .. }) =
                &mut line.purpose
            {
                receivers.sort(Arc::make_mut(payloads), |payload| payload.codec);
            }
        }
    }

    /// The video codecs of the m-lines that publish or receive.
    pub(crate) fn video_codecs(&self) -> HashMap<Mid, Vec<NegotiatedCodec>> {
        let used = self.media.iter().filter_map(|line| match &line.purpose {
            Use::Publish(negotiable) | Use::Receive(negotiable) => Some((line, negotiable)),
            Use::Inactive(_) | Use::Carry | Use::Refuse => None,
        });
        let video = used.filter(|(_, negotiable)| negotiable.kind == MediaKind::Video);
        let codecs = video.map(|(line, negotiable)| {
            (line.mid.clone(), negotiable.payloads.iter().map(Payload::negotiated).collect())
        });
        codecs.collect()
    }

    /// An offer without an m-line in use.
    fn without_transport(media: Vec<OfferedMedia>) -> Offer {
        Offer {
            ufrag: None,
            fingerprints: Vec::new(),
            tls_id: None,
            media,
            bundle: Bundle::default(),
            has_reduced_size: false,
            allows_mixed_extensions: false,
        }
    }
}

/// The m-lines on which an offer may publish: all that the engine could accept as published, and possibly more. The
/// engine may refuse the offer all the same.
pub fn published_lines(sdp: &str) -> Vec<MediaLine> {
    let Ok(Description { session, media }) = Description::read(sdp) else {
        return Vec::new();
    };
    let line = |media: &Media<'_>| {
        let direction = direction(&media.section, &session);
        let publishes = matches!(direction, Direction::SendOnly | Direction::SendReceive);
        let (mid, kind) = (mid(&media.section)?, kind(media)?);
        publishes.then(|| MediaLine { mid: Mid::new(mid), kind })
    };
    media.iter().filter_map(line).collect()
}

/// Reads all m-lines for themselves, without regard to the bundle.
fn read_media(description: &Description<'_>) -> Result<Vec<OfferedMedia>, OfferError> {
    let mut in_use = 0;
    let mut mids = HashSet::new();
    let mut all = Vec::with_capacity(description.media.len());
    for media in &description.media {
        let purpose = purpose(media, &description.session);
        let mid = mid(&media.section);
        if purpose.negotiable().is_some() {
            in_use += 1;
            if let Some(mid) = mid.filter(|mid| !mids.insert(*mid)) {
                return Err(media.line.refused(format!("two m-lines have the mid {mid:?}")));
            }
        }
        all.push(OfferedMedia {
            mid: Mid::new(mid.unwrap_or_default()),
            medium: media.medium.to_owned(),
            protocol: media.protocol.to_owned(),
            formats: media.formats().map(str::to_owned).collect(),
            has_reduced_size: media.section.has("rtcp-rsize"),
            purpose,
        });
    }
    if in_use > MAX_IN_USE {
        let reason = format!("it has {in_use} m-lines in use; at most {MAX_IN_USE} are allowed");
        return Err(refused(reason));
    }
    Ok(all)
}

fn purpose(media: &Media<'_>, session: &Section<'_>) -> Use {
    // RFC 9143 §6: port 0 with bundle-only is in use; without, the m-line is closed.
    if media.is_port_zero && !media.section.has("bundle-only") {
        return Use::Refuse;
    }
    let direction = direction(&media.section, session);
    match negotiable(media, session, direction) {
        Some(negotiable) => match direction {
            Direction::SendReceive | Direction::SendOnly => Use::Publish(negotiable),
            Direction::ReceiveOnly => Use::Receive(negotiable),
            Direction::Inactive => Use::Inactive(negotiable),
        },
        None if is_rtp(media.protocol) || media.protocol.ends_with("DTLS/SCTP") => Use::Carry,
        None => Use::Refuse,
    }
}

/// `None` if the server can't use the m-line.
fn negotiable(
    media: &Media<'_>,
    session: &Section<'_>,
    direction: Direction,
) -> Option<Negotiable> {
    let kind = kind(media).filter(|_| is_rtp(media.protocol))?;
    let payloads = codec::payloads(media, kind, direction);
    let extensions = ExtensionMap::offered(&media.section, session);
    let layers = match kind {
        MediaKind::Audio => Vec::new(),
        MediaKind::Video => simulcast::offered(&media.section, &extensions),
    };
    let (ssrcs, retransmissions) = (ssrcs(&media.section), retransmissions(&media.section));
    (!payloads.is_empty()).then_some(Negotiable {
        kind,
        payloads: payloads.into(),
        extensions,
        ssrcs,
        retransmissions,
        layers,
    })
}

fn kind(media: &Media<'_>) -> Option<MediaKind> {
    match media.medium {
        "audio" => Some(MediaKind::Audio),
        "video" => Some(MediaKind::Video),
        _ => None,
    }
}

/// Whether a protocol is RTP. RFC 9429 §5.1.2: all of its profiles mean the same, since DTLS and feedback are negotiated
/// by attributes.
fn is_rtp(protocol: &str) -> bool {
    let mut parts = protocol.rsplit('/');
    let profile = parts.next();
    matches!(profile, Some("AVP" | "AVPF" | "SAVP" | "SAVPF")) && parts.next() == Some("RTP")
}

/// The first valid `a=mid`. It has no white space, since the BUNDLE group could not name it.
fn mid<'a>(media: &Section<'a>) -> Option<&'a str> {
    let is_valid =
        |mid: &&str| (1..=MAX_MID_BYTES).contains(&mid.len()) && !mid.contains(char::is_whitespace);
    media.all("mid").map(|attribute| attribute.value).find(is_valid)
}

fn ssrcs(media: &Section<'_>) -> Vec<u32> {
    let mut ssrcs = Vec::new();
    let said = media.all("ssrc").filter_map(|attribute| {
        attribute.value.split_ascii_whitespace().next()?.parse::<u32>().ok()
    });
    for ssrc in said {
        if !ssrcs.contains(&ssrc) {
            ssrcs.push(ssrc);
        }
        if ssrcs.len() == MAX_SSRCS {
            break;
        }
    }
    ssrcs
}

fn retransmissions(media: &Section<'_>) -> Vec<(u32, u32)> {
    let pair = |group: &Attribute<'_>| {
        let mut words = group.value.split_ascii_whitespace();
        words.next().filter(|semantics| *semantics == "FID")?;
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    media.all("ssrc-group").filter_map(pair).take(MAX_SSRCS).collect()
}

/// Finds the m-lines that share the transport, and rejects the others.
fn bundle(description: &Description<'_>, media: &mut [OfferedMedia]) -> Result<Bundle, OfferError> {
    let group = group(&description.session);
    let is_usable = |line: &OfferedMedia| line.purpose.negotiable().is_some();
    let named = |mid: &&str| {
        let is_it = |line: &OfferedMedia| line.mid.as_str() == *mid;
        let usable = media.iter().position(|line| is_it(line) && is_usable(line));
        let carrying = |line: &OfferedMedia| is_it(line) && matches!(line.purpose, Use::Carry);
        usable.or_else(|| media.iter().position(carrying))
    };
    let mut members: Vec<usize> = Vec::new();
    for at in group.iter().filter_map(named) {
        let is_needed = members.is_empty() || is_usable(&media[at]);
        if is_needed && !members.contains(&at) {
            members.push(at);
        }
    }
    let is_group = members.iter().any(|&at| is_usable(&media[at]));
    if !is_group {
        members = (0..media.len()).filter(|&at| is_usable(&media[at])).collect();
        check_alone(description, media, &members)?;
    }
    for (at, line) in media.iter_mut().enumerate() {
        if !members.contains(&at) {
            line.purpose = Use::Refuse;
        }
    }
    Ok(Bundle { members, is_group })
}

/// Checks that at most one m-line is usable, when no BUNDLE group has any.
fn check_alone(
    description: &Description<'_>,
    media: &[OfferedMedia],
    usable: &[usize],
) -> Result<(), OfferError> {
    let nameless = usable.iter().find(|&&at| media[at].mid.as_str().is_empty());
    let (at, reason) = match (nameless, usable) {
        (Some(&at), _) => {
            let reason = format!(
                "it has no a=mid of 1 to {MAX_MID_BYTES} bytes (RFC 5888, section 4), by which the BUNDLE group and \
                 `sources` name it"
            );
            (at, reason)
        }
        (None, [_, second, ..]) => {
            let reason = "it isn't in an a=group:BUNDLE; this server uses one transport for all m-lines (RFC 9143)";
            (*second, reason.to_owned())
        }
        (None, _) => return Ok(()),
    };
    Err(description.media[at].line.refused(reason))
}

/// The mids of the first BUNDLE group (RFC 9143 §6).
fn group<'a>(session: &Section<'a>) -> Vec<&'a str> {
    let mids = |group: &Attribute<'a>| {
        let mut words = group.value.split_ascii_whitespace();
        (words.next() == Some("BUNDLE")).then(|| words.take(MAX_GROUP).collect())
    };
    session.all("group").find_map(mids).unwrap_or_default()
}

/// The attributes of the transport; see the module's text.
struct Transport<'a> {
    description: &'a Description<'a>,
    tagged: usize,
    /// The other m-lines of the bundle.
    others: &'a [usize],
}

impl<'a> Transport<'a> {
    /// The attributes with this key, the most important one first.
    fn all(&self, key: &str) -> impl Iterator<Item = &Attribute<'a>> {
        let Description { session, media } = self.description;
        let others = self.others.iter().map(|&at| &media[at].section);
        let sections = [&media[self.tagged].section, session].into_iter().chain(others);
        sections.flat_map(move |section| section.all(key))
    }

    fn has(&self, key: &str) -> bool {
        self.all(key).next().is_some()
    }

    fn check_role_and_multiplexing(&self) -> Result<(), OfferError> {
        let known = ["actpass", "active", "passive"];
        let setup = self.all("setup").find(|setup| known.contains(&setup.value));
        if let Some(setup) = setup.filter(|setup| setup.value == "passive") {
            return Err(setup
                .line
                .refused("an offer must be actpass or active, because this server is passive (RFC 5763, section 5)"));
        }
        if !self.has("rtcp-mux") && !self.has("rtcp-mux-only") {
            let line = self.description.media[self.tagged].line;
            return Err(line.refused(
                "its bundle has no a=rtcp-mux; this server receives RTP and RTCP on one port (RFC 5761)",
            ));
        }
        Ok(())
    }

    fn tls_id(&self) -> Option<String> {
        self.all("tls-id").next().map(|id| id.value.to_owned())
    }

    fn ufrag(&self) -> Result<String, OfferError> {
        let is_valid = |ufrag: &&Attribute<'_>| (4..=256).contains(&ufrag.value.len());
        match (self.all("ice-ufrag").find(is_valid), self.all("ice-ufrag").next()) {
            (Some(ufrag), _) => Ok(ufrag.value.to_owned()),
            (None, Some(invalid)) => Err(invalid
                .line
                .refused("an a=ice-ufrag has 4 to 256 characters (RFC 8839, section 5.4)")),
            (None, None) => Err(refused("it has no a=ice-ufrag")),
        }
    }

    fn fingerprints(&self) -> Result<Vec<Fingerprint>, OfferError> {
        let sha256 = self.all("fingerprint").filter_map(|attribute| {
            let (hash, hex) = attribute.value.split_once([' ', '\t'])?;
            hash.eq_ignore_ascii_case("sha-256").then_some((attribute, hex.trim()))
        });
        let (mut fingerprints, mut unreadable) = (Vec::new(), None);
        for (attribute, hex) in sha256 {
            match parse_fingerprint(hex) {
                None => _ = unreadable.get_or_insert(attribute),
                Some(known) if fingerprints.contains(&known) => {}
                Some(_) if fingerprints.len() == MAX_FINGERPRINTS => break,
                Some(fresh) => fingerprints.push(fresh),
            }
        }
        match unreadable {
            _ if !fingerprints.is_empty() => Ok(fingerprints),
            Some(attribute) => Err(attribute
                .line
                .refused("it isn't 32 hexadecimal pairs with colons between them")),
            None => Err(refused("it has no a=fingerprint with sha-256")),
        }
    }
}

fn parse_fingerprint(hex: &str) -> Option<Fingerprint> {
    let mut digest = [0; 32];
    let mut pairs = hex.split(':');
    for byte in &mut digest {
        *byte = u8::from_str_radix(pairs.next()?, 16).ok()?;
    }
    pairs.next().is_none().then_some(Fingerprint(digest))
}

impl Use {
    /// The negotiated properties of an m-line that the server can use.
    pub(crate) fn negotiable(&self) -> Option<&Negotiable> {
        match self {
            Use::Publish(negotiable) | Use::Receive(negotiable) | Use::Inactive(negotiable) => {
                Some(negotiable)
            }
            Use::Carry | Use::Refuse => None,
        }
    }
}
