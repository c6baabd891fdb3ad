//! Tracks: what a peer publishes, and who receives it.

use std::time::{Duration, Instant};

use super::bitrate::Bitrate;
use crate::keys::{SlotKey, WorkerNumber};
use crate::sdp::{ExtensionMap, Negotiable, Payload, Rid};
use crate::{MediaKind, Mid};

/// The shortest time between two key frame requests to a publisher.
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(300);

/// A published m-line, or one layer of it: a camera sent in several encodings at once (simulcast, RFC 8853) is one
/// track per encoding, with the same mid, the lowest first.
pub(crate) struct Track {
    pub(crate) mid: Mid,
    /// Which simulcast layer it is; `None` without simulcast.
    pub(crate) rid: Option<Rid>,
    pub(crate) kind: MediaKind,
    pub(crate) payloads: Vec<Payload>,
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
}

impl Track {
    /// A track of which only the name is known.
    pub(crate) fn new(mid: Mid, rid: Option<Rid>, kind: MediaKind) -> Track {
        Track {
            mid,
            rid,
            kind,
            payloads: Vec::new(),
            extensions: ExtensionMap::default(),
            announced: Vec::new(),
            retransmissions: Vec::new(),
            is_open: false,
            is_permitted: true,
            subscribers: Vec::new(),
            elsewhere: Vec::new(),
            key_frames: KeyFrameRequests::default(),
            bitrate: Bitrate::default(),
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
}

impl KeyFrameRequests {
    /// A receiver can't go on without a key frame.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// A key frame has arrived.
    pub(crate) fn satisfied(&mut self) {
        self.wanted = false;
    }

    /// Whether to send the publisher a request now; `true` counts as sent. Requests are repeated until a key frame
    /// arrives.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let recently =
            self.asked_at.is_some_and(|at| now.saturating_duration_since(at) < KEY_FRAME_INTERVAL);
        if !self.wanted || recently {
            return false;
        }
        self.asked_at = Some(now);
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
}
