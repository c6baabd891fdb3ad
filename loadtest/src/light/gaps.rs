//! The NACK generator of a receiver: which packets are missing, and when to request them, as browsers do (RFC 4585
//! §6.2.1). Times are microseconds of the run's clock.

use std::collections::BTreeMap;

use crate::stamp::Kind;

/// The maximum number of requests for one packet, as in Chromium.
const MAX_TRIES: u32 = 10;
/// The maximum number of missing packets to track. As in Chromium, exceeding it gives up all of them.
const MAX_MISSING: usize = 1000;
/// How long a missing audio packet is useful, in microseconds; after that, playback has moved on.
const AUDIO_BUDGET_US: u64 = 100_000;
/// How long a missing video packet is useful, in microseconds: a frozen picture can continue.
const VIDEO_BUDGET_US: u64 = 1_000_000;

/// The missing packets of one stream.
#[derive(Debug)]
pub struct Gaps {
    budget_us: u64,
    missing: BTreeMap<u32, Missing>,
    /// Counts of missing packets.
    pub counts: GapCounts,
}

/// Counts of missing packets and their fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GapCounts {
    /// Packets that were missing when a later one arrived.
    pub missed: u64,
    /// Missing packets that arrived in time.
    pub recovered: u64,
    /// Missing packets that were given up. The remaining ones are still expected.
    pub given_up: u64,
    /// Sequence numbers requested.
    pub asked: u64,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    since_us: u64,
    asked_us: u64,
    tries: u32,
}

impl Gaps {
    /// Creates a tracker without missing packets.
    pub fn new(kind: Kind) -> Gaps {
        let budget_us = match kind {
            Kind::Audio => AUDIO_BUDGET_US,
            Kind::Video => VIDEO_BUDGET_US,
        };
        Gaps { budget_us, missing: BTreeMap::new(), counts: GapCounts::default() }
    }

    /// Records all numbers of the range as missing.
    pub fn open(&mut self, now_us: u64, numbers: std::ops::Range<u32>) {
        self.counts.missed += u64::from(numbers.end - numbers.start);
        if self.missing.len() + numbers.len() > MAX_MISSING {
            self.counts.given_up += (self.missing.len() + numbers.len()) as u64;
            self.missing.clear();
            return;
        }
        let missing = Missing { since_us: now_us, asked_us: 0, tries: 0 };
        self.missing.extend(numbers.map(|number| (number, missing)));
    }

    /// Records the arrival of a late packet.
    pub fn fill(&mut self, now_us: u64, number: u32) {
        if let Some(missing) = self.missing.remove(&number) {
            match now_us.saturating_sub(missing.since_us) <= self.budget_us {
                true => self.counts.recovered += 1,
                false => self.counts.given_up += 1,
            }
        }
    }

    /// The sequence numbers to request now, in order. `round_trip_us` is the minimum time between two requests for the
    /// same packet.
    pub fn due(&mut self, now_us: u64, round_trip_us: u64) -> Vec<u16> {
        let budget_us = self.budget_us;
        let before = self.missing.len();
        self.missing.retain(|_, missing| now_us.saturating_sub(missing.since_us) <= budget_us);
        self.counts.given_up += (before - self.missing.len()) as u64;
        let mut due = Vec::new();
        for (number, missing) in &mut self.missing {
            let is_due =
                missing.tries == 0 || now_us.saturating_sub(missing.asked_us) >= round_trip_us;
            if is_due && missing.tries < MAX_TRIES {
                (missing.asked_us, missing.tries) = (now_us, missing.tries + 1);
                due.push(*number as u16);
            }
        }
        self.counts.asked += due.len() as u64;
        due
    }

    /// Whether no packet is missing.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP_US: u64 = 40_000;

    #[test]
    fn missing_packets_are_asked_for_at_once_and_again_after_a_round_trip() {
        let mut gaps = Gaps::new(Kind::Video);
        gaps.open(0, 10..12);

        assert_eq!(gaps.due(0, ROUND_TRIP_US), [10, 11]);
        assert!(gaps.due(20_000, ROUND_TRIP_US).is_empty());
        gaps.fill(30_000, 10);
        assert_eq!(gaps.due(40_000, ROUND_TRIP_US), [11]);
        gaps.fill(50_000, 11);

        assert!(gaps.is_whole());
        assert_eq!((gaps.counts.missed, gaps.counts.recovered, gaps.counts.asked), (2, 2, 3));
    }

    #[test]
    fn a_voice_that_comes_too_late_is_lost() {
        let mut gaps = Gaps::new(Kind::Audio);
        gaps.open(0, 1..3);
        gaps.fill(AUDIO_BUDGET_US + 1, 1);
        gaps.due(AUDIO_BUDGET_US + 1, ROUND_TRIP_US);

        assert!(gaps.is_whole());
        assert_eq!((gaps.counts.recovered, gaps.counts.given_up), (0, 2));
    }

    #[test]
    fn one_packet_is_not_asked_for_without_end() {
        let mut gaps = Gaps::new(Kind::Video);
        gaps.open(0, 5..6);

        let asked = (0..100).filter(|ms| !gaps.due(ms * 1000, 0).is_empty()).count();

        assert_eq!(asked, MAX_TRIES as usize);
    }

    #[test]
    fn a_huge_gap_is_given_up() {
        let mut gaps = Gaps::new(Kind::Video);
        gaps.open(0, 0..10);
        gaps.open(0, 10..60_000);

        assert!(gaps.is_whole());
        assert_eq!((gaps.counts.missed, gaps.counts.given_up), (60_000, 60_000));
    }
}
