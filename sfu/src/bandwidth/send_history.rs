//! What went to one receiver under transport-wide sequence numbers (draft-holmer-rmcat-transport-wide-cc-extensions-01,
//! §2), and when, until the receiver says what became of it.

use super::estimator::Estimator;
use crate::outgoing::wire::{SendTime, Written};
use crate::rtcp::twcc::Feedback;

/// Packets that are remembered at first: two round trips of 100 ms at 5 Mbit/s.
const FIRST: usize = 128;
/// Packets that are remembered at most. With more between two words of the receiver, it says nothing of the oldest.
const MOST: usize = 4096;
/// Microseconds in a unit of the reference time. §3.1.
const REFERENCE_US: i64 = 64_000;
/// Two feedbacks that are further apart, in those units, are not about one clock: 10 minutes.
const FURTHEST: i64 = 600_000_000 / REFERENCE_US;

/// The packets that were sent last.
#[derive(Debug, Default)]
pub(crate) struct SendHistory {
    /// How many have been sent: the next one's number, which goes out modulo 2¹⁶.
    count: u64,
    /// By number modulo the length, which is a power of two; empty until the first one goes out.
    packets: Vec<SentPacket>,
    /// The reference time of the last feedback, as it was and unwrapped.
    reference: Option<(u32, i64)>,
}

#[derive(Clone, Copy, Debug)]
struct SentPacket {
    /// In microseconds since any moment; wraps.
    at: u32,
    bytes: u16,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Unknown,
    Lost,
    /// It came, or what is said of it means nothing.
    Settled,
}

impl SendHistory {
    /// The number of the next packet.
    pub(crate) fn number(&self) -> u16 {
        self.count as u16
    }

    /// A packet was written, perhaps with that number.
    pub(crate) fn written(&mut self, at: SendTime, Written { length, number }: Written) {
        match number {
            None => {}
            Some(number) if number == self.number() => self.left(at.microseconds(), length),
            // Sent once more as it was: when it comes says nothing any more.
            Some(number) => self.settle(number),
        }
    }

    fn left(&mut self, at: u32, bytes: usize) {
        let departure = SentPacket { at, bytes: bytes as u16, fate: Fate::Unknown };
        if self.packets.is_empty() {
            self.packets = vec![SentPacket { fate: Fate::Settled, ..departure }; FIRST];
        }
        let place = self.place(self.count);
        self.packets[place] = departure;
        self.count += 1;
    }

    fn settle(&mut self, number: u16) {
        if let Some(index) = self.index(number).filter(|index| self.is_remembered(*index)) {
            let place = self.place(index);
            self.packets[place].fate = Fate::Settled;
        }
    }

    /// Hands what the receiver says, as far as it is news, to the estimator. When it says something of packets that are
    /// forgotten already, more are remembered from here on.
    pub(crate) fn take(&mut self, feedback: &Feedback<'_>, estimator: &mut Estimator) {
        let reference = self.unwrap(feedback.reference) * REFERENCE_US;
        let mut is_forgotten = false;
        for (number, came) in feedback.statuses() {
            let Some(index) = self.index(number) else {
                continue;
            };
            if !self.is_remembered(index) {
                is_forgotten = true;
                continue;
            }
            let place = self.place(index);
            let packet = &mut self.packets[place];
            match (packet.fate, came) {
                (Fate::Settled, _) | (Fate::Lost, None) => {}
                (Fate::Unknown, None) => {
                    packet.fate = Fate::Lost;
                    estimator.lost();
                }
                (before, Some(came)) => {
                    packet.fate = Fate::Settled;
                    if before == Fate::Lost {
                        estimator.found();
                    }
                    estimator.arrived(packet.at, reference + came, packet.bytes);
                }
            }
        }
        if is_forgotten {
            self.grow();
        }
    }

    /// Which packet a number means. `None` when none of the last ones, or one that is still to be sent.
    fn index(&self, number: u16) -> Option<u64> {
        let behind = self.number().wrapping_sub(number).wrapping_sub(1);
        let index = self.count.checked_sub(u64::from(behind) + 1)?;
        (usize::from(behind) < MOST).then_some(index)
    }

    fn is_remembered(&self, index: u64) -> bool {
        self.count - index <= self.packets.len() as u64
    }

    fn place(&self, index: u64) -> usize {
        index as usize & (self.packets.len() - 1)
    }

    fn grow(&mut self) {
        let length = (self.packets.len() * 2).min(MOST);
        let forgotten = SentPacket { at: 0, bytes: 0, fate: Fate::Settled };
        let mut grown = SendHistory { packets: vec![forgotten; length], ..SendHistory::default() };
        for index in self.count.saturating_sub(self.packets.len() as u64)..self.count {
            let place = grown.place(index);
            grown.packets[place] = self.packets[self.place(index)];
        }
        self.packets = grown.packets;
    }

    /// The reference time of a feedback has 24 bits, and may be earlier than the last one's.
    fn unwrap(&mut self, reference: u32) -> i64 {
        let (last, unwrapped) = self.reference.unwrap_or((reference, i64::from(reference)));
        let since = i64::from((reference.wrapping_sub(last) << 8) as i32 >> 8);
        let is_near = since.abs() <= FURTHEST;
        let unwrapped = if is_near { unwrapped + since } else { i64::from(reference) };
        self.reference = Some((reference, unwrapped));
        unwrapped
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::rtcp::twcc::Arrivals;
    use crate::test_now;

    struct Pair {
        send_history: SendHistory,
        estimator: Estimator,
        arrivals: Arrivals,
        start: Instant,
        now: Instant,
    }

    impl Pair {
        fn new() -> Pair {
            let (send_history, start) = (SendHistory::default(), test_now());
            let (estimator, arrivals) = (Estimator::default(), Arrivals::default());
            Pair { send_history, estimator, arrivals, start, now: start }
        }

        fn send(&mut self, packets: usize, comes: impl Fn(usize) -> bool) {
            for n in 0..packets {
                self.now += Duration::from_millis(10);
                let number = self.send_history.number();
                let at = SendTime::new(self.start, self.now);
                self.send_history.written(at, Written { length: 1250, number: Some(number) });
                if comes(n) {
                    self.arrivals.packet(self.now + Duration::from_millis(30), number);
                }
            }
        }

        /// What the receiver says, in as many parts as it takes.
        fn tell(&mut self) {
            let mut payload = Vec::new();
            while self.arrivals.write(self.start, &mut payload) {
                let feedback = Feedback::parse(&payload).unwrap();
                self.send_history.take(&feedback, &mut self.estimator);
                payload.clear();
            }
            self.estimator.told(self.now);
        }
    }

    #[test]
    fn numbers_go_on_and_on() {
        let mut pair = Pair::new();
        for _ in 0..7000 {
            pair.send(10, |_| true);
            pair.tell();
        }
        assert_eq!(pair.send_history.number(), 70_000_u32 as u16);
        let estimate = pair.estimator.bits_per_second().unwrap();
        assert!(
            (1_450_000..1_550_000).contains(&estimate),
            "{estimate}: one and a half of 1 Mbit/s"
        );
        assert_eq!(pair.send_history.packets.len(), FIRST);
    }

    #[test]
    fn who_hears_late_of_much_remembers_more() {
        let mut pair = Pair::new();
        for _ in 0..10 {
            pair.send(300, |_| true);
            pair.tell();
        }
        assert_eq!(pair.send_history.packets.len(), 512);
        pair.send_history.grow();
        pair.send(400, |_| true);
        pair.tell();
        let settled = pair.send_history.packets.iter().filter(|p| p.fate == Fate::Settled);
        assert_eq!(settled.count(), 1024, "nothing is mixed up");
        (0..10).for_each(|_| pair.send_history.grow());
        assert_eq!(pair.send_history.packets.len(), MOST);
    }

    #[test]
    fn the_reference_time_may_wrap_and_go_back() {
        let mut send_history = SendHistory::default();
        let times =
            [0xff_fffe, 0xff_ffff, 0, 2, 1, 0xff_ffff].map(|time| send_history.unwrap(time));
        let first = times[0];
        assert_eq!(times.map(|time| time - first), [0, 1, 2, 4, 3, 1]);
    }

    #[test]
    fn numbers_that_were_not_given_yet_mean_nothing() {
        let mut pair = Pair::new();
        assert_eq!(pair.send_history.index(0), None);
        pair.send(5, |_| true);
        assert_eq!(pair.send_history.index(4), Some(4));
        assert_eq!(pair.send_history.index(5), None);
        assert_eq!(pair.send_history.index(u16::MAX), None);
        pair.send_history
            .written(SendTime::new(pair.start, pair.now), Written { length: 1, number: Some(77) });
        assert_eq!(pair.send_history.number(), 5);
    }
}
