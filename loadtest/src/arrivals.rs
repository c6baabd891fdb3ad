//! Loss, duplicates and reordering of one stream, from the sequence numbers in its stamps.

use crate::slot_log::Flow;

/// The size of the window behind the newest packet. An older packet can't be distinguished from a duplicate.
const WINDOW: u32 = 4096;

/// The sequence numbers of one stream that arrived at one receiver.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    first: u32,
    newest: u32,
    received: u64,
    duplicated: u64,
    reordered: u64,
    /// Packets missing between the ones that arrived.
    missing: u64,
    /// One bit per number in the window, at number mod [`WINDOW`]. Empty until a packet arrives.
    seen: Vec<u64>,
}

/// The classification of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first packet of the stream.
    First,
    /// A packet not seen before.
    Fresh,
    /// A packet seen before, or too old to decide.
    Duplicate,
}

impl Arrivals {
    /// Counts a packet. When the slot switches to this stream or resumes it, the packets in between are not missing.
    pub fn record(&mut self, seq: u32, flow: Flow) -> Arrival {
        if self.seen.is_empty() {
            self.seen = vec![0; WINDOW as usize / 64];
            (self.first, self.newest, self.received) = (seq, seq, 1);
            self.mark(seq);
            return Arrival::First;
        }
        if seq > self.newest {
            self.advance(seq, flow);
            return Arrival::Fresh;
        }
        if self.newest - seq >= WINDOW || self.is_marked(seq) {
            self.duplicated += 1;
            return Arrival::Duplicate;
        }
        self.mark(seq);
        self.received += 1;
        self.reordered += 1;
        self.first = self.first.min(seq);
        self.missing = self.missing.saturating_sub(1);
        Arrival::Fresh
    }

    fn advance(&mut self, seq: u32, flow: Flow) {
        let skipped = seq - self.newest - 1;
        for number in (self.newest + 1..=seq).take(WINDOW as usize) {
            self.unmark(number);
        }
        if skipped >= WINDOW {
            self.seen.fill(0);
        }
        if flow == Flow::Continues {
            self.missing += u64::from(skipped);
        }
        self.newest = seq;
        self.received += 1;
        self.mark(seq);
    }

    /// The number of distinct packets received.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The number of duplicates.
    pub fn duplicated(&self) -> u64 {
        self.duplicated
    }

    /// The number of packets that arrived after a later one.
    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    /// The number of packets expected of a stream that was forwarded without pauses: from its first packet received to
    /// `last`, the last one sent.
    pub fn expected_until(&self, last: u32) -> u64 {
        if self.received == 0 {
            return 0;
        }
        u64::from(last.max(self.newest) - self.first) + 1
    }

    /// The number of packets expected of a stream that may have had pauses.
    pub fn expected_between(&self) -> u64 {
        self.received + self.missing
    }

    fn place(seq: u32) -> (usize, u64) {
        let bit = seq % WINDOW;
        ((bit / 64) as usize, 1 << (bit % 64))
    }

    fn mark(&mut self, seq: u32) {
        let (word, bit) = Arrivals::place(seq);
        self.seen[word] |= bit;
    }

    fn unmark(&mut self, seq: u32) {
        let (word, bit) = Arrivals::place(seq);
        self.seen[word] &= !bit;
    }

    fn is_marked(&self, seq: u32) -> bool {
        let (word, bit) = Arrivals::place(seq);
        self.seen[word] & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(numbers: impl IntoIterator<Item = u32>) -> Arrivals {
        let mut arrivals = Arrivals::default();
        for seq in numbers {
            arrivals.record(seq, Flow::Continues);
        }
        arrivals
    }

    #[test]
    fn loss_is_what_is_missing_until_the_last_one_sent() {
        let arrivals = arrivals([10, 11, 13, 14]);

        assert_eq!(arrivals.received(), 4);
        assert_eq!(arrivals.expected_until(16), 7);
        assert_eq!(arrivals.expected_between(), 5);
    }

    #[test]
    fn reordering_is_not_loss() {
        let arrivals = arrivals([0, 2, 1, 3]);

        assert_eq!((arrivals.received(), arrivals.reordered(), arrivals.duplicated()), (4, 1, 0));
        assert_eq!(arrivals.expected_between(), 4);
    }

    #[test]
    fn duplicates_are_counted_apart() {
        let arrivals = arrivals([0, 1, 1, 0, 2]);

        assert_eq!((arrivals.received(), arrivals.duplicated()), (3, 2));
        assert_eq!(arrivals.expected_between(), 3);
    }

    #[test]
    fn a_pause_is_not_loss() {
        let mut arrivals = arrivals(0..10);
        arrivals.record(50, Flow::Switches);
        arrivals.record(20_000, Flow::Resumes);
        arrivals.record(20_002, Flow::Continues);
        arrivals.record(20_001, Flow::Continues);

        assert_eq!((arrivals.received(), arrivals.duplicated()), (14, 0));
        assert_eq!(arrivals.expected_between(), 14);
    }

    #[test]
    fn nothing_was_expected_of_a_stream_that_never_began() {
        assert_eq!(Arrivals::default().expected_until(100), 0);
    }
}
