//! Checks that a slot carries the sender that the server announced.

use crate::stamp::SenderId;

/// The allowed time between media and its `slots` message, in microseconds: they take different paths.
pub const TOLERANCE_US: u64 = 1_000_000;
/// A longer silence ends a run.
const LONGEST_PAUSE_US: u64 = 300_000;
/// The maximum number of entries; later ones are not checked.
const MAX_ENTRIES: usize = 4096;

/// The announced and the actual senders of one slot.
#[derive(Clone, Debug, Default)]
pub struct SlotLog {
    /// The announced participants, with the time from which each applies.
    announced: Vec<(u64, Option<String>)>,
    runs: Vec<Run>,
}

/// How a packet relates to the previous one in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// From the same sender.
    Continues,
    /// From the same sender, after a pause.
    Resumes,
    /// From another sender, or the first.
    Switches,
}

/// Consecutive packets of one sender.
#[derive(Clone, Copy, Debug)]
struct Run {
    sender: SenderId,
    first_us: u64,
    last_us: u64,
    packets: u64,
}

impl SlotLog {
    /// Records the participant that the server announces for the slot from now on.
    pub fn announce(&mut self, now_us: u64, participant: Option<&str>) {
        let is_known =
            self.announced.last().is_some_and(|(_, known)| known.as_deref() == participant);
        if !is_known && self.announced.len() < MAX_ENTRIES {
            self.announced.push((now_us, participant.map(str::to_owned)));
        }
    }

    /// Records a packet.
    pub fn packet(&mut self, now_us: u64, sender: SenderId) -> Flow {
        let flow = match self.runs.last_mut() {
            Some(run) if run.sender != sender => Flow::Switches,
            Some(run) if now_us.saturating_sub(run.last_us) > LONGEST_PAUSE_US => Flow::Resumes,
            Some(run) => {
                run.last_us = now_us;
                run.packets += 1;
                return Flow::Continues;
            }
            None => Flow::Switches,
        };
        if self.runs.len() < MAX_ENTRIES {
            self.runs.push(Run { sender, first_us: now_us, last_us: now_us, packets: 1 });
        }
        flow
    }

    /// The number of packets in runs that were not announced for their whole length, within [`TOLERANCE_US`]. The
    /// sender of a participant becomes known only when that peer's own join returns, so `sender_of` is called at the
    /// end.
    pub fn contradictions(&self, sender_of: impl Fn(&str) -> Option<SenderId>) -> u64 {
        let announced: Vec<(u64, Option<SenderId>)> = self
            .announced
            .iter()
            .map(|(from, participant)| (*from, participant.as_deref().and_then(&sender_of)))
            .collect();
        let contradicts = |run: &&Run| !is_announced(run, &announced);
        self.runs.iter().filter(contradicts).map(|run| run.packets).sum()
    }

    /// All participants that were ever announced.
    pub fn participants(&self) -> impl Iterator<Item = &str> {
        self.announced.iter().filter_map(|(_, participant)| participant.as_deref())
    }
}

fn is_announced(run: &Run, announced: &[(u64, Option<SenderId>)]) -> bool {
    let mut covered_until = run.first_us;
    for (index, (from, sender)) in announced.iter().enumerate() {
        let until = announced.get(index + 1).map_or(u64::MAX, |(next, _)| *next);
        let from = from.saturating_sub(TOLERANCE_US);
        let until = until.saturating_add(TOLERANCE_US);
        if *sender == Some(run.sender) && from <= covered_until && covered_until <= until {
            covered_until = until;
        }
    }
    covered_until > run.last_us
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SenderId = SenderId(1);
    const B: SenderId = SenderId(2);
    const SECOND: u64 = 1_000_000;

    fn contradictions(log: &SlotLog) -> u64 {
        log.contradictions(|participant| match participant {
            "p-1" => Some(A),
            "p-2" => Some(B),
            _ => None,
        })
    }

    fn packets(log: &mut SlotLog, from: u64, until: u64, sender: SenderId) {
        for now in (from..until).step_by(20_000) {
            log.packet(now, sender);
        }
    }

    #[test]
    fn media_may_come_a_little_before_or_after_its_announcement() {
        let mut log = SlotLog::default();
        packets(&mut log, 0, 10 * SECOND, A);
        packets(&mut log, 10 * SECOND, 20 * SECOND, B);
        log.announce(SECOND / 2, Some("p-1"));
        log.announce(10 * SECOND - SECOND / 2, Some("p-2"));

        assert_eq!(contradictions(&log), 0);
    }

    #[test]
    fn media_that_was_never_announced_is_a_contradiction() {
        let mut log = SlotLog::default();
        log.announce(0, Some("p-1"));
        packets(&mut log, 0, SECOND, B);

        assert_eq!(contradictions(&log), 50);
    }

    #[test]
    fn media_that_goes_on_after_a_switch_is_a_contradiction() {
        let mut log = SlotLog::default();
        log.announce(0, Some("p-1"));
        packets(&mut log, 0, 10 * SECOND, A);
        log.announce(5 * SECOND, Some("p-2"));

        assert_eq!(contradictions(&log), 500);
    }

    #[test]
    fn an_emptied_slot_that_is_filled_again_is_none() {
        let mut log = SlotLog::default();
        log.announce(0, Some("p-1"));
        packets(&mut log, 0, SECOND, A);
        log.announce(SECOND, None);
        log.announce(20 * SECOND, Some("p-1"));
        packets(&mut log, 20 * SECOND, 21 * SECOND, A);

        assert_eq!(contradictions(&log), 0);
    }

    #[test]
    fn pauses_and_switches_are_told_apart() {
        let mut log = SlotLog::default();

        assert_eq!(log.packet(0, A), Flow::Switches);
        assert_eq!(log.packet(20_000, A), Flow::Continues);
        assert_eq!(log.packet(5 * SECOND, A), Flow::Resumes);
        assert_eq!(log.packet(5 * SECOND, B), Flow::Switches);
    }
}
