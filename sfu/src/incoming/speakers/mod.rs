//! Active speaker detection for a room: who is heard if more people talk than receivers have audio slots.
//!
//! The tracks of a room are ranked, and a receiver with three slots hears the first three of the others. A rank is a
//! place that a voice keeps while it is used:
//!
//! | the voice in place | gives way to |
//! | --- | --- |
//! | has been there for less than [`FRESH`] | nobody |
//! | speaks | somebody who is clearly louder for [`CONTEST`], once it has been there for [`TENURE`] |
//! | spoke within the last [`FREE`] | somebody who has been speaking for [`CONTEST`], once it has been there for [`TENURE`] |
//! | has been silent for longer | anybody who speaks |
//! | has been inaudible for [`FREE`] | anybody who is audible |
//!
//! So a place changes at most about once a second, however many talk. See [`Voice`] for what counts as speech.

use std::time::{Duration, Instant};

use crate::PeerId;
use crate::incoming::voice::{Sound, Voice};
use crate::keys::TrackKey;

/// How long a voice that has just come in front is safe.
const FRESH: Duration = Duration::from_millis(300);
/// How long somebody who has spoken is safe at least.
const TENURE: Duration = Duration::from_secs(1);
/// How long somebody must speak, or be clearly louder, to take the place of another speaker.
const CONTEST: Duration = Duration::from_millis(300);
/// After this long in silence a place is free.
const FREE: Duration = Duration::from_secs(2);
/// At most five speaker events a second.
const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(200);

/// The audio tracks of a room, ranked.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    ranking: Vec<Ranked>,
    /// The ranks in front of which it matters who is there, in ascending order: those up to which somebody hears.
    bounds: Vec<usize>,
    announced: Vec<PeerId>,
    announced_at: Option<Instant>,
}

#[derive(Debug)]
struct Ranked {
    track: TrackKey,
    peer: PeerId,
    voice: Voice,
    /// When it came to its place by speaking; `None` if by joining.
    placed_at: Option<Instant>,
    /// Since when it has been clearly louder than a voice in front of it.
    louder_since: Option<Instant>,
}

impl Ranked {
    fn has_been_here_for(&self, now: Instant, time: Duration) -> bool {
        self.placed_at.is_none_or(|at| now.saturating_duration_since(at) >= time)
    }

    /// Whether it gives its place to `other`, which is audible at present; see the module's text.
    fn gives_way(&self, now: Instant, other: &Ranked) -> bool {
        if !self.has_been_here_for(now, FRESH) {
            return false;
        }
        if !other.voice.speaks(now) {
            return self.voice.is_inaudible_for(now, FREE) && self.voice.is_silent_for(now, FREE);
        }
        if self.voice.speaks(now) {
            let is_louder = |since| now.saturating_duration_since(since) >= CONTEST;
            return self.has_been_here_for(now, TENURE)
                && other.louder_since.is_some_and(is_louder);
        }
        let is_over = self.has_been_here_for(now, TENURE) && other.voice.speaks_for(now, CONTEST);
        is_over || self.voice.is_silent_for(now, FREE)
    }
}

impl Speakers {
    /// Adds a track at the end: the first tracks to join are heard until somebody speaks.
    pub(crate) fn add(&mut self, track: TrackKey, peer: PeerId) {
        if !self.ranking.iter().any(|ranked| ranked.track == track) {
            let (voice, placed_at, louder_since) = (Voice::new(), None, None);
            self.ranking.push(Ranked { track, peer, voice, placed_at, louder_since });
        }
    }

    /// Removes a track.
    pub(crate) fn remove(&mut self, track: TrackKey) {
        self.ranking.retain(|ranked| ranked.track != track);
    }

    /// Sets how many audio slots the receivers have; the order does not matter.
    ///
    /// Somebody who publishes does not hear themself, so one rank more than slots matters.
    pub(crate) fn set_slots(&mut self, slots: impl Iterator<Item = usize>) {
        self.bounds =
            slots.filter(|slots| *slots > 0).flat_map(|slots| [slots, slots + 1]).collect();
        self.bounds.sort_unstable();
        self.bounds.dedup();
    }

    /// Forgets how loud a track was that sends nothing any more for now.
    pub(crate) fn fell_silent(&mut self, track: TrackKey) {
        if let Some(ranked) = self.ranking.iter_mut().find(|ranked| ranked.track == track) {
            ranked.voice = Voice::new();
        }
    }

    /// Takes an audio packet. Returns whether anybody hears somebody else from now on.
    pub(crate) fn heard(&mut self, now: Instant, track: TrackKey, sound: Sound) -> bool {
        let Some(at) = self.ranking.iter().position(|ranked| ranked.track == track) else {
            return false;
        };
        if !self.ranking[at].voice.hear(now, sound) {
            return false;
        }
        let mut has_changed = false;
        for bound in 0..self.bounds.len() {
            let bound = self.bounds[bound];
            if at < bound {
                continue;
            }
            let Some(weakest) = self.weakest_of(now, bound) else {
                continue;
            };
            self.compare(now, at, weakest);
            if self.ranking[weakest].gives_way(now, &self.ranking[at]) {
                self.ranking.swap(weakest, at);
                self.ranking[weakest].placed_at = Some(now);
                self.ranking[at].louder_since = None;
                has_changed = true;
                // The loser may still speak more than somebody in front of the next bound.
                if !self.ranking[at].voice.speaks(now) {
                    break;
                }
            }
        }
        has_changed
    }

    /// The place in front of `bound` whose voice gives way first: who spoke last the longest ago, and of those who speak
    /// the quietest.
    fn weakest_of(&self, now: Instant, bound: usize) -> Option<usize> {
        let places = 0..bound.min(self.ranking.len());
        places.min_by_key(|&place| {
            let Ranked { voice, .. } = &self.ranking[place];
            let speaks = voice.speaks(now);
            let quiet_first = u16::MAX - voice.loudness();
            (speaks, voice.spoke_at().filter(|_| !speaks), quiet_first)
        })
    }

    /// Notes since when the voice at `at` is clearly louder than the one at `place`.
    fn compare(&mut self, now: Instant, at: usize, place: usize) {
        let is_louder = self.ranking[at].voice.is_clearly_louder_than(&self.ranking[place].voice);
        let since = &mut self.ranking[at].louder_since;
        *since = is_louder.then(|| since.unwrap_or(now));
    }

    /// The tracks that the peer `listener` hears, in order.
    pub(crate) fn loudest(&self, listener: usize) -> impl Iterator<Item = TrackKey> + '_ {
        let others = self.ranking.iter().filter(move |ranked| ranked.track.peer != listener);
        others.map(|ranked| ranked.track)
    }

    /// The active speakers, loudest first, with their levels in −dBov. `None` if they are the same as last time, or if
    /// it is too early for another event.
    pub(crate) fn announce(&mut self, now: Instant) -> Option<Vec<(PeerId, u8)>> {
        let too_early = self
            .announced_at
            .is_some_and(|at| now.saturating_duration_since(at) < ANNOUNCE_INTERVAL);
        if too_early {
            return None;
        }
        let mut speaking: Vec<(PeerId, u8)> = Vec::new();
        for Ranked { peer, voice, .. } in self.ranking.iter().filter(|one| one.voice.speaks(now)) {
            match speaking.iter_mut().find(|(known, _)| known == peer) {
                Some((_, level)) => *level = (*level).min(voice.level()),
                None => speaking.push((*peer, voice.level())),
            }
        }
        speaking.sort_by_key(|&(peer, level)| (level, peer));
        // Only a change of the set counts: two who speak at once would swap places with every word.
        let unchanged = speaking.len() == self.announced.len()
            && speaking.iter().all(|(peer, _)| self.announced.contains(peer));
        if unchanged {
            return None;
        }
        self.announced = speaking.iter().map(|&(peer, _)| peer).collect();
        self.announced_at = Some(now);
        Some(speaking)
    }
}

#[cfg(test)]
mod tests;
