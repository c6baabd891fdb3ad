//! NACK generation (RFC 4585 §6.2.1): which packets of a publisher are missing, and when to request them again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets waited for at a time. More are missing only after an outage of the network; then a key frame helps sooner
/// than that many retransmissions.
const MAX_MISSING: usize = 256;
/// Requests for one packet at most.
const MAX_REQUESTS: u8 = 10;
/// A packet older than this would arrive too late for every receiver's jitter buffer.
const GIVE_UP: Duration = Duration::from_millis(1000);
/// The shortest time between two requests for the same packet, however short the round trip is.
const MIN_RETRY: Duration = Duration::from_millis(20);

/// Tracks the missing packets of one incoming stream.
#[derive(Debug, Default)]
pub(crate) struct NackGenerator {
    highest: Option<u64>,
    /// Ordered by index.
    missing: VecDeque<Missing>,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    index: u64,
    noticed_at: Instant,
    asked_at: Option<Instant>,
    requests: u8,
}

/// The state of the sequence after a packet's arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Continuity {
    /// It shows no new gap.
    Whole,
    /// It shows that packets before it are missing.
    Gap,
    /// Too many packets are missing to wait for them.
    Broken,
}

impl NackGenerator {
    /// Records the arrival of a packet, whether in order, late or retransmitted.
    pub(crate) fn arrived(&mut self, now: Instant, index: u64) -> Continuity {
        let Some(highest) = self.highest else {
            self.highest = Some(index);
            return Continuity::Whole;
        };
        if index <= highest {
            if let Ok(place) = self.missing.binary_search_by_key(&index, |missing| missing.index) {
                self.missing.remove(place);
            }
            return Continuity::Whole;
        }
        self.highest = Some(index);
        let gap = index - highest - 1;
        if gap as usize + self.missing.len() > MAX_MISSING {
            self.missing.clear();
            return Continuity::Broken;
        }
        self.missing.extend((highest + 1..index).map(|index| Missing {
            index,
            noticed_at: now,
            asked_at: None,
            requests: 0,
        }));
        if gap == 0 { Continuity::Whole } else { Continuity::Gap }
    }

    /// Whether no packet is missing.
    pub(crate) fn is_whole(&self) -> bool {
        self.missing.is_empty()
    }

    /// Returns the packets to request now, and counts them as requested; forgets those that are too old. A packet is
    /// requested at once, and again after each round trip.
    pub(crate) fn due(&mut self, now: Instant, round_trip: Duration) -> impl Iterator<Item = u64> {
        let since = |at: Instant| now.saturating_duration_since(at);
        self.missing.retain(|missing| {
            missing.requests < MAX_REQUESTS && since(missing.noticed_at) < GIVE_UP
        });
        let retry = round_trip.max(MIN_RETRY);
        self.missing.iter_mut().filter_map(move |missing| {
            if missing.asked_at.is_some_and(|at| now.saturating_duration_since(at) < retry) {
                return None;
            }
            missing.asked_at = Some(now);
            missing.requests += 1;
            Some(missing.index)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_now;

    const RTT: Duration = Duration::from_millis(50);

    fn due(nacks: &mut NackGenerator, now: Instant) -> Vec<u64> {
        nacks.due(now, RTT).collect()
    }

    #[test]
    fn a_missing_packet_is_requested_at_once_and_after_each_round_trip() {
        let now = test_now();
        let mut nacks = NackGenerator::default();
        assert_eq!(nacks.arrived(now, 10), Continuity::Whole);
        assert_eq!(nacks.arrived(now, 13), Continuity::Gap);
        assert_eq!(due(&mut nacks, now), [11, 12]);
        assert!(due(&mut nacks, now + RTT / 2).is_empty());
        assert_eq!(due(&mut nacks, now + RTT), [11, 12]);
    }

    #[test]
    fn a_late_packet_is_not_requested_again() {
        let now = test_now();
        let mut nacks = NackGenerator::default();
        for index in [10, 13, 11] {
            nacks.arrived(now, index);
        }
        assert_eq!(due(&mut nacks, now), [12]);
        nacks.arrived(now, 12);
        assert!(nacks.is_whole());
    }

    #[test]
    fn packets_that_are_too_old_are_given_up() {
        let now = test_now();
        let mut nacks = NackGenerator::default();
        nacks.arrived(now, 1);
        nacks.arrived(now, 3);
        assert!(due(&mut nacks, now + GIVE_UP).is_empty());
        assert!(nacks.is_whole());
    }

    #[test]
    fn a_packet_is_requested_a_limited_number_of_times() {
        let now = test_now();
        let mut nacks = NackGenerator::default();
        nacks.arrived(now, 1);
        nacks.arrived(now, 3);
        let asked =
            (0..100).filter(|n| !due(&mut nacks, now + MIN_RETRY.max(RTT) * *n / 10).is_empty());
        assert_eq!(asked.count(), usize::from(MAX_REQUESTS));
    }

    #[test]
    fn a_long_outage_is_not_waited_for() {
        let now = test_now();
        let mut nacks = NackGenerator::default();
        nacks.arrived(now, 1);
        assert_eq!(nacks.arrived(now, 1 + 300), Continuity::Broken);
        assert!(nacks.is_whole());
    }

    proptest! {
        /// In whatever order packets arrive, exactly those that did not arrive are waited for.
        #[test]
        fn the_missing_packets_are_those_that_did_not_arrive(indexes in proptest::collection::vec(0u64..200, 1..200)) {
            let now = test_now();
            let mut nacks = NackGenerator::default();
            let first = indexes[0];
            for &index in &indexes {
                nacks.arrived(now, index);
            }
            let highest = *indexes.iter().max().unwrap();
            let expected: Vec<u64> =
                (first..highest).filter(|index| !indexes.contains(index)).collect();
            prop_assert_eq!(due(&mut nacks, now), expected);
        }
    }
}
