//! Offers as browsers send them, and invalid ones.

mod clients;
mod odd;

use proptest::prelude::*;

use super::*;
use crate::codec::Codec;
use crate::transport::ice::{Candidate, Credentials};
use crate::{MediaKind, MediaLine, Mid, OfferError};

const CHROMIUM: &str = include_str!("../fixtures/chromium_156.sdp");
const FIREFOX: &str = include_str!("../fixtures/firefox_153.sdp");

fn answer(offer: &Offer) -> String {
    let credentials = Credentials { ufrag: "ufrag".into(), password: "password".into() };
    let answerer = Answerer {
        session_id: 7,
        version: 1,
        credentials: &credentials,
        fingerprint: "AA:BB",
        tls_id: None,
        candidates: &[
            Candidate::Udp(([192, 0, 2, 1], 5004).into()),
            Candidate::Tcp("[2001:db8::1]:5005".parse().unwrap()),
        ],
        cname: "cname",
    };
    write_answer(&answerer, offer, |line| {
        matches!(line.purpose, Use::Receive(_)).then_some(Slot { ssrc: 42, rtx_ssrc: Some(43) })
    })
}

/// Reads an offer, and checks what holds for every answer. `None` if it is refused.
fn checked(sdp: &str) -> Option<Offer> {
    let offer = Offer::parse(sdp).ok()?;
    invariants::check(sdp, &answer(&offer));
    Some(offer)
}

fn purposes(offer: &Offer) -> Vec<(&str, &str, MediaKind)> {
    let lines = offer.media.iter().map(|line| match &line.purpose {
        Use::Publish(common) => (line.mid.as_str(), "publish", common.kind),
        Use::Receive(common) => (line.mid.as_str(), "receive", common.kind),
        Use::Inactive(common) => (line.mid.as_str(), "inactive", common.kind),
        Use::Carry => (line.mid.as_str(), "carry", MediaKind::Audio),
        Use::Refuse => (line.mid.as_str(), "refuse", MediaKind::Audio),
    });
    lines.collect()
}

#[test]
fn browsers_offers_are_understood() {
    for sdp in [CHROMIUM, FIREFOX] {
        let offer = Offer::parse(sdp).unwrap();
        assert_eq!(
            purposes(&offer),
            [
                ("0", "publish", MediaKind::Audio),
                ("1", "publish", MediaKind::Video),
                ("2", "receive", MediaKind::Audio),
                ("3", "receive", MediaKind::Audio),
                ("4", "receive", MediaKind::Video),
            ]
        );
        assert_eq!(offer.fingerprints.len(), 1);
    }
}

#[test]
fn only_supported_codecs_are_accepted_in_the_order_of_the_offer() {
    let offer = Offer::parse(FIREFOX).unwrap();
    let Use::Publish(video) = &offer.media[1].purpose else { panic!("mid 1 publishes") };
    let codecs: Vec<_> = video.payloads.iter().map(|payload| payload.codec).collect();
    let expected = [Codec::Vp8, Codec::Vp9 { profile: 0 }, Codec::Av1 { profile: 0 }];
    assert_eq!(codecs, expected, "without redundancy and their retransmissions");
    assert_eq!(video.payloads[0].feedback, ["nack", "nack pli", "ccm fir", "transport-cc"]);
    assert_eq!(video.payloads[0].rtx, Some(124));
    assert!(video.extensions.id_of(Extension::Mid).is_some());
}

#[test]
fn the_answer_mirrors_the_offer() {
    for sdp in [CHROMIUM, FIREFOX] {
        let offer = Offer::parse(sdp).unwrap();
        let answer = answer(&offer);
        let has = |line: &str| answer.split("\r\n").filter(|other| *other == line).count();
        assert_eq!(has("a=group:BUNDLE 0 1 2 3 4"), 1);
        assert_eq!(has("a=ice-lite"), 1);
        assert_eq!((has("a=recvonly"), has("a=sendonly")), (2, 3));
        assert_eq!(has("a=ssrc:42 cname:cname"), 3);
        assert_eq!(has("a=msid:slot-4 slot-4"), 1);
        // In the tagged m-line, and in the last one of each kind.
        assert_eq!(has("a=candidate:1 1 udp 2130706431 192.0.2.1 5004 typ host"), 3);
        let tcp = "a=candidate:2 1 tcp 1520434943 2001:db8::1 5005 typ host tcptype passive";
        assert_eq!(has(tcp), 3);
        let tagged = answer.split("\r\nm=").nth(1).unwrap();
        assert!(tagged.contains(tcp) && tagged.contains("a=end-of-candidates"), "{tagged}");
        assert_eq!(has("a=ssrc-group:FID 42 43"), 3);
        let (published, slots) = answer.split_once("a=mid:2").unwrap();
        assert!(!published.contains("goog-remb"), "publishers get transport-wide feedback");
        assert_eq!(slots.contains("goog-remb"), sdp.contains("goog-remb"));
        assert_eq!(has("a=rtcp-rsize"), sdp.matches("a=rtcp-rsize").count());
    }
}

#[test]
fn an_unknown_medium_keeps_its_place_with_port_0() {
    let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:5\r\n\
                a=sctp-port:5000\r\n";
    let offer = Offer::parse(&format!("{FIREFOX}{data}")).unwrap();
    let answer = answer(&offer);
    assert!(answer.contains("m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"));
    assert!(answer.contains("a=group:BUNDLE 0 1 2 3 4\r\n"), "it isn't in the bundle");
}

/// Each change makes the offer invalid; the reason must name the problem.
#[test]
fn the_reason_names_what_is_missing() {
    for (from, to, reason) in [
        ("a=rtcp-mux\r\n", "", "a=rtcp-mux"),
        ("a=group:BUNDLE", "a=group:LS", "BUNDLE"),
        ("a=ice-ufrag:", "a=ice-nothing:", "a=ice-ufrag"),
        ("a=fingerprint:sha-256", "a=fingerprint:sha-1", "sha-256"),
        ("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 ZZ", "hexadecimal"),
        ("a=setup:actpass", "a=setup:passive", "a=setup:passive"),
        ("a=mid:1", "a=mid:0", "two m-lines"),
        ("a=mid:", "a=middle:", "no a=mid"),
    ] {
        let sdp = CHROMIUM.replace(from, to);
        let Err(OfferError::BadSdp(text)) = Offer::parse(&sdp) else {
            panic!("{from:?} -> {to:?} was accepted");
        };
        assert!(text.contains(reason), "{from:?} -> {to:?}: {text}");
    }
}

#[test]
fn an_offer_with_too_many_lines_is_refused() {
    let line = FIREFOX.split("m=").last().unwrap();
    let many: String = (5..90)
        .map(|mid| format!("m={}", line.replace("a=mid:4", &format!("a=mid:{mid}"))))
        .collect();
    let Err(OfferError::BadSdp(text)) = Offer::parse(&format!("{FIREFOX}{many}")) else {
        panic!("90 m-lines were accepted");
    };
    assert!(text.contains("90 m-lines in use; at most 80"), "{text}");
}

#[test]
fn h264_streams_are_told_apart_by_mode_and_profile() {
    let offer = Offer::parse(CHROMIUM).unwrap();
    let Use::Publish(video) = &offer.media[1].purpose else { panic!("mid 1 publishes") };
    let constrained = Codec::H264 { packetization_mode: 1, profile: [0x42, 0xe0] };
    assert!(video.payloads.iter().any(|payload| payload.codec == constrained));
    assert_ne!(constrained, Codec::Vp8);
}

#[test]
fn chromiums_codecs_are_distinguished_by_their_profiles() {
    let offer = Offer::parse(CHROMIUM).unwrap();
    let Use::Receive(video) = &offer.media[4].purpose else { panic!("mid 4 receives") };
    let of = |codec| video.payloads.iter().filter(|payload| payload.codec == codec).count();
    assert_eq!((0..4).map(|profile| of(Codec::Vp9 { profile })).collect::<Vec<_>>(), [1; 4]);
    assert_eq!((of(Codec::Av1 { profile: 0 }), of(Codec::Av1 { profile: 1 })), (1, 1));
    assert_ne!(Codec::Vp9 { profile: 0 }, Codec::Vp9 { profile: 2 });

    let answer = answer(&offer);
    for line in ["a=fmtp:98 profile-id=0", "a=fmtp:45 level-idx=5;profile=0;tier=0"] {
        assert!(answer.split("\r\n").any(|other| other == line), "{line} is missing");
    }
    assert!(!answer.contains("ulpfec"));
}

#[test]
fn red_is_accepted_if_it_repeats_opus() {
    let audio = |sdp: &str| match &Offer::parse(sdp).unwrap().media[0].purpose {
        Use::Publish(audio) => audio.payloads.iter().map(|payload| payload.codec).collect(),
        _ => Vec::new(),
    };
    assert_eq!(audio(CHROMIUM), [Codec::Opus, Codec::Red]);
    assert_eq!(audio(&CHROMIUM.replace("a=fmtp:63 111/111", "a=fmtp:63 9/9")), [Codec::Opus]);
    assert_eq!(audio(&CHROMIUM.replace("a=fmtp:63 111/111\r\n", "")), [Codec::Opus]);

    let first = CHROMIUM.replace("SAVPF 111 63 ", "SAVPF 63 111 ");
    assert_eq!(audio(&first), [Codec::Red, Codec::Opus]);
    let answer = answer(&Offer::parse(&first).unwrap());
    assert!(answer.contains("m=audio 9 UDP/TLS/RTP/SAVPF 63 111\r\n"), "the preference stays");
    assert!(answer.contains("a=fmtp:63 111/111\r\n"));
}

#[test]
fn opus_keeps_the_senders_preferences() {
    let answered = |fmtp: &str| {
        let fmtp = format!("a=fmtp:111 {fmtp}\r\n");
        let sdp = CHROMIUM.replace("a=fmtp:111 minptime=10;useinbandfec=1\r\n", &fmtp);
        let answer = answer(&Offer::parse(&sdp).unwrap());
        answer.split("\r\n").find_map(|line| line.strip_prefix("a=fmtp:111 ")).unwrap().to_owned()
    };
    assert_eq!(answered("minptime=10"), "minptime=10;useinbandfec=1");
    assert_eq!(
        answered("usedtx=1; sprop-stereo=1;stereo=1"),
        "minptime=10;useinbandfec=1;usedtx=1;stereo=1"
    );
    assert_eq!(answered("usedtx=0"), "minptime=10;useinbandfec=1");
}

#[test]
fn rtx_has_the_clock_rate_of_the_repeated_codec() {
    let sdp = CHROMIUM.replace("SAVPF 111 63 ", "SAVPF 111 50 63 ").replace(
        "a=rtpmap:63 red",
        "a=rtpmap:50 rtx/48000\r\na=fmtp:50 apt=111\r\na=rtpmap:63 red",
    );
    let answer = answer(&Offer::parse(&sdp).unwrap());
    assert!(answer.contains("a=rtpmap:50 rtx/48000\r\n"));
    assert!(answer.contains("a=rtpmap:97 rtx/90000\r\n"));
}

/// Chromium's offer with a camera in several encodings.
fn simulcast(lines: &str) -> String {
    CHROMIUM.replacen("a=mid:1\r\n", &format!("a=mid:1\r\n{lines}"), 1)
}

const LAYERS: &str = "a=rid:q send\r\na=rid:h send max-width=640;max-fps=15\r\na=rid:f send\r\n";

fn accepted(lines: &str) -> Vec<String> {
    let answer = answer(&Offer::parse(&simulcast(lines)).unwrap());
    let is_about = |line: &&str| line.starts_with("a=rid") || line.starts_with("a=simulcast");
    answer.split("\r\n").filter(is_about).map(str::to_owned).collect()
}

#[test]
fn simulcast_layers_are_accepted_with_their_restrictions() {
    let rids = ["a=rid:q recv", "a=rid:h recv max-width=640;max-fps=15", "a=rid:f recv"];
    let expected = |list: &'static str| [&rids[..], &[list]].concat();
    let offered = format!("{LAYERS}a=simulcast:send q;h;f\r\n");
    assert_eq!(accepted(&offered), expected("a=simulcast:recv q;h;f"));
    let paused = format!("{LAYERS}a=simulcast:recv 1;2 send q;~h,x;f\r\n");
    assert_eq!(accepted(&paused), expected("a=simulcast:recv q;h;f"));
}

#[test]
fn unsupported_simulcast_is_left_out_of_the_answer() {
    let fourth = format!("{LAYERS}a=rid:x send\r\na=simulcast:send q;h;f;x\r\n");
    assert_eq!(accepted(&fourth).last().unwrap(), "a=simulcast:recv q;h;f");
    let unknown = "a=rid:q send\r\na=simulcast:send q;h\r\n";
    assert_eq!(accepted(unknown), ["a=rid:q recv", "a=simulcast:recv q"]);
    assert!(accepted("a=rid:q recv\r\na=simulcast:recv q\r\n").is_empty(), "slots have one");
    assert!(accepted("a=simulcast:send q;h\r\n").is_empty());
    assert!(accepted("a=simulcast:\r\n").is_empty());

    let sdp = simulcast(&format!("{LAYERS}a=simulcast:send q;h;f\r\n"));
    let untold = sdp.replace("urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "urn:other");
    let answer = answer(&Offer::parse(&untold).unwrap());
    assert!(!answer.contains("simulcast"), "packets could not name their layer");
}

#[test]
fn contradictory_simulcast_is_left_out_of_the_answer() {
    let long = format!("a=rid:{} send\r\na=rid:f send\r\n", "x".repeat(17));
    let many: String = (0..17).map(|n| format!("a=rid:{n} send\r\n")).collect();
    for (lines, list, expected) in [
        ("a=rid:q send\r\na=rid:q send\r\n", "q", &[][..]),
        ("a=rid:q send\r\na=rid:q recv\r\na=rid:f send\r\n", "q;f", &["f"]),
        ("a=rid:q send\r\na=rid:f send\r\n", "q;q;f", &["q", "f"]),
        ("a=rid: send\r\n", "q", &[]),
        ("a=rid:q;f send\r\n", "q;f", &[]),
        (&long, "xxxxxxxxxxxxxxxxx;f", &["f"]),
        (&many, "15;16", &["15"]),
        ("a=rid:1 send\r\na=rid:2 send\r\n", "rid=1;2", &["1", "2"]),
    ] {
        let mut answered: Vec<String> =
            expected.iter().map(|rid| format!("a=rid:{rid} recv")).collect();
        if !expected.is_empty() {
            answered.push(format!("a=simulcast:recv {}", expected.join(";")));
        }
        assert_eq!(accepted(&format!("{lines}a=simulcast:send {list}\r\n")), answered, "{lines:?}");
    }
}

#[test]
fn an_attribute_repeated_a_thousand_times_counts_once() {
    let mid = "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";
    let sdp = CHROMIUM
        .replace("SAVPF 102 ", &format!("SAVPF {}", "102 ".repeat(10_000)))
        .replace(mid, &mid.repeat(200))
        .replace(mid, &format!("{mid}{}", mid.replace(":4 ", ":9 ")));
    let (once, repeated) = (Offer::parse(CHROMIUM).unwrap(), Offer::parse(&sdp).unwrap());
    for (line, expected) in repeated.media.iter().zip(&once.media) {
        let (Use::Publish(common) | Use::Receive(common)) = &line.purpose else { panic!("used") };
        let (Use::Publish(plain) | Use::Receive(plain)) = &expected.purpose else { panic!("used") };
        assert_eq!(common.payloads, plain.payloads);
        assert_eq!(common.extensions, plain.extensions);
    }
    assert!(answer(&repeated).len() <= answer(&once).len());
}

#[test]
fn the_m_lines_that_publish_are_found_in_an_offer() {
    let sdp = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\na=mid:no\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
               m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:data\r\n\
               m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:slot\r\na=recvonly\r\n\
               m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=sendonly\r\na=mid:1\r\n";
    let found = |sdp: &str| -> Vec<_> {
        published_lines(sdp).into_iter().map(|line| (line.mid, line.kind)).collect()
    };
    let expected = [(Mid::new("0"), MediaKind::Audio), (Mid::new("1"), MediaKind::Video)];
    assert_eq!(found(sdp), expected);
    let receiving = sdp.replace("a=mid:no", "a=recvonly");
    assert_eq!(found(&receiving), expected[1..], "the session's direction holds");
}

proptest! {
    /// The control plane forbids m-lines in advance, by what it finds in an offer.
    #[test]
    fn every_published_m_line_is_found_in_advance(
        cuts in proptest::collection::vec((0usize..300, 0u8..3, 0usize..40), 1..8)
    ) {
        let sdp = damaged(&cuts);
        let Some(offer) = checked(&sdp) else { return Ok(()) };
        let found = published_lines(&sdp);
        for line in offer.media {
            if let Use::Publish(negotiable) = line.purpose {
                let published = MediaLine { mid: line.mid, kind: negotiable.kind };
                prop_assert!(found.contains(&published), "{published:?}");
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,400}") {
        checked(&text);
    }

    #[test]
    fn no_simulcast_makes_it_panic(rids in "[a-z;, ~=]{0,60}", list in "(send |recv )?[a-z;,~ ]{0,60}") {
        let lines = format!("a=rid:{rids}\r\na=rid:a send\r\na=simulcast:{list}\r\n");
        prop_assert!(checked(&simulcast(&lines)).is_some());
    }

    #[test]
    fn no_damage_makes_it_panic(
        cuts in proptest::collection::vec((0usize..300, 0u8..3, 0usize..40), 1..8)
    ) {
        checked(&damaged(&cuts));
    }
}

/// A real offer with lines that are removed, doubled and truncated.
fn damaged(cuts: &[(usize, u8, usize)]) -> String {
    let mut lines: Vec<String> = CHROMIUM.split("\r\n").map(str::to_owned).collect();
    for &(at, what, by) in cuts {
        let at = at % lines.len();
        match what {
            0 => _ = lines.remove(at),
            1 => lines.insert(at, lines[at].clone()),
            _ => {
                let keep = by.min(lines[at].len());
                lines[at].truncate(keep);
            }
        }
    }
    lines.join("\r\n")
}
