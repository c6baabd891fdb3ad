//! The SDP offer of a light peer, as a browser would write it.

use std::fmt::Write;

use madang_wire::SourceKind;
use madang_wire::request::Mids;

/// RTP payload type of Opus.
pub const OPUS: u8 = 111;
/// RTP payload type of VP8.
pub const VP8: u8 = 96;
/// RTP payload type of retransmitted VP8 (RTX).
pub const VP8_RTX: u8 = 97;
/// Extension id of the audio level (RFC 6464).
pub const AUDIO_LEVEL: u8 = 1;
/// Extension id of the transport-wide sequence number (TWCC).
pub const TRANSPORT_SEQUENCE: u8 = 5;

/// The SSRCs of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ssrcs {
    /// The SSRC of the audio.
    pub audio: u32,
    /// The SSRC of the video.
    pub video: u32,
    /// The SSRC of the video's retransmissions (RTX).
    pub video_rtx: u32,
}

/// The parameters of an offer.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The SSRCs of the published streams, if the peer publishes.
    pub publishes: Option<Ssrcs>,
    /// The number of receiving slots for audio.
    pub audio_slots: usize,
    /// The number of receiving slots for video.
    pub video_slots: usize,
    /// ICE user name fragment.
    pub ufrag: String,
    /// ICE password.
    pub password: String,
    /// The value of `a=fingerprint`, without the name of the hash.
    pub fingerprint: String,
}

impl Offer {
    /// The sources of the published m-lines.
    pub fn mids(&self) -> Option<Mids> {
        let both = [("0", SourceKind::Microphone), ("1", SourceKind::Camera)];
        self.publishes.map(|_| both.map(|(mid, kind)| (mid.to_owned(), kind)).into())
    }

    /// Writes the SDP.
    pub fn sdp(&self) -> String {
        let published = self.publishes.iter().flat_map(|ssrcs| {
            let Ssrcs { audio, video, video_rtx } = ssrcs;
            let audio = format!("{SEND_EXTENSIONS}a=ssrc:{audio} cname:light\r\n");
            let video = format!(
                "{SEND_EXTENSIONS}a=ssrc-group:FID {video} {video_rtx}\r\na=ssrc:{video} cname:light\r\n\
                 a=ssrc:{video_rtx} cname:light\r\n"
            );
            [("audio", "sendonly", audio), ("video", "sendonly", video)]
        });
        let slots = |kind, count| (0..count).map(move |_| (kind, "recvonly", String::new()));
        let lines: Vec<_> = published
            .chain(slots("audio", self.audio_slots))
            .chain(slots("video", self.video_slots))
            .collect();
        let mids: Vec<String> = (0..lines.len()).map(|mid| mid.to_string()).collect();
        let mut sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n",
            mids.join(" ")
        );
        for (mid, (kind, direction, more)) in lines.iter().enumerate() {
            let formats = match *kind {
                "audio" => format!("{OPUS}"),
                _ => format!("{VP8} {VP8_RTX}"),
            };
            let codecs = if *kind == "audio" { audio_codec() } else { video_codecs() };
            let Offer { ufrag, password, fingerprint, .. } = self;
            write!(
                sdp,
                "m={kind} 9 UDP/TLS/RTP/SAVPF {formats}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n\
                 a={direction}\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=setup:actpass\r\n\
                 a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=fingerprint:sha-256 {fingerprint}\r\n\
                 {codecs}{more}"
            )
            .expect("writing to a String can't fail");
        }
        sdp
    }
}

/// Only publishers offer transport-wide sequence numbers (TWCC): light receivers do no bandwidth estimation.
const SEND_EXTENSIONS: &str = "a=extmap:5 \
    http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n";

fn audio_codec() -> String {
    format!(
        "a=extmap:{AUDIO_LEVEL} urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
         a=rtpmap:{OPUS} opus/48000/2\r\na=fmtp:{OPUS} minptime=10;useinbandfec=1\r\n\
         a=rtcp-fb:{OPUS} nack\r\na=rtcp-fb:{OPUS} transport-cc\r\n"
    )
}

fn video_codecs() -> String {
    let feedback: String = ["nack", "nack pli", "ccm fir", "transport-cc"]
        .map(|kind| format!("a=rtcp-fb:{VP8} {kind}\r\n"))
        .concat();
    format!(
        "a=rtpmap:{VP8} VP8/90000\r\n{feedback}a=rtpmap:{VP8_RTX} rtx/90000\r\n\
         a=fmtp:{VP8_RTX} apt={VP8}\r\n"
    )
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use rtc::sdp::SessionDescription;

    use super::*;

    #[test]
    fn the_offer_is_valid_sdp_with_all_its_lines() {
        let offer = Offer {
            publishes: Some(Ssrcs { audio: 1, video: 2, video_rtx: 3 }),
            audio_slots: 2,
            video_slots: 3,
            ufrag: "abcd".to_owned(),
            password: "p".repeat(22),
            fingerprint: "AA:BB".to_owned(),
        };

        let sdp = SessionDescription::unmarshal(&mut Cursor::new(offer.sdp())).unwrap();

        assert_eq!(sdp.media_descriptions.len(), 7);
        for (at, media) in sdp.media_descriptions.iter().enumerate() {
            assert_eq!(media.attribute("mid").flatten(), Some(at.to_string().as_str()));
            let direction = if at < 2 { "sendonly" } else { "recvonly" };
            assert!(media.has_attribute(direction), "{at}");
        }
        assert_eq!(offer.mids().unwrap()["1"], SourceKind::Camera);
    }
}
