//! Who speaks in a room, judged by the audio levels that clients put into their packets (RFC 6464).

use std::time::{Duration, Instant};

use crate::PeerId;
use crate::keys::TrackKey;

/// Louder than this (in −dBov, so below the number) counts as speech.
const SPEECH: u8 = 50;
/// How long somebody counts as speaking after the last loud packet, so that pauses between words don't matter.
const HANGOVER: Duration = Duration::from_millis(600);
/// At most five announcements a second.
const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(200);

/// The audio tracks of a room: those in front are heard when there are more tracks than slots.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    /// First the `front` that are being heard, in no particular order, then the others.
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
    /// A track joins at the end: who came first is heard first, until somebody speaks.
    pub(crate) fn add(&mut self, track: TrackKey, peer: PeerId) {
        if !self.ranking.iter().any(|voice| voice.track == track) {
            self.ranking.push(Voice { track, peer, level: 127 * 16, spoke_at: None });
        }
    }

    /// A track is gone.
    pub(crate) fn remove(&mut self, track: TrackKey) {
        self.ranking.retain(|voice| voice.track != track);
    }

    /// A track says nothing more for now.
    pub(crate) fn fell_silent(&mut self, track: TrackKey) {
        if let Some(voice) = self.ranking.iter_mut().find(|voice| voice.track == track) {
            (voice.level, voice.spoke_at) = (127 * 16, None);
        }
    }

    /// Counts the level of a packet. `true` when the speaker came into the `front`, in place of whoever there has been
    /// silent for the longest time.
    pub(crate) fn heard(&mut self, now: Instant, track: TrackKey, level: u8, front: usize) -> bool {
        let Some(at) = self.ranking.iter().position(|voice| voice.track == track) else {
            return false;
        };
        let voice = &mut self.ranking[at];
        // A time constant of four packets: a click of one packet isn't speech.
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

    /// The tracks that somebody who is `listener` hears first.
    pub(crate) fn loudest(&self, listener: usize) -> impl Iterator<Item = TrackKey> + '_ {
        let others = self.ranking.iter().filter(move |voice| voice.track.peer != listener);
        others.map(|voice| voice.track)
    }

    /// Who speaks, loudest first, with the level in −dBov; `None` when that is as announced last, or it is too early
    /// to announce again.
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
        // Two who speak at once would change places with every word; the set of speakers is what changes.
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
    fn who_came_first_is_heard_until_somebody_speaks() {
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
    fn nobody_hears_themself() {
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
