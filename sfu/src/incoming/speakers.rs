//! Active speaker detection for a room, from the audio levels that clients put into their packets (RFC 6464).

use std::time::{Duration, Instant};

use crate::PeerId;
use crate::keys::TrackKey;

/// A level below this counts as speech. Levels are in −dBov: the lower, the louder.
const SPEECH: u8 = 50;
/// How long somebody counts as speaking after the last loud packet, so that pauses between words don't matter.
const HANGOVER: Duration = Duration::from_millis(600);
/// At most five speaker events a second.
const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(200);

/// The audio tracks of a room. If there are more tracks than audio slots, those in front are heard.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    /// The tracks that are heard come first, in no particular order, then the others.
    ranking: Vec<Voice>,
    announced: Vec<PeerId>,
    announced_at: Option<Instant>,
}

#[derive(Debug)]
struct Voice {
    track: TrackKey,
    peer: PeerId,
    /// Smoothed, in 1/16 −dBov.
    level: u16,
    spoke_at: Option<Instant>,
}

impl Voice {
    fn level(&self) -> u8 {
        (self.level / 16).min(127) as u8
    }

    fn speaks(&self, now: Instant) -> bool {
        self.spoke_at.is_some_and(|at| now.saturating_duration_since(at) < HANGOVER)
    }
}

impl Speakers {
    /// Adds a track at the end: the first tracks to join are heard until somebody speaks.
    pub(crate) fn add(&mut self, track: TrackKey, peer: PeerId) {
        if !self.ranking.iter().any(|voice| voice.track == track) {
            self.ranking.push(Voice { track, peer, level: 127 * 16, spoke_at: None });
        }
    }

    /// Removes a track.
    pub(crate) fn remove(&mut self, track: TrackKey) {
        self.ranking.retain(|voice| voice.track != track);
    }

    /// Resets the level of a track that sends nothing any more for now.
    pub(crate) fn fell_silent(&mut self, track: TrackKey) {
        if let Some(voice) = self.ranking.iter_mut().find(|voice| voice.track == track) {
            (voice.level, voice.spoke_at) = (127 * 16, None);
        }
    }

    /// Takes the audio level of a packet. Returns `true` if its track has moved to the `front`, in exchange for the one
    /// there that has been silent the longest.
    pub(crate) fn heard(&mut self, now: Instant, track: TrackKey, level: u8, front: usize) -> bool {
        let Some(at) = self.ranking.iter().position(|voice| voice.track == track) else {
            return false;
        };
        let voice = &mut self.ranking[at];
        // The time constant is four packets: a click of one packet is not speech.
        voice.level = (voice.level * 3 + u16::from(level & 127) * 16) / 4;
        if voice.level() >= SPEECH {
            return false;
        }
        voice.spoke_at = Some(now);
        if at < front {
            return false;
        }
        let quietest = (0..front).min_by_key(|&place| self.ranking[place].spoke_at);
        quietest.is_some_and(|place| {
            self.ranking.swap(place, at);
            true
        })
    }

    /// The tracks that the peer `listener` hears, in order.
    pub(crate) fn loudest(&self, listener: usize) -> impl Iterator<Item = TrackKey> + '_ {
        let others = self.ranking.iter().filter(move |voice| voice.track.peer != listener);
        others.map(|voice| voice.track)
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
        for voice in self.ranking.iter().filter(|voice| voice.speaks(now)) {
            match speaking.iter_mut().find(|(peer, _)| *peer == voice.peer) {
                Some((_, level)) => *level = (*level).min(voice.level()),
                None => speaking.push((voice.peer, voice.level())),
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
mod tests {
    use super::*;
    use crate::test_now;

    fn key(peer: usize) -> TrackKey {
        TrackKey { peer, track: 0 }
    }

    fn room_of(count: usize) -> Speakers {
        let mut speakers = Speakers::default();
        for peer in 0..count {
            speakers.add(key(peer), PeerId(peer as u64));
        }
        speakers
    }

    fn speak(speakers: &mut Speakers, now: Instant, peer: usize) -> bool {
        (0..20).any(|_| speakers.heard(now, key(peer), 20, 3))
    }

    fn hears(speakers: &Speakers, listener: usize) -> Vec<usize> {
        let mut peers: Vec<_> =
            speakers.loudest(listener).take(3).map(|track| track.peer).collect();
        peers.sort_unstable();
        peers
    }

    #[test]
    fn the_first_to_join_are_heard_until_somebody_speaks() {
        let now = test_now();
        let mut speakers = room_of(6);
        assert_eq!(hears(&speakers, 9), [0, 1, 2]);
        assert!(!speak(&mut speakers, now, 0));
        assert!(!speak(&mut speakers, now + HANGOVER, 1));
        assert!(speak(&mut speakers, now + 2 * HANGOVER, 5));
        assert_eq!(hears(&speakers, 9), [0, 1, 5]);
        assert!(speak(&mut speakers, now + 3 * HANGOVER, 4));
        assert_eq!(hears(&speakers, 9), [1, 4, 5]);
    }

    #[test]
    fn no_peer_hears_itself() {
        assert_eq!(hears(&room_of(4), 1), [0, 2, 3]);
    }

    #[test]
    fn a_click_is_not_speech() {
        let now = test_now();
        let mut speakers = room_of(5);
        assert!(!speakers.heard(now, key(4), 60, 3));
        assert!(!speakers.heard(now, key(4), 30, 3));
        assert_eq!(speakers.announce(now), None);
    }

    #[test]
    fn speakers_are_announced_on_change_and_not_too_often() {
        let now = test_now();
        let mut speakers = room_of(3);
        speak(&mut speakers, now, 2);
        let said = speakers.announce(now).unwrap();
        assert_eq!(said.iter().map(|&(peer, _)| peer).collect::<Vec<_>>(), [PeerId(2)]);
        assert!(said[0].1 < SPEECH);

        speak(&mut speakers, now, 1);
        assert_eq!(speakers.announce(now + ANNOUNCE_INTERVAL / 2), None);
        assert_eq!(speakers.announce(now + ANNOUNCE_INTERVAL).map(|said| said.len()), Some(2));
        assert_eq!(speakers.announce(now + 2 * ANNOUNCE_INTERVAL), None);
        assert_eq!(speakers.announce(now + 2 * HANGOVER), Some(vec![]));
    }
}
