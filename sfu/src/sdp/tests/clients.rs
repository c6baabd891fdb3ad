//! Offers of many clients. Those of Chromium, Firefox, aiortc, werift and GStreamer are recorded. The others are written
//! after public descriptions and sources: Safari's codecs, header extensions and simulcast; the examples of JSEP (RFC
//! 9429 §7) and WHIP (RFC 9725 §4.2); the SDP writers of the libraries.

use super::*;

struct ClientOffer {
    name: &'static str,
    sdp: &'static str,
    /// Each m-line's mid and purpose.
    lines: &'static [(&'static str, &'static str)],
    /// The video codecs of the first m-line that publishes video, in the order of the answer.
    video: &'static [Codec],
    /// The RIDs that are accepted.
    layers: &'static [&'static str],
}

const fn h264(packetization_mode: u8, profile: [u8; 2]) -> Codec {
    Codec::H264 { packetization_mode, profile }
}

const VP8: Codec = Codec::Vp8;
const VP9: Codec = Codec::Vp9 { profile: 0 };
const VP9_10_BIT: Codec = Codec::Vp9 { profile: 2 };
const AV1: Codec = Codec::Av1 { profile: 0 };
const CONSTRAINED_HIGH: [u8; 2] = [0x64, 0x0c];
const CONSTRAINED_BASELINE: [u8; 2] = [0x42, 0xe0];
const BASELINE: [u8; 2] = [0x42, 0x00];

const TWO_EACH: &[(&str, &str)] =
    &[("0", "publish"), ("1", "publish"), ("2", "receive"), ("3", "receive")];

const OFFERS: &[ClientOffer] = &[
    ClientOffer {
        name: "Safari 17",
        sdp: include_str!("../fixtures/safari_17.sdp"),
        lines: TWO_EACH,
        video: &[
            h264(1, CONSTRAINED_HIGH),
            h264(1, CONSTRAINED_BASELINE),
            h264(0, CONSTRAINED_HIGH),
            h264(0, CONSTRAINED_BASELINE),
            VP8,
            VP9,
            VP9_10_BIT,
        ],
        layers: &["q", "h", "f"],
    },
    ClientOffer {
        name: "Safari 18, with AV1 and RED",
        sdp: include_str!("../fixtures/safari_18.sdp"),
        lines: TWO_EACH,
        video: &[
            h264(1, CONSTRAINED_HIGH),
            h264(1, CONSTRAINED_BASELINE),
            h264(0, CONSTRAINED_HIGH),
            h264(0, CONSTRAINED_BASELINE),
            VP8,
            VP9,
            VP9_10_BIT,
            AV1,
        ],
        layers: &["q", "h", "f"],
    },
    ClientOffer {
        name: "an old Chromium whose data channel is first",
        sdp: include_str!("../fixtures/chromium_80_data_first.sdp"),
        lines: &[("0", "carry"), ("1", "receive")],
        video: &[],
        layers: &[],
    },
    ClientOffer {
        name: "aiortc 1.16",
        sdp: include_str!("../fixtures/aiortc_1_16.sdp"),
        lines: TWO_EACH,
        video: &[VP8, h264(1, BASELINE), h264(1, CONSTRAINED_BASELINE)],
        layers: &[],
    },
    ClientOffer {
        name: "werift 0.22",
        sdp: include_str!("../fixtures/werift_0_22.sdp"),
        lines: TWO_EACH,
        video: &[VP8],
        layers: &[],
    },
    ClientOffer {
        name: "GStreamer 1.22, max-bundle",
        sdp: include_str!("../fixtures/gstreamer_1_22.sdp"),
        lines: &[("video0", "publish"), ("audio1", "publish"), ("application2", "refuse")],
        video: &[VP8],
        layers: &[],
    },
    ClientOffer {
        name: "Pion 4, with simulcast",
        sdp: include_str!("../fixtures/pion_4.sdp"),
        lines: &[("0", "publish"), ("1", "publish"), ("2", "refuse")],
        video: &[VP8, h264(1, BASELINE), h264(1, CONSTRAINED_BASELINE)],
        layers: &["f", "h", "q"],
    },
    ClientOffer {
        name: "SIPSorcery",
        sdp: include_str!("../fixtures/sipsorcery.sdp"),
        lines: &[("0", "publish"), ("1", "publish")],
        video: &[VP8, h264(1, BASELINE)],
        layers: &[],
    },
    ClientOffer {
        name: "libdatachannel, as in OBS",
        sdp: include_str!("../fixtures/libdatachannel_obs.sdp"),
        lines: &[("0", "publish"), ("1", "publish")],
        video: &[h264(1, CONSTRAINED_BASELINE)],
        layers: &[],
    },
    ClientOffer {
        name: "FFmpeg 8 as the DTLS client",
        sdp: include_str!("../fixtures/ffmpeg_8_dtls_active.sdp"),
        lines: &[("0", "publish"), ("1", "publish")],
        video: &[h264(1, [0x42, 0xc0])],
        layers: &[],
    },
    ClientOffer {
        name: "the example of RFC 9725 (WHIP)",
        sdp: include_str!("../fixtures/whip_rfc_9725.sdp"),
        lines: &[("0", "publish"), ("1", "publish")],
        video: &[VP8],
        layers: &[],
    },
    ClientOffer {
        name: "an initial offer of RFC 9429 (JSEP)",
        sdp: include_str!("../fixtures/jsep_rfc_9429_initial.sdp"),
        lines: &[("a1", "publish"), ("d1", "refuse")],
        video: &[],
        layers: &[],
    },
    ClientOffer {
        name: "a subsequent offer of RFC 9429 (JSEP)",
        sdp: include_str!("../fixtures/jsep_rfc_9429_subsequent.sdp"),
        lines: &[("a1", "publish"), ("d1", "refuse"), ("v1", "publish"), ("v2", "receive")],
        video: &[VP8, h264(1, CONSTRAINED_BASELINE)],
        layers: &[],
    },
];

#[test]
fn the_offers_of_many_clients_are_answered() {
    for ClientOffer { name, sdp, lines, video, layers } in OFFERS {
        let offer = checked(sdp).unwrap_or_else(|| panic!("{name} is refused"));
        let purposes = purposes(&offer);
        let found: Vec<_> = purposes.iter().map(|(mid, purpose, _)| (*mid, *purpose)).collect();
        assert_eq!(found, *lines, "{name}");
        let published = offer.media.iter().find_map(|line| match &line.purpose {
            Use::Publish(negotiable) if negotiable.kind == MediaKind::Video => Some(negotiable),
            _ => None,
        });
        let (codecs, rids) = published.map(codecs_and_rids).unwrap_or_default();
        assert_eq!((&codecs[..], &rids[..]), (*video, *layers), "{name}");
    }
}

fn codecs_and_rids(negotiable: &Negotiable) -> (Vec<Codec>, Vec<&str>) {
    let codecs = negotiable.payloads.iter().map(|payload| payload.codec);
    (codecs.collect(), negotiable.layers.iter().map(|layer| layer.rid.as_str()).collect())
}

#[test]
fn safari_gets_what_it_offers() {
    for name in ["Safari 17", "Safari 18, with AV1 and RED"] {
        let sdp = OFFERS.iter().find(|offer| offer.name == name).unwrap().sdp;
        let answer = answer(&Offer::parse(sdp).unwrap());
        let has = |line: &str| answer.split("\r\n").filter(|other| *other == line).count();
        assert_eq!(has("a=extmap-allow-mixed"), 1, "{name}");
        assert_eq!(has("a=simulcast:recv q;h;f"), 1);
        assert_eq!(has("a=rid:h recv"), 1);
        assert_eq!(
            has("m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100 101 102 103 106 107 108 109 127 125"),
            if name == "Safari 17" { 2 } else { 0 }
        );
        let profile =
            "a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f";
        assert_eq!(has(profile), 2);
        assert_eq!(has("a=rtcp-fb:96 transport-cc"), 2);
        assert_eq!(has("a=rtpmap:63 red/48000/2"), if name == "Safari 17" { 0 } else { 2 });
        assert!(!answer.contains("H265") && !answer.contains("ulpfec"), "{name}");
        let extensions = ["rtp-stream-id", "video-orientation", "sdes:mid", "playout-delay"];
        assert!(extensions.iter().all(|name| answer.contains(name)), "{name}");
    }
}

/// The video codecs that one client sends and another one can't decode.
fn undecodable(sender: &str, receiver: &str) -> Vec<Codec> {
    let codecs = |sdp, is_it: fn(&Use) -> bool| -> Vec<Codec> {
        let offer = Offer::parse(sdp).unwrap();
        let lines = offer.media.iter().filter(|line| is_it(&line.purpose));
        let mut negotiable = lines.filter_map(|line| line.purpose.negotiable());
        let video = negotiable.find(|negotiable| negotiable.kind == MediaKind::Video).unwrap();
        codecs_and_rids(video).0
    };
    let slots = codecs(receiver, |purpose| matches!(purpose, Use::Receive(_)));
    let mut sent = codecs(sender, |purpose| matches!(purpose, Use::Publish(_)));
    sent.retain(|stream| !slots.iter().any(|own| own.decodes(*stream)));
    sent
}

#[test]
fn safari_and_chromium_understand_each_other() {
    let [safari_17, safari_18] = [OFFERS[0].sdp, OFFERS[1].sdp];
    assert_eq!(undecodable(safari_17, CHROMIUM), []);
    assert_eq!(undecodable(safari_18, CHROMIUM), []);
    // Safari has Constrained Baseline, but neither Baseline nor Main.
    let main = [0x4d, 0x00];
    let profiles = [h264(1, BASELINE), h264(0, BASELINE), h264(1, main), h264(0, main)];
    assert_eq!(undecodable(CHROMIUM, safari_17), [&profiles[..], &[AV1]].concat());
    assert_eq!(undecodable(CHROMIUM, safari_18), profiles);
}
