//! Publishers that send more than they may. Packets above the limits of their track or of the peer are dropped on arrival;
//! they cost their publisher's worker no more than decryption, and the receivers nothing.
//!
//! The publisher does not see it: dropped packets are not requested again, and reports do not count them as lost. An event
//! tells it.

use std::time::{Duration, Instant};

use super::peer::{Link, Peer};
use super::{MAX_WAITING_EVENTS, Worker};
use crate::incoming::meter::Limit;
use crate::incoming::nack::Continuity;
use crate::{BitrateLimits, Event, MediaKind};

/// The shortest time between two events about the same track.
const EVENT_INTERVAL: Duration = Duration::from_secs(5);

/// The limits of a worker, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    audio: Limit,
    video: Limit,
    peer: Limit,
}

impl Limits {
    pub(super) fn new(bits: BitrateLimits) -> Limits {
        Limits {
            audio: Limit::of_bits(bits.audio),
            video: Limit::of_bits(bits.video),
            peer: Limit::of_bits(bits.peer),
        }
    }

    fn of_track(&self, kind: MediaKind) -> Limit {
        match kind {
            MediaKind::Audio => self.audio,
            MediaKind::Video => self.video,
        }
    }
}

impl Worker {
    /// Counts a packet of a track, if it is within the limits. Otherwise it must be dropped.
    pub(super) fn is_within_limits(&mut self, key: usize, track: usize, bytes: usize) -> bool {
        let Worker { peers, limits, stats, .. } = self;
        let Peer { tracks, received, .. } = &mut peers[key];
        let (track, bytes) = (&mut tracks[track], bytes as u32);
        let of_track = limits.of_track(track.kind);
        let exceeded = match () {
            () if !track.received.has_room(bytes, of_track) => of_track,
            () if !received.has_room(bytes, limits.peer) => limits.peer,
            () => {
                track.received.add(bytes);
                received.add(bytes);
                return true;
            }
        };
        track.exceeded = Some(exceeded.bits_per_second);
        stats.dropped_excess += 1;
        false
    }

    /// Notes a dropped packet, so that nobody waits for it.
    pub(super) fn note_excess(&mut self, now: Instant, key: usize, place: usize, index: u64) {
        let peer = &mut self.peers[key];
        let stream = &mut peer.streams[place];
        if peer.tracks[stream.track].has_nack()
            && stream.nacks.arrived(now, index) == Continuity::Gap
        {
            self.missing_from(now, key);
        }
    }

    /// Lets the meters of all publishers of this worker drain, and reports who has exceeded a limit.
    pub(super) fn review_excess(&mut self, now: Instant) {
        let since = self.drained_at.replace(now).unwrap_or(now);
        let time = now.saturating_duration_since(since);
        let Worker { peers, limits, events, .. } = self;
        let whole = limits.peer.in_time(time);
        let of_track = |kind| limits.of_track(kind).in_time(time);
        let [audio, video] = [MediaKind::Audio, MediaKind::Video].map(of_track);
        for (_, peer) in peers.iter_mut() {
            if !matches!(peer.link, Link::Direct(_)) {
                continue;
            }
            peer.received.drain(whole);
            for track in &mut peer.tracks {
                track.received.drain(match track.kind {
                    MediaKind::Audio => audio,
                    MediaKind::Video => video,
                });
                let is_due = track
                    .excess_told_at
                    .is_none_or(|at| now.saturating_duration_since(at) >= EVENT_INTERVAL);
                if !is_due || events.len() >= MAX_WAITING_EVENTS {
                    continue;
                }
                if let Some(bits_per_second) = track.exceeded.take() {
                    track.excess_told_at = Some(now);
                    let (peer, mid) = (peer.id, track.mid.clone());
                    events.push_back(Event::Excess { peer, mid, bits_per_second });
                }
            }
        }
    }
}
