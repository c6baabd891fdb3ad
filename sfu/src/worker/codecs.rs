//! Which codecs publishers send, and which slots can show them.
//!
//! A publisher may send any codec that its m-line negotiated, change it at any time, and send simulcast layers in
//! different ones. So the codec of a track is that of its latest packet. Slots that can't decode it stay subscribed, since
//! it may change, but get nothing, and cause no key frame requests.

use std::time::Instant;

use super::peer::{Link, Peer};
use super::{MAX_WAITING_EVENTS, Worker};
use crate::codec::Codec;
use crate::incoming::track::Track;
use crate::keys::{SlotKey, TrackKey};
use crate::{Event, MediaKind};

impl Worker {
    /// Whether a slot can show a track: by the codec that the track is sent in, or before that is known, by any of those
    /// negotiated.
    pub(super) fn can_show(&self, to: SlotKey, track: TrackKey) -> bool {
        let slot = &self.peers[to.peer].slots[to.slot];
        let publisher = &self.peers[track.peer];
        match publisher.codec_of(track.track) {
            Some(codec) => slot.decodes(codec),
            None => {
                let negotiated = &publisher.tracks[track.track].payloads;
                negotiated.iter().any(|payload| slot.decodes(payload.codec))
            }
        }
    }

    /// Whether anybody receives a track who can decode it. Other workers know that of their own receivers.
    pub(super) fn is_shown(&self, key: TrackKey) -> bool {
        let track = &self.peers[key.peer].tracks[key.track];
        !track.elsewhere.is_empty()
            || track.subscribers.iter().any(|&slot| self.can_show(slot, key))
    }

    /// Reports the codecs in which a publisher of this worker sends video, for each m-line on which they changed.
    pub(super) fn report_codecs(&mut self, now: Instant, key: usize) {
        let peer = &mut self.peers[key];
        if !matches!(peer.link, Link::Direct(_)) {
            return;
        }
        let is_open = |track: &Track| track.is_open && track.kind == MediaKind::Video;
        peer.sent_codecs
            .retain(|(mid, _)| peer.tracks.iter().any(|track| is_open(track) && track.mid == *mid));
        for track in 0..peer.tracks.len() {
            let Track { mid, .. } = &peer.tracks[track];
            let is_first = !peer.tracks[..track].iter().any(|earlier| earlier.mid == *mid);
            if !is_first || !is_open(&peer.tracks[track]) {
                continue;
            }
            let codecs = sent_codecs(now, peer, track);
            let known = peer.sent_codecs.iter().position(|(known, _)| known == mid);
            let is_news = known.is_none_or(|at| peer.sent_codecs[at].1 != codecs);
            // A report that finds no room is made at the next review.
            if codecs.is_empty() || !is_news || self.events.len() >= MAX_WAITING_EVENTS {
                continue;
            }
            let mid = mid.clone();
            match known {
                Some(at) => peer.sent_codecs[at].1.clone_from(&codecs),
                None => peer.sent_codecs.push((mid.clone(), codecs.clone())),
            }
            self.events.push_back(Event::Sending { peer: peer.id, mid, codecs });
        }
    }
}

/// The codecs in which the layers of an m-line arrive, each once. Empty while nothing arrives.
fn sent_codecs(now: Instant, peer: &Peer, first: usize) -> Vec<Codec> {
    let mid = &peer.tracks[first].mid;
    let mut codecs = Vec::new();
    for (place, track) in peer.tracks.iter().enumerate() {
        let is_layer = track.is_open && track.mid == *mid && track.bitrate.is_active(now);
        if let Some(codec) =
            peer.codec_of(place).filter(|codec| is_layer && !codecs.contains(codec))
        {
            codecs.push(codec);
        }
    }
    codecs
}
