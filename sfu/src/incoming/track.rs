//! What a peer publishes: tracks, the streams (SSRCs) that carry them, and what has been received of each.

use std::time::{Duration, Instant};

use super::bitrate::Bitrate;
use crate::keys::{SlotKey, WorkerNumber};
use crate::sdp::{ExtensionMap, Negotiable, Payload, Rid};
use crate::{MediaKind, Mid};

/// A publisher is asked for a key frame at most this often.
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(300);

/// A published m-line, or one layer of it: a camera that is sent in several encodings at once (RFC 8853) is as many
/// tracks with the same mid, the least of them first.
pub(crate) struct Track {
    pub(crate) mid: Mid,
    /// Which layer it is; `None` without simulcast.
    pub(crate) rid: Option<Rid>,
    pub(crate) kind: MediaKind,
    pub(crate) payloads: Vec<Payload>,
    pub(crate) extensions: ExtensionMap,
    /// SSRCs that the offer announces for it.
    pub(crate) announced: Vec<u32>,
    /// SSRC and that of its retransmissions, as far as the offer announces them.
    pub(crate) retransmissions: Vec<(u32, u32)>,
    /// False once an offer closed the m-line; the place stays, because m-lines keep theirs.
    pub(crate) is_open: bool,
    /// What comes is forwarded.
    pub(crate) is_permitted: bool,
    /// The slots that carry it.
    pub(crate) subscribers: Vec<SlotKey>,
    /// Workers that it crosses to: those with peers of the room for audio, those that want it for video.
    pub(crate) elsewhere: Vec<WorkerNumber>,
    pub(crate) key_frames: KeyFrameRequests,
    /// How much of it comes.
    pub(crate) bitrate: Bitrate,
}

impl Track {
    /// One that nothing is known of but its name.
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

    /// Takes what an offer says of it, and is open from here on.
    pub(crate) fn open(&mut self, common: &Negotiable) {
        self.kind = common.kind;
        self.payloads.clone_from(&common.payloads);
        self.extensions.clone_from(&common.extensions);
        // What an offer announces for an m-line doesn't say for which of its layers.
        let is_plain = self.rid.is_none();
        self.announced = common.ssrcs.iter().copied().filter(|_| is_plain).collect();
        self.retransmissions =
            common.retransmissions.iter().copied().filter(|_| is_plain).collect();
        self.is_open = true;
    }

    /// Whether its lost packets may be asked for.
    pub(crate) fn has_nack(&self) -> bool {
        self.payloads.iter().any(Payload::has_nack)
    }

    /// What was negotiated for it.
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

    /// What travels under a payload type.
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

/// What a packet of a track carries.
pub(crate) enum Carried<'a> {
    /// Media for the first time.
    Media(&'a Payload),
    /// A packet that was lost, under RFC 4588.
    Retransmission(&'a Payload),
}

/// Requests for key frames of one track, gathered so that many receivers cost the publisher one.
#[derive(Debug, Default)]
pub(crate) struct KeyFrameRequests {
    wanted: bool,
    asked_at: Option<Instant>,
}

impl KeyFrameRequests {
    /// Somebody can't go on without a key frame.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// A key frame came.
    pub(crate) fn satisfied(&mut self) {
        self.wanted = false;
    }

    /// Whether to ask the publisher now; `true` counts as asked. Until a key frame comes it is asked again and again.
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
    fn many_wishes_make_one_request_until_it_is_due_again() {
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
