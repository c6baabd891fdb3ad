//! Writes the answer to an offer.
//!
//! The answer repeats each m-line of the offer. Candidates stand in the answerer-tagged m-line alone, since they belong to
//! the one transport (RFC 9143 §7.1.3, RFC 9429 §5.3.1). Other attributes of the transport are repeated where clients
//! need them, although those RFCs do not ask for it: Chromium demands `rtcp-mux` in every accepted m-line of a bundle;
//! GStreamer 1.22 demands `setup`, `ice-ufrag` and `ice-pwd` in every m-line, rejected ones included, and `fingerprint`
//! at session level or in m-lines, but not in both.

use std::fmt::Display;

use super::codec::{Payload, fmtp_value};
use super::offer::{Negotiable, Offer, OfferedMedia, Use};
use super::simulcast;
use crate::codec::Codec;
use crate::media::clock_rate;
use crate::transport::ice::{Candidate, Credentials};

/// The longest identifier in an `a=msid` (RFC 8830 §2), in bytes.
const MAX_MSID_BYTES: usize = 64;

/// The SCTP port that clients use (RFC 8841 §5.1, example). Nobody listens on it.
const SCTP_PORT: u16 = 5000;

/// The parts of an answer that all m-lines share.
pub(crate) struct Answerer<'a> {
    /// The session id of the `o=` line; constant for a peer.
    pub(crate) session_id: u64,
    /// The session version of the `o=` line; grows with each answer.
    pub(crate) version: u64,
    pub(crate) credentials: &'a Credentials,
    pub(crate) fingerprint: &'a str,
    /// The value of `a=tls-id`; only for offers that have one (RFC 8842 §5.3).
    pub(crate) tls_id: Option<&'a str>,
    pub(crate) candidates: &'a [Candidate],
    /// The CNAME of all streams that this server sends to the peer.
    pub(crate) cname: &'a str,
}

/// The streams announced on an m-line on which the peer receives.
#[derive(Clone, Copy, Debug)]
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
    let mut lines = Lines::default();
    let Answerer { session_id, version, fingerprint, .. } = answerer;
    lines.add("v", 0);
    lines.add("o", format_args!("- {session_id} {version} IN IP4 127.0.0.1"));
    lines.add("s", "-");
    lines.add("t", "0 0");
    if offer.bundle.is_group {
        let members = offer.bundle.members.iter();
        let mids: Vec<&str> = members.map(|&at| offer.media[at].mid.as_str()).collect();
        lines.attribute("group", format_args!("BUNDLE {}", mids.join(" ")));
    }
    lines.flag("ice-lite");
    if offer.allows_mixed_extensions {
        lines.flag("extmap-allow-mixed");
    }
    lines.attribute("msid-semantic", " WMS *");
    lines.attribute("fingerprint", format_args!("sha-256 {fingerprint}"));
    if let Some(tls_id) = answerer.tls_id {
        lines.attribute("tls-id", tls_id);
    }
    for (at, media) in offer.media.iter().enumerate() {
        let has_candidates = offer.bundle.carries_candidates(at, &offer.media);
        match &media.purpose {
            Use::Refuse => refuse(&mut lines, answerer, media),
            Use::Carry => carry(&mut lines, answerer, media),
            Use::Publish(negotiable) | Use::Receive(negotiable) | Use::Inactive(negotiable) => {
                accept(&mut lines, answerer, media, negotiable, has_candidates);
                if let Some(slot) = slots(media) {
                    announce(&mut lines, answerer, at, media, &slot);
                }
            }
        }
    }
    lines.0
}

/// The lines of an answer.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, kind: &str, value: impl Display) {
        self.0.push_str(&format!("{kind}={value}\r\n"));
    }

    fn attribute(&mut self, key: &str, value: impl Display) {
        self.add("a", format_args!("{key}:{value}"));
    }

    fn flag(&mut self, key: &str) {
        self.add("a", key);
    }

    fn media(&mut self, media: &OfferedMedia, port: u16, formats: &str) {
        let OfferedMedia { medium, protocol, .. } = media;
        self.add("m", format_args!("{medium} {port} {protocol} {formats}"));
        self.add("c", "IN IP4 0.0.0.0");
        if !media.mid.as_str().is_empty() {
            self.attribute("mid", &media.mid);
        }
    }

    fn transport(&mut self, answerer: &Answerer<'_>, has_candidates: bool) {
        self.attribute("setup", "passive");
        self.attribute("ice-ufrag", &answerer.credentials.ufrag);
        self.attribute("ice-pwd", &answerer.credentials.password);
        if has_candidates {
            for (at, candidate) in answerer.candidates.iter().enumerate() {
                self.candidate(at, candidate);
            }
            self.flag("end-of-candidates");
        }
    }

    /// RFC 8839 §5.1, and for TCP the type of RFC 6544 §4.5.
    fn candidate(&mut self, at: usize, candidate: &Candidate) {
        let (transport, address, tcp_type) = match candidate {
            Candidate::Udp(address) => ("udp", address, ""),
            Candidate::Tcp(address) => ("tcp", address, " tcptype passive"),
        };
        let priority = candidate.priority(u8::try_from(at).unwrap_or(u8::MAX));
        let (foundation, ip, port) = (at + 1, address.ip(), address.port());
        self.attribute(
            "candidate",
            format_args!("{foundation} 1 {transport} {priority} {ip} {port} typ host{tcp_type}"),
        );
    }

    fn payload(&mut self, payload: &Payload, clock_rate: u32) {
        let payload_type = payload.payload_type;
        self.attribute("rtpmap", format_args!("{payload_type} {}", payload.rtpmap));
        let fmtp = match payload.codec {
            Codec::Opus => Some(opus_fmtp(payload.fmtp.as_deref().unwrap_or_default())),
            Codec::Red
            | Codec::Vp8
            | Codec::Vp9 { .. }
            | Codec::Av1 { .. }
            | Codec::H264 { .. } => payload.fmtp.clone(),
        };
        if let Some(fmtp) = fmtp {
            self.attribute("fmtp", format_args!("{payload_type} {fmtp}"));
        }
        for kind in &payload.feedback {
            self.attribute("rtcp-fb", format_args!("{payload_type} {kind}"));
        }
        if let Some(rtx) = payload.rtx {
            self.attribute("rtpmap", format_args!("{rtx} rtx/{clock_rate}"));
            self.attribute("fmtp", format_args!("{rtx} apt={payload_type}"));
        }
    }
}

/// RFC 9429 §5.3.1: a rejected m-line keeps its place, with port 0.
fn refuse(lines: &mut Lines, answerer: &Answerer<'_>, media: &OfferedMedia) {
    lines.media(media, 0, &offered_formats(media));
    lines.flag("inactive");
    lines.transport(answerer, false);
}

/// Accepts an m-line that only carries the transport: an inactive stream, or data. The server makes no SCTP association,
/// so data channels stay in the state "connecting". It names an SCTP port all the same: 0, for no association, is
/// refused by Firefox. Old clients name it in an `a=sctpmap`, with the port as the format
/// (draft-ietf-mmusic-sctp-sdp-05).
fn carry(lines: &mut Lines, answerer: &Answerer<'_>, media: &OfferedMedia) {
    let formats = offered_formats(media);
    lines.media(media, 9, &formats);
    lines.flag("rtcp-mux");
    lines.transport(answerer, true);
    if !media.protocol.ends_with("SCTP") {
        lines.flag("inactive");
    } else if formats.bytes().all(|byte| byte.is_ascii_digit()) {
        lines.attribute("sctpmap", format_args!("{formats} webrtc-datachannel 1024"));
    } else {
        lines.attribute("sctp-port", SCTP_PORT);
    }
}

fn accept(
    lines: &mut Lines,
    answerer: &Answerer<'_>,
    media: &OfferedMedia,
    negotiable: &Negotiable,
    has_candidates: bool,
) {
    lines.media(media, 9, &formats(negotiable));
    lines.flag(match media.purpose {
        Use::Publish(_) => "recvonly",
        Use::Receive(_) => "sendonly",
        Use::Inactive(_) | Use::Carry | Use::Refuse => "inactive",
    });
    lines.flag("rtcp-mux");
    if media.has_reduced_size {
        lines.flag("rtcp-rsize");
    }
    lines.transport(answerer, has_candidates);
    for extension in negotiable.extensions.lines() {
        lines.attribute("extmap", extension);
    }
    for payload in negotiable.payloads.iter() {
        lines.payload(payload, clock_rate(negotiable.kind));
    }
    // An inactive m-line keeps its layers: a client that does not find them in the answer takes simulcast for refused.
    if let Use::Publish(Negotiable { layers, .. }) | Use::Inactive(Negotiable { layers, .. }) =
        &media.purpose
    {
        for layer in layers {
            lines.attribute("rid", layer.answer());
        }
        if let Some(list) = simulcast::answer(layers) {
            lines.attribute("simulcast", list);
        }
    }
}

/// Announces the streams of a slot.
fn announce(
    lines: &mut Lines,
    answerer: &Answerer<'_>,
    at: usize,
    media: &OfferedMedia,
    slot: &Slot,
) {
    let mut name = format!("slot-{}", media.mid);
    if name.len() > MAX_MSID_BYTES {
        name = format!("slot-at-{at}");
    }
    lines.attribute("msid", format_args!("{name} {name}"));
    let Slot { ssrc, rtx_ssrc } = slot;
    if let Some(rtx) = rtx_ssrc {
        lines.attribute("ssrc-group", format_args!("FID {ssrc} {rtx}"));
    }
    for ssrc in [Some(ssrc), rtx_ssrc.as_ref()].into_iter().flatten() {
        lines.attribute("ssrc", format_args!("{ssrc} cname:{}", answerer.cname));
    }
}

fn formats(negotiable: &Negotiable) -> String {
    let payloads = negotiable.payloads.iter();
    let types = payloads.flat_map(|payload| [Some(payload.payload_type), payload.rtx]);
    let types: Vec<String> = types.flatten().map(|payload_type| payload_type.to_string()).collect();
    types.join(" ")
}

/// The offered formats. An m-line has at least one (RFC 8866 §5.14), so 0 stands for none.
fn offered_formats(media: &OfferedMedia) -> String {
    if media.formats.is_empty() { "0".to_owned() } else { media.formats.join(" ") }
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
