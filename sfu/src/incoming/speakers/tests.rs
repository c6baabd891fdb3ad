//! Rooms of simulated voices.

use std::collections::HashSet;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::test_now;

const PACKET: Duration = Duration::from_millis(20);
const SLOTS: usize = 3;
/// A listener that publishes nothing.
const LISTENER: usize = usize::MAX;

fn key(peer: usize) -> TrackKey {
    TrackKey { peer, track: 0 }
}

fn room_of(count: usize) -> Speakers {
    let mut speakers = Speakers::default();
    speakers.set_slots([SLOTS].into_iter());
    for peer in 0..count {
        speakers.add(key(peer), PeerId(peer as u64));
    }
    speakers
}

fn level(level: u8) -> Sound {
    Sound { level: Some(level), bytes: 80 }
}

/// Speaks for this long, and returns when the speaker came in front.
fn speak(
    speakers: &mut Speakers,
    now: &mut Instant,
    peer: usize,
    loud: u8,
    time: Duration,
) -> Option<Duration> {
    let began = *now;
    let mut came = None;
    while now.saturating_duration_since(began) < time {
        let moved = speakers.heard(*now, key(peer), level(loud));
        came = came.or(moved.then(|| now.saturating_duration_since(began)));
        *now += PACKET;
    }
    came
}

fn hears(speakers: &Speakers, listener: usize) -> Vec<usize> {
    let mut peers: Vec<_> =
        speakers.loudest(listener).take(SLOTS).map(|track| track.peer).collect();
    peers.sort_unstable();
    peers
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_first_to_join_are_heard_until_somebody_speaks() {
    let mut now = test_now();
    let mut speakers = room_of(6);
    assert_eq!(hears(&speakers, 9), [0, 1, 2]);
    assert_eq!(speak(&mut speakers, &mut now, 0, 20, SECOND), None);
    assert_eq!(speak(&mut speakers, &mut now, 1, 20, SECOND), None);
    assert!(speak(&mut speakers, &mut now, 5, 20, SECOND).is_some_and(|at| at < SECOND / 5));
    assert_eq!(hears(&speakers, 9), [0, 1, 5]);
    assert!(speak(&mut speakers, &mut now, 4, 20, SECOND).is_some());
    assert_eq!(hears(&speakers, 9), [1, 4, 5]);
}

#[test]
fn no_peer_hears_itself() {
    assert_eq!(hears(&room_of(4), 1), [0, 2, 3]);
}

#[test]
fn who_speaks_keeps_the_place_unless_somebody_is_clearly_louder_for_a_while() {
    let mut now = test_now();
    let mut speakers = room_of(5);
    for loud in [30, 27, 20] {
        let start = now;
        let mut came = None;
        for packet in 0..100 {
            for peer in 0..SLOTS {
                speakers.heard(now, key(peer), level(30 - peer as u8));
            }
            if packet >= 60
                && speakers.heard(now, key(4), level(loud))
                && hears(&speakers, 9).contains(&4)
            {
                came = came.or(Some(now - start));
            }
            now += PACKET;
        }
        let is_louder = loud == 20;
        assert_eq!(came.is_some(), is_louder, "{loud}");
        assert!(came.is_none_or(|at| at >= PACKET * 60 + CONTEST));
    }
    assert_eq!(hears(&speakers, 9), [1, 2, 4], "the quietest gave way");
}

#[test]
fn a_silent_place_is_free_after_two_seconds_and_earlier_for_who_goes_on_speaking() {
    for (pause, expected) in [(FREE + SECOND, Duration::ZERO), (SECOND, CONTEST)] {
        let mut now = test_now();
        let mut speakers = room_of(4);
        for _ in 0..100 {
            for peer in 0..3 {
                speakers.heard(now, key(peer), level(25));
            }
            now += PACKET;
        }
        now += pause;
        let came = speak(&mut speakers, &mut now, 3, 25, SECOND).unwrap();
        assert!(came >= expected && came < expected + Duration::from_millis(200), "{came:?}");
    }
}

#[test]
fn receivers_with_fewer_slots_hear_speakers_too() {
    let mut now = test_now();
    let mut speakers = room_of(6);
    speakers.set_slots([3, 1].into_iter());
    speak(&mut speakers, &mut now, 2, 20, SECOND);
    assert_eq!(
        speakers.loudest(LISTENER).next(),
        Some(key(2)),
        "although it was in front of three"
    );
    speak(&mut speakers, &mut now, 5, 20, SECOND);
    assert_eq!(speakers.loudest(LISTENER).next(), Some(key(5)));
    assert_eq!(speakers.loudest(5).next(), Some(key(2)));
}

#[test]
fn a_voice_of_unknown_level_is_heard_while_others_are_silent() {
    let mut now = test_now();
    let mut speakers = room_of(5);
    let unknown = Sound { level: None, bytes: 100 };
    for _ in 0..50 {
        (0..4).for_each(|peer| _ = speakers.heard(now, key(peer), level(127)));
        speakers.heard(now, key(4), unknown);
        now += PACKET;
    }
    assert!(hears(&speakers, 9).contains(&4));
    speak(&mut speakers, &mut now, 3, 30, SECOND);
    assert!(hears(&speakers, 9).contains(&3));
}

#[test]
fn speakers_are_announced_on_change_and_not_too_often() {
    let mut now = test_now();
    let mut speakers = room_of(3);
    speak(&mut speakers, &mut now, 2, 20, SECOND / 2);
    let said = speakers.announce(now).unwrap();
    assert_eq!(said.iter().map(|&(peer, _)| peer).collect::<Vec<_>>(), [PeerId(2)]);
    assert!(said[0].1 < 40);

    let announced = now;
    speak(&mut speakers, &mut now, 1, 20, ANNOUNCE_INTERVAL);
    assert_eq!(speakers.announce(announced + ANNOUNCE_INTERVAL / 2), None);
    assert_eq!(speakers.announce(announced + ANNOUNCE_INTERVAL).map(|said| said.len()), Some(2));
    assert_eq!(speakers.announce(announced + 2 * ANNOUNCE_INTERVAL), None);
    assert_eq!(speakers.announce(announced + 2 * SECOND), Some(vec![]));
}

/// The fate of a listener with three slots in a room where everybody talks.
#[derive(Debug)]
struct Heard {
    /// Changes of slots a second.
    changes: f64,
    /// Changes within a second of another change of the same slot.
    hasty: usize,
    /// The share of the slots' time that they carry one of the three voices that are loudest on average.
    loudest: f64,
}

/// A room of voices that speak in syllables, all the time, each with a loudness of its own.
///
/// `wander` says how often each voice's loudness changes, in packets.
fn talk(voices: usize, spread: u8, wander: Option<usize>, seed: u64) -> Heard {
    const SECONDS: usize = 60;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut now = test_now();
    let mut speakers = room_of(voices);
    let mut loud: Vec<u8> =
        (0..voices).map(|voice| 20 + (voice * usize::from(spread) / voices) as u8).collect();
    loud.reverse();
    let mut slots = hears(&speakers, LISTENER);
    let mut changed_at = [None::<Instant>; SLOTS];
    let (mut changes, mut hasty, mut best) = (0, 0, 0);
    for packet in 0..SECONDS * 50 {
        for (voice, loud) in loud.iter_mut().enumerate() {
            if wander.is_some_and(|every| packet % every == (voice * 7) % every) {
                *loud = rng.random_range(18..36);
            }
            let in_pause = (packet + voice * 5) % 20 >= 15;
            let sound = if in_pause { 60 } else { *loud + rng.random_range(0..3) };
            speakers.heard(now, key(voice), level(sound));
        }
        let heard = hears(&speakers, LISTENER);
        for slot in 0..SLOTS {
            if !heard.contains(&slots[slot]) {
                let fresh = heard.iter().find(|voice| !slots.contains(voice)).unwrap();
                slots[slot] = *fresh;
                changes += 1;
                let last = changed_at[slot].replace(now);
                hasty += usize::from(last.is_some_and(|at| now - at < TENURE));
            }
        }
        let mut order: Vec<usize> = (0..voices).collect();
        order.sort_by_key(|&voice| loud[voice]);
        let third = loud[order[SLOTS - 1]];
        best += slots.iter().filter(|&&voice| loud[voice] <= third + 6).count();
        now += PACKET;
    }
    let slots_time = (SECONDS * 50 * SLOTS) as f64;
    Heard { changes: f64::from(changes) / SECONDS as f64, hasty, loudest: best as f64 / slots_time }
}

#[test]
fn voices_of_equal_level_change_no_slot() {
    for voices in [5, 20, 200] {
        let heard = talk(voices, 0, None, 1);
        assert!(heard.changes < 0.1, "{voices}: {heard:?}");
    }
}

#[test]
fn the_loudest_voices_are_heard_nearly_always() {
    for voices in [5, 20, 200] {
        let heard = talk(voices, 18, None, 2);
        assert!(heard.loudest > 0.95 && heard.changes < 0.2, "{voices}: {heard:?}");
    }
}

#[test]
fn voices_that_change_all_the_time_change_a_slot_about_once_a_second_at_most() {
    for voices in [5, 20, 200] {
        for (seconds, loudest) in [(1, 0.5), (3, 0.75), (10, 0.9)] {
            let heard = talk(voices, 0, Some(seconds * 50), 3);
            println!("{voices} voices that change every {seconds} s: {heard:?}");
            assert!(heard.changes <= SLOTS as f64 && heard.hasty == 0, "{voices}: {heard:?}");
            assert!(heard.loudest > loudest, "{voices}: {heard:?}");
        }
    }
}

#[test]
fn five_people_who_talk_at_once_do_not_swap_places() {
    let mut speakers = room_of(5);
    let mut now = test_now();
    let mut heard = HashSet::new();
    for _ in 0..1000 {
        for peer in 0..5 {
            speakers.heard(now, key(peer), level(20));
        }
        heard.insert(hears(&speakers, LISTENER));
        now += PACKET;
    }
    assert_eq!(heard.len(), 1, "{heard:?}");
}
