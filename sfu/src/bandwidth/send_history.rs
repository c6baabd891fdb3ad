//! The send history that TWCC feedback refers to: which packets went to one receiver under transport-wide sequence
//! numbers, and when, until the receiver reports their fate (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2).

use super::estimator::Estimator;
use crate::outgoing::wire::{SendTime, Written};
use crate::rtcp::twcc::Feedback;

/// Packets remembered at first: two round trips of 100 ms at 5 Mbit/s.
const FIRST: usize = 128;
/// Packets remembered at most. If more are sent between two feedbacks, the fate of the oldest is never learned.
const MOST: usize = 4096;
/// Microseconds per unit of the reference time (§3.1).
const REFERENCE_US: i64 = 64_000;
/// Two feedbacks further apart than this do not use the same clock: 10 minutes, in units of the reference time.
const FURTHEST: i64 = 600_000_000 / REFERENCE_US;

/// The packets sent last.
#[derive(Debug, Default)]
pub(crate) struct SendHistory {
    /// The number of packets sent, which is the number of the next one; it is sent modulo 2¹⁶.
    count: u64,
    /// Indexed by number modulo the length, which is a power of two; empty until the first packet is sent.
    packets: Vec<SentPacket>,
    /// The reference time of the last feedback, as received and unwrapped.
    reference: Option<(u32, i64)>,
}

#[derive(Clone, Copy, Debug)]
struct SentPacket {
    /// In microseconds since an arbitrary instant; wraps.
    at: u32,
    bytes: u16,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Unknown,
    Lost,
    /// It arrived, or later reports about it mean nothing.
    Settled,
}

impl SendHistory {
    /// The number of the next packet.
    pub(crate) fn number(&self) -> u16 {
        self.count as u16
    }

    /// Records that a packet was written, with the transport-wide number in it, if any.
    pub(crate) fn written(&mut self, at: SendTime, Written { length, number }: Written) {
        match number {
            None => {}
            Some(number) if number == self.number() => self.left(at.microseconds(), length),
            // The same bytes were sent again, so the time of arrival no longer means anything.
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

    /// Passes news in the receiver's feedback on to the estimator. If the feedback covers packets that are already
    /// forgotten, more are remembered from then on.
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

    /// The packet that a number refers to. `None` if it is too old, or not sent yet.
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

    /// Unwraps the reference time of a feedback, which has 24 bits and may be earlier than the last one.
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

        /// Sends the receiver's feedback, in as many parts as it takes.
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
    fn numbers_wrap_without_losing_track() {
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
    fn late_feedback_about_many_packets_makes_the_history_grow() {
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
    fn numbers_that_were_not_sent_yet_refer_to_no_packet() {
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
