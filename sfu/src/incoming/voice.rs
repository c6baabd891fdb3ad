//! One voice: whether a microphone carries speech, and how loud, from the audio levels of its packets (RFC 6464).
//!
//! | a voice | is |
//! | --- | --- |
//! | audible | louder than [`AUDIBLE`] |
//! | speaking | louder than [`SPEECH`], and by [`ABOVE_NOISE`] louder than the quietest moment of the last seconds |
//!
//! The second rule is what tells speech from a noisy open microphone, hum or music from a shop: speech has pauses.
//!
//! A client that sends no level, or always says 0 dBov, which no microphone reaches, is judged by the sizes of its
//! packets: an encoder with a variable bitrate needs few bytes for silence. If all packets have the same size, the voice
//! is audible, but never speaking, so it is heard while others are silent.

use std::time::{Duration, Instant};

/// Levels in 1/16 −dBov: the lower, the louder.
type Level = u16;

const STEPS: Level = 16;
const SILENCE: Level = 127 * STEPS;
/// A voice is audible below this level.
const AUDIBLE: Level = 55 * STEPS;
/// A voice may be speech below this level.
const SPEECH: Level = 40 * STEPS;
/// By how much speech is louder than the background.
const ABOVE_NOISE: Level = 6 * STEPS;
/// The background is the quietest moment of this time, and of the same time before.
const NOISE_WINDOW: Duration = Duration::from_secs(5);
/// By how much a voice is clearly louder than another.
const CLEARLY: Level = 4 * STEPS;
/// How long somebody counts as speaking after the last loud packet, so that pauses between words don't matter.
pub(super) const HANGOVER: Duration = Duration::from_millis(600);

/// The level of a packet whose sender does not tell it.
const ASSUMED: u8 = 45;
/// The level of such a packet if its size shows speech.
const ASSUMED_SPEECH: u8 = 30;
/// Opus encodes silence in at most this many bytes with discontinuous transmission (RFC 7587 §3.1.3), and somewhat more
/// with the header of redundancy (RED).
const SILENT_BYTES: usize = 10;

/// The content of an audio packet, as far as it shows how loud the packet is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sound {
    /// The audio level in −dBov, 0 to 127; `None` if the packet has none.
    pub(crate) level: Option<u8>,
    /// Bytes of payload.
    pub(crate) bytes: usize,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Voice {
    /// Smoothed over about four packets: a click of one packet is not speech.
    level: Level,
    /// Smoothed over about a third of a second of speech, to compare voices.
    loudness: Level,
    noise: Noise,
    sizes: Sizes,
    /// When the voice began to speak, if it still does.
    speaks_since: Option<Instant>,
    spoke_at: Option<Instant>,
    sounded_at: Option<Instant>,
}

impl Voice {
    pub(super) fn new() -> Voice {
        Voice {
            level: SILENCE,
            loudness: SILENCE,
            noise: Noise::default(),
            sizes: Sizes::default(),
            speaks_since: None,
            spoke_at: None,
            sounded_at: None,
        }
    }

    /// The level in −dBov.
    pub(super) fn level(&self) -> u8 {
        (self.level / STEPS).min(127) as u8
    }

    /// Takes a packet. Returns whether the voice is audible in it.
    pub(super) fn hear(&mut self, now: Instant, sound: Sound) -> bool {
        let estimated = self.sizes.level(sound.bytes);
        let level = sound.level.map(|level| level & 127).filter(|level| *level > 0);
        self.level = (self.level * 3 + Level::from(level.unwrap_or(estimated)) * STEPS) / 4;
        let background = self.noise.quietest(now, self.level);
        if self.level >= AUDIBLE {
            return false;
        }
        self.sounded_at = Some(now);
        if self.level < SPEECH && self.level + ABOVE_NOISE <= background {
            if !self.speaks(now) {
                self.speaks_since = Some(now);
                self.loudness = self.level;
            }
            self.spoke_at = Some(now);
            self.loudness = (self.loudness * 15 + self.level) / 16;
        }
        true
    }

    pub(super) fn speaks(&self, now: Instant) -> bool {
        is_within(HANGOVER, now, self.spoke_at)
    }

    /// Whether the voice has been speaking for this long.
    pub(super) fn speaks_for(&self, now: Instant, time: Duration) -> bool {
        self.speaks(now)
            && self.speaks_since.is_some_and(|at| now.saturating_duration_since(at) >= time)
    }

    /// When the voice was heard to speak last.
    pub(super) fn spoke_at(&self) -> Option<Instant> {
        self.spoke_at
    }

    /// Whether the voice has not spoken for this long.
    pub(super) fn is_silent_for(&self, now: Instant, time: Duration) -> bool {
        !is_within(time, now, self.spoke_at)
    }

    /// Whether the voice was not even audible for this long.
    pub(super) fn is_inaudible_for(&self, now: Instant, time: Duration) -> bool {
        !is_within(time, now, self.sounded_at)
    }

    /// The loudness of its speech; the lower, the louder.
    pub(super) fn loudness(&self) -> Level {
        self.loudness
    }

    pub(super) fn is_clearly_louder_than(&self, other: &Voice) -> bool {
        self.loudness + CLEARLY <= other.loudness
    }
}

fn is_within(time: Duration, now: Instant, at: Option<Instant>) -> bool {
    at.is_some_and(|at| now.saturating_duration_since(at) < time)
}

/// The background of a voice: the quietest level in the current window and in the one before.
#[derive(Debug)]
struct Noise {
    began_at: Option<Instant>,
    current: Level,
    before: Level,
}

impl Default for Noise {
    /// A background of silence, until a whole window is known.
    fn default() -> Noise {
        Noise { began_at: None, current: 0, before: SILENCE }
    }
}

impl Noise {
    fn quietest(&mut self, now: Instant, level: Level) -> Level {
        let began_at = *self.began_at.get_or_insert(now);
        if now.saturating_duration_since(began_at) >= NOISE_WINDOW {
            (self.before, self.current) = (self.current, 0);
            self.began_at = Some(now);
        }
        self.current = self.current.max(level);
        self.current.max(self.before)
    }
}

/// The sizes of a voice's packets, in bytes.
#[derive(Debug, Default)]
struct Sizes {
    largest: usize,
    smallest: usize,
}

impl Sizes {
    /// Takes the size of a packet, and estimates its level in −dBov. Both extremes move to the present by 1/64 with each
    /// packet, so that a change of the bitrate is forgotten within some seconds.
    fn level(&mut self, bytes: usize) -> u8 {
        self.largest = bytes.max(self.largest - self.largest / 64);
        self.smallest = match self.smallest {
            0 => bytes,
            smallest => bytes.min(smallest + (smallest / 64).max(1)),
        };
        if bytes <= SILENT_BYTES {
            127
        } else if self.largest < 2 * self.smallest.max(1) {
            ASSUMED
        } else if bytes > (self.largest + self.smallest) / 2 {
            ASSUMED_SPEECH
        } else {
            127
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_now;

    const PACKET: Duration = Duration::from_millis(20);

    /// Whether the voice speaks after each of these packets.
    fn speaks(sounds: impl IntoIterator<Item = Sound>) -> Vec<bool> {
        let (mut voice, mut now) = (Voice::new(), test_now());
        let after = |sound| {
            now += PACKET;
            voice.hear(now, sound);
            voice.speaks(now)
        };
        sounds.into_iter().map(after).collect()
    }

    fn level(level: u8) -> Sound {
        Sound { level: Some(level), bytes: 80 }
    }

    fn sized(bytes: usize) -> Sound {
        Sound { level: None, bytes }
    }

    /// Syllables of 200 ms with pauses of 100 ms.
    fn speech(loud: u8, quiet: u8) -> impl Iterator<Item = Sound> {
        (0..).map(move |packet| level(if packet % 15 < 10 { loud } else { quiet }))
    }

    #[test]
    fn speech_is_recognised_within_a_few_packets_and_as_long_as_it_lasts() {
        let seen = speaks(speech(25, 50).take(3000));
        assert!(seen[10..].iter().all(|speaks| *speaks));
    }

    #[test]
    fn a_click_is_not_speech() {
        let click = [level(127), level(20), level(127), level(127)];
        assert!(!speaks(click).contains(&true));
    }

    #[test]
    fn noise_is_not_speech_for_long_and_quiet_noise_never() {
        let loud = speaks((0..1000).map(|packet| level(30 + (packet % 4) as u8)));
        assert!(loud[600..].iter().all(|speaks| !speaks), "it never pauses");
        let quiet = speaks((0..1000).map(|packet| level(42 + (packet % 8) as u8)));
        assert!(!quiet.contains(&true));
    }

    #[test]
    fn speech_over_noise_is_recognised() {
        let seen = speaks(speech(24, 38).take(3000));
        assert!(seen[700..].iter().all(|speaks| *speaks));
    }

    #[test]
    fn sizes_stand_in_for_levels() {
        let variable = (0..1000).map(|packet| sized(if packet % 100 < 50 { 110 } else { 20 }));
        let seen = speaks(variable);
        assert!(!seen[40], "all packets have the same size so far");
        assert!(!seen[90] && seen[130] && !seen[990]);
        let with_dtx =
            speaks((0..200).map(|packet| sized(if packet % 100 < 50 { 110 } else { 3 })));
        assert!(!with_dtx[90] && with_dtx[130]);
    }

    #[test]
    fn a_voice_of_unknown_level_is_audible() {
        for unknown in [sized(100), level(0)] {
            let (mut voice, now) = (Voice::new(), test_now());
            let heard = (0..20).map(|_| voice.hear(now, unknown)).last();
            assert_eq!(heard, Some(true));
            assert!(!voice.speaks(now), "but it takes no place from a speaker");
        }
        assert!(!Voice::new().hear(test_now(), sized(3)));
    }
}
