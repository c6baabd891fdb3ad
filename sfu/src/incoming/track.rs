//! Tracks: what a peer publishes, and who receives it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bitrate::Bitrate;
use super::meter::Meter;
use crate::keys::{SlotKey, WorkerNumber};
use crate::sdp::{ExtensionMap, Negotiable, Payload, Rid};
use crate::{MediaKind, Mid};

/// The shortest time between two key frame requests to a publisher.
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(300);
/// The longest time between two, to a publisher that does not answer. Each unanswered request doubles the time.
const MAX_KEY_FRAME_INTERVAL: Duration = Duration::from_secs(10);

/// A published m-line, or one layer of it: a camera sent in several encodings at once (simulcast, RFC 8853) is one
/// track per encoding, with the same mid.
pub(crate) struct Track {
    pub(crate) mid: Mid,
    /// Which simulcast layer it is; `None` without simulcast.
    pub(crate) rid: Option<Rid>,
    pub(crate) kind: MediaKind,
    pub(crate) payloads: Arc<[Payload]>,
    pub(crate) extensions: ExtensionMap,
    /// The SSRCs that the offer announces for it.
    pub(crate) announced: Vec<u32>,
    /// Pairs of SSRC and RTX SSRC, if the offer announces them.
    pub(crate) retransmissions: Vec<(u32, u32)>,
    /// False once an offer has closed the m-line. The track keeps its index, as the m-line does.
    pub(crate) is_open: bool,
    /// Whether its media is forwarded.
    pub(crate) is_permitted: bool,
    /// The slots that carry it.
    pub(crate) subscribers: Vec<SlotKey>,
    /// Other workers that its packets go to: for audio, those with peers of the room; for video, those that want it.
    pub(crate) elsewhere: Vec<WorkerNumber>,
    pub(crate) key_frames: KeyFrameRequests,
    /// The bitrate that arrives.
    pub(crate) bitrate: Bitrate,
    pub(crate) quality: Quality,
    /// The bytes received of it lately, retransmissions included.
    pub(crate) received: Meter,
    /// The limit, in bits a second, that it has exceeded since the last report of that, and when that report was made.
    pub(crate) exceeded: Option<u64>,
    pub(crate) excess_told_at: Option<Instant>,
    /// The stream that carries it at present.
    live: Option<Live>,
}

/// A stream that carries a track.
#[derive(Clone, Copy, Debug)]
struct Live {
    stream: u64,
    ssrc: u32,
    last_packet_at: Instant,
}

/// The known quality of a layer, for comparison with the other layers of its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quality {
    /// The position among the layers of the source, 0 for the lowest.
    pub(crate) rank: u8,
    /// The size of the picture in the last key frame, if known.
    pub(crate) pixels: Option<u32>,
    /// The last bitrate measured while it was sent, in bits per second; 0 before.
    pub(crate) bits_per_second: u64,
}

impl Quality {
    /// Whether this layer is better for certain: more pixels, or else a quarter more bits.
    ///
    /// The order of `a=simulcast` says nothing: RFC 8853 §5.2 lists by preference, and pages list best or worst first.
    pub(crate) fn is_better_than(&self, other: &Quality) -> bool {
        match (self.pixels, other.pixels) {
            (Some(own), Some(others)) if own != others => own > others,
            _ => {
                let (own, others) = (self.bits_per_second, other.bits_per_second);
                others > 0 && own > others + others / 4
            }
        }
    }
}

impl Track {
    /// A track of which only the name is known.
    pub(crate) fn new(mid: Mid, rid: Option<Rid>, kind: MediaKind) -> Track {
        Track {
            mid,
            rid,
            kind,
            payloads: Arc::default(),
            extensions: ExtensionMap::default(),
            announced: Vec::new(),
            retransmissions: Vec::new(),
            is_open: false,
            is_permitted: true,
            subscribers: Vec::new(),
            elsewhere: Vec::new(),
            key_frames: KeyFrameRequests::default(),
            bitrate: Bitrate::default(),
            quality: Quality::default(),
            received: Meter::default(),
            exceeded: None,
            excess_told_at: None,
            live: None,
        }
    }

    /// Opens the track with what an offer negotiated.
    pub(crate) fn open(&mut self, common: &Negotiable) {
        self.kind = common.kind;
        self.payloads.clone_from(&common.payloads);
        self.extensions.clone_from(&common.extensions);
        // The SSRCs that an offer announces for an m-line don't say to which layer they belong.
        let is_plain = self.rid.is_none();
        self.announced = common.ssrcs.iter().copied().filter(|_| is_plain).collect();
        self.retransmissions =
            common.retransmissions.iter().copied().filter(|_| is_plain).collect();
        self.is_open = true;
    }

    /// Closes the track: it keeps its place, for an offer that opens it again.
    pub(crate) fn close(&mut self) {
        self.is_open = false;
        self.elsewhere.clear();
        self.bitrate.end();
        self.live = None;
    }

    /// Whether to forward a packet of this stream.
    ///
    /// A track is one stream for its receivers. If a client sends several SSRCs on an m-line at once, as with a SIM
    /// group that no RIDs tell apart, the one that came first is forwarded, and another takes over once it has stopped.
    /// The SSRC of a later offer takes over at once.
    pub(crate) fn follows(&mut self, now: Instant, stream: u64, ssrc: u32) -> bool {
        let takes_over = self.live.is_none_or(|live| {
            let is_renamed =
                || self.announced.contains(&ssrc) && !self.announced.contains(&live.ssrc);
            live.stream == stream
                || now.saturating_duration_since(live.last_packet_at) >= stopped_after(self.kind)
                || is_renamed()
        });
        if takes_over {
            self.live = Some(Live { stream, ssrc, last_packet_at: now });
        }
        takes_over
    }

    /// The SSRC that carries it at present, or did last.
    pub(crate) fn live_ssrc(&self) -> Option<u32> {
        self.live.map(|live| live.ssrc)
    }

    /// The stream has ended; any other may carry the track.
    pub(crate) fn end(&mut self, stream: u64) {
        self.live = self.live.filter(|live| live.stream != stream);
    }

    /// Whether NACK was negotiated for it.
    pub(crate) fn has_nack(&self) -> bool {
        self.payloads.iter().any(Payload::has_nack)
    }

    /// The properties negotiated for it.
    pub(crate) fn negotiated(&self) -> Negotiable {
        Negotiable {
            kind: self.kind,
            payloads: self.payloads.clone(),
            extensions: self.extensions.clone(),
            ssrcs: self.announced.clone(),
            retransmissions: self.retransmissions.clone(),
            layers: Vec::new(),
        }
    }

    /// The content of packets with a payload type.
    pub(crate) fn carries(&self, payload_type: u8) -> Option<Carried<'_>> {
        self.payloads.iter().find_map(|payload| {
            if payload.payload_type == payload_type {
                Some(Carried::Media(payload))
            } else {
                (payload.rtx == Some(payload_type)).then_some(Carried::Retransmission(payload))
            }
        })
    }
}

/// Ranks the layers of each source by what they carry. Layers that can't be compared keep their order, and a paused
/// layer its rank.
pub(crate) fn rank_layers(now: Instant, tracks: &mut [Track]) {
    let is_layer = |track: &Track| track.is_open && track.rid.is_some();
    for track in tracks.iter_mut().filter(|track| is_layer(track)) {
        if let Some(measured) = track.bitrate.bits_per_second(now) {
            track.quality.bits_per_second = measured;
        }
    }
    let layers: Vec<usize> = (0..tracks.len()).filter(|&at| is_layer(&tracks[at])).collect();
    for &lower in &layers {
        for &upper in &layers {
            let (one, other) = (&tracks[lower], &tracks[upper]);
            let is_wrong = one.mid == other.mid
                && one.quality.rank < other.quality.rank
                && one.quality.is_better_than(&other.quality);
            if is_wrong {
                let rank = other.quality.rank;
                tracks[upper].quality.rank = tracks[lower].quality.rank;
                tracks[lower].quality.rank = rank;
            }
        }
    }
}

/// A stream that sends nothing for this long has stopped: some packets of audio, or a few frames of video.
fn stopped_after(kind: MediaKind) -> Duration {
    match kind {
        MediaKind::Audio => Duration::from_millis(100),
        MediaKind::Video => Duration::from_millis(300),
    }
}

/// The content of a packet.
pub(crate) enum Carried<'a> {
    /// Media, for the first time.
    Media(&'a Payload),
    /// A retransmission of a lost packet (RTX, RFC 4588).
    Retransmission(&'a Payload),
}

/// Key frame requests for one track, merged so that many receivers cost the publisher one request.
#[derive(Debug, Default)]
pub(crate) struct KeyFrameRequests {
    wanted: bool,
    asked_at: Option<Instant>,
    /// Requests since the last key frame.
    unanswered: u32,
}

impl KeyFrameRequests {
    /// A receiver can't go on without a key frame.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// A key frame has arrived.
    pub(crate) fn satisfied(&mut self) {
        self.wanted = false;
        self.unanswered = 0;
    }

    /// Whether to send the publisher a request now; `true` counts as sent. Requests are repeated until a key frame
    /// arrives, ever less often.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let doublings = self.unanswered.saturating_sub(1).min(16);
        let interval = (KEY_FRAME_INTERVAL * (1 << doublings)).min(MAX_KEY_FRAME_INTERVAL);
        let recently = self.asked_at.is_some_and(|at| now.saturating_duration_since(at) < interval);
        if !self.wanted || recently {
            return false;
        }
        self.asked_at = Some(now);
        self.unanswered += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_now;

    #[test]
    fn many_receivers_cause_one_request_until_the_next_is_due() {
        let now = test_now();
        let mut requests = KeyFrameRequests::default();
        assert!(!requests.is_due(now));
        requests.want();
        assert!(requests.is_due(now));
        requests.want();
        assert!(!requests.is_due(now));
        assert!(requests.is_due(now + KEY_FRAME_INTERVAL));
        requests.satisfied();
        assert!(!requests.is_due(now + 2 * KEY_FRAME_INTERVAL));
    }

    #[test]
    fn a_publisher_that_does_not_answer_is_asked_ever_less_often() {
        let now = test_now();
        let mut requests = KeyFrameRequests::default();
        requests.want();
        let mut asked = |from: u32, until: u32| {
            let times = (from * 100..until * 100).map(|at| now + Duration::from_millis(10) * at);
            times.filter(|at| requests.is_due(*at)).count()
        };
        assert_eq!(asked(0, 1), 3, "at 0, 0.3 and 0.9 s");
        assert_eq!(asked(1, 30), 5);
        assert_eq!(asked(30, 90), 6, "once in ten seconds");

        requests.satisfied();
        requests.want();
        let later = now + Duration::from_secs(91);
        assert!(requests.is_due(later), "the next one is asked for at once");
    }
}
