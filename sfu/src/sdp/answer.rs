//! Writes the answer to an offer.

use rtc_sdp::description::common::{Address, Attribute, ConnectionInformation};
use rtc_sdp::description::media::{MediaName, RangedPort};
use rtc_sdp::description::session::{Origin, TimeDescription, Timing};
use rtc_sdp::{MediaDescription, SessionDescription};

use super::codec::{Payload, fmtp_value};
use super::offer::{Negotiable, Offer, OfferedMedia, Use};
use super::simulcast;
use crate::rtp::Codec;
use crate::transport::ice::{Candidate, Credentials};

/// The parts of an answer that all m-lines share.
pub(crate) struct Answerer<'a> {
    /// The session id of the `o=` line; constant for a peer.
    pub(crate) session_id: u64,
    /// The session version of the `o=` line; grows with each answer.
    pub(crate) version: u64,
    pub(crate) credentials: &'a Credentials,
    pub(crate) fingerprint: &'a str,
    pub(crate) candidates: &'a [Candidate],
    /// The CNAME of all streams that this server sends to the peer.
    pub(crate) cname: &'a str,
}

/// The streams announced on an m-line on which the peer receives.
pub(crate) struct Slot {
    /// The SSRC on which the slot's stream is sent.
    pub(crate) ssrc: u32,
    /// The SSRC of its retransmissions, if the client accepts any.
    pub(crate) rtx_ssrc: Option<u32>,
}

/// Writes the answer; `slots` returns the slot of an m-line, if the peer receives on it.
pub(crate) fn write(
    answerer: &Answerer<'_>,
    offer: &Offer,
    slots: impl Fn(&OfferedMedia) -> Option<Slot>,
) -> String {
    let accepted = offer.media.iter().filter(|media| !matches!(media.purpose, Use::Refuse));
    let mids: Vec<&str> = accepted.map(|media| media.mid.as_str()).collect();
    let session = SessionDescription {
        origin: Origin {
            username: "-".into(),
            session_id: answerer.session_id,
            session_version: answerer.version,
            network_type: "IN".into(),
            address_type: "IP4".into(),
            unicast_address: "127.0.0.1".into(),
        },
        session_name: "-".into(),
        time_descriptions: vec![TimeDescription {
            timing: Timing { start_time: 0, stop_time: 0 },
            repeat_times: Vec::new(),
        }],
        attributes: vec![
            value("group", format!("BUNDLE {}", mids.join(" "))),
            flag("ice-lite"),
            flag("extmap-allow-mixed"),
            value("msid-semantic", " WMS *"),
            value("fingerprint", format!("sha-256 {}", answerer.fingerprint)),
        ],
        media_descriptions: offer
            .media
            .iter()
            .map(|media| answer_media(answerer, media, slots(media)))
            .collect(),
        ..SessionDescription::default()
    };
    session.marshal()
}

fn flag(key: &str) -> Attribute {
    Attribute::new(key.into(), None)
}

fn value(key: &str, value: impl Into<String>) -> Attribute {
    Attribute::new(key.into(), Some(value.into()))
}

fn answer_media(
    answerer: &Answerer<'_>,
    media: &OfferedMedia,
    slot: Option<Slot>,
) -> MediaDescription {
    let (direction, negotiable) = match &media.purpose {
        Use::Refuse => return refusal(media),
        Use::Publish(negotiable) => ("recvonly", negotiable),
        Use::Receive(negotiable) => ("sendonly", negotiable),
        Use::Inactive(negotiable) => ("inactive", negotiable),
    };
    let mut attributes = vec![
        value("mid", media.mid.as_str()),
        flag(direction),
        flag("rtcp-mux"),
        value("setup", "passive"),
        value("ice-ufrag", answerer.credentials.ufrag.as_str()),
        value("ice-pwd", answerer.credentials.password.as_str()),
    ];
    attributes.extend(media.has_reduced_size.then(|| flag("rtcp-rsize")));
    attributes.extend(answerer.candidates.iter().enumerate().map(candidate));
    attributes.push(flag("end-of-candidates"));
    attributes.extend(negotiable.extensions.lines().map(|line| value("extmap", line)));
    attributes.extend(negotiable.payloads.iter().flat_map(payload_attributes));
    if let Use::Publish(Negotiable { layers, .. }) = &media.purpose {
        attributes.extend(layers.iter().map(|layer| value("rid", layer.answer())));
        attributes.extend(simulcast::answer(layers).map(|list| value("simulcast", list)));
    }
    if let Some(Slot { ssrc, rtx_ssrc }) = slot {
        let name = format!("slot-{}", media.mid);
        attributes.push(value("msid", format!("{name} {name}")));
        attributes.extend(rtx_ssrc.map(|rtx| value("ssrc-group", format!("FID {ssrc} {rtx}"))));
        let ssrcs = [Some(ssrc), rtx_ssrc].into_iter().flatten();
        attributes
            .extend(ssrcs.map(|ssrc| value("ssrc", format!("{ssrc} cname:{}", answerer.cname))));
    }
    MediaDescription {
        media_name: media_name(media, 9, formats(negotiable)),
        connection_information: Some(unspecified()),
        attributes,
        ..MediaDescription::default()
    }
}

/// RFC 9429 §5.3.1: a rejected m-line keeps its place, with port 0.
fn refusal(media: &OfferedMedia) -> MediaDescription {
    MediaDescription {
        media_name: media_name(media, 0, media.name.2.clone()),
        connection_information: Some(unspecified()),
        attributes: vec![value("mid", media.mid.as_str()), flag("inactive")],
        ..MediaDescription::default()
    }
}

fn media_name(media: &OfferedMedia, port: isize, formats: Vec<String>) -> MediaName {
    MediaName {
        media: media.name.0.clone(),
        port: RangedPort { value: port, range: None },
        protos: media.name.1.split('/').map(str::to_owned).collect(),
        formats,
    }
}

fn unspecified() -> ConnectionInformation {
    ConnectionInformation {
        network_type: "IN".into(),
        address_type: "IP4".into(),
        address: Some(Address { address: "0.0.0.0".into(), ttl: None, range: None }),
    }
}

fn formats(negotiable: &Negotiable) -> Vec<String> {
    let payloads = negotiable.payloads.iter();
    let types = payloads.flat_map(|payload| [Some(payload.payload_type), payload.rtx]);
    types.flatten().map(|payload_type| payload_type.to_string()).collect()
}

/// RFC 8839 §5.1, and for TCP the type of RFC 6544 §4.5.
fn candidate((at, candidate): (usize, &Candidate)) -> Attribute {
    let (transport, address, tcp_type) = match candidate {
        Candidate::Udp(address) => ("udp", address, ""),
        Candidate::Tcp(address) => ("tcp", address, " tcptype passive"),
    };
    let priority = candidate.priority(u8::try_from(at).unwrap_or(u8::MAX));
    let (foundation, ip, port) = (at + 1, address.ip(), address.port());
    value(
        "candidate",
        format!("{foundation} 1 {transport} {priority} {ip} {port} typ host{tcp_type}"),
    )
}

fn payload_attributes(payload: &Payload) -> Vec<Attribute> {
    let payload_type = payload.payload_type;
    let mut attributes = vec![value("rtpmap", format!("{payload_type} {}", payload.rtpmap))];
    let fmtp = match payload.codec {
        Codec::Opus => Some(opus_fmtp(payload.fmtp.as_deref().unwrap_or_default())),
        Codec::Red | Codec::Vp8 | Codec::Vp9 { .. } | Codec::Av1 { .. } | Codec::H264 { .. } => {
            payload.fmtp.clone()
        }
    };
    attributes.extend(fmtp.map(|fmtp| value("fmtp", format!("{payload_type} {fmtp}"))));
    let feedback = payload.feedback.iter();
    attributes.extend(feedback.map(|kind| value("rtcp-fb", format!("{payload_type} {kind}"))));
    if let Some(rtx) = payload.rtx {
        attributes.push(value("rtpmap", format!("{rtx} rtx/{}", payload.codec.clock_rate())));
        attributes.push(value("fmtp", format!("{rtx} apt={payload_type}")));
    }
    attributes
}

/// The server's preferences for a sender (RFC 7587 §7): in-band FEC always, because the receivers behind this server
/// want it whatever the sender's own preference; discontinuous transmission if the offer asks for it; stereo if the
/// source has two channels.
fn opus_fmtp(offered: &str) -> String {
    let says = |name| fmtp_value(offered, name) == Some("1");
    let dtx = if says("usedtx") { ";usedtx=1" } else { "" };
    let stereo = if says("sprop-stereo") { ";stereo=1" } else { "" };
    format!("minptime=10;useinbandfec=1{dtx}{stereo}")
}
