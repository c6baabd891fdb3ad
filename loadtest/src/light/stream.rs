//! The receiving side of one slot's stream. Loss is judged by the unencrypted sequence numbers. For decrypted packets,
//! the stamps show whether the server dropped packets without leaving a gap.

use super::answer::SlotLine;
use super::gaps::{GapCounts, Gaps};
use crate::arrivals::{Arrival, Arrivals};
use crate::slot_log::Flow;
use crate::stamp::{SenderId, Stamp};

/// A received stream; see the module documentation.
pub struct Stream {
    /// Its m-line.
    pub line: SlotLine,
    /// The missing packets, to be requested by NACK.
    pub gaps: Gaps,
    /// The arrival of the first packet, in microseconds of the run's clock.
    pub first_us: Option<u64>,
    arrivals: Arrivals,
    /// The highest extended sequence number. It starts in [`FIRST_ROUND`], so that slightly older packets have numbers
    /// as well.
    highest: u32,
    /// The number of the server's rollovers before [`FIRST_ROUND`]; known once a packet was authenticated.
    rollovers_before: Option<u32>,
    /// The sender of the last stamp, and the difference between its number and ours.
    lead: Option<(SenderId, i64)>,
    skipped: u64,
    /// The middle 32 bits of the NTP time in the last sender report, and its arrival time.
    sender_report: Option<(u32, u64)>,
    /// The numbers of packets expected and received at the last receiver report.
    reported: (u64, u64),
}

const FIRST_ROUND: u32 = 1 << 16;

/// Counts of one or more streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// The number of streams.
    pub streams: u64,
    /// The number of streams on which packets have arrived.
    pub receiving: u64,
    /// Distinct packets received.
    pub received: u64,
    /// Packets that were sent and did not arrive.
    pub missing: u64,
    /// Packets received more than once.
    pub duplicated: u64,
    /// Packets received after a later one.
    pub reordered: u64,
    /// Packets that the server dropped without leaving a gap.
    pub skipped: u64,
    /// Missing packets and their fate.
    pub gaps: GapCounts,
}

/// A report block (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The fraction of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// The total number of packets lost.
    pub total_lost: u32,
    /// The extended highest sequence number.
    pub highest: u32,
    /// The middle 32 bits of the last sender report's NTP time; 0 when there was none.
    pub last_sender_report: u32,
    /// The time since that report arrived, in 1/65536 s.
    pub delay: u32,
}

impl Stream {
    /// Creates a stream without packets.
    pub fn new(line: SlotLine) -> Stream {
        Stream {
            line,
            gaps: Gaps::new(line.kind),
            first_us: None,
            arrivals: Arrivals::default(),
            highest: 0,
            rollovers_before: None,
            lead: None,
            skipped: 0,
            sender_report: None,
            reported: (0, 0),
        }
    }

    /// Counts a packet, or the original of a retransmitted one. Returns its extended sequence number, and whether it is
    /// the newest.
    pub fn packet(&mut self, now_us: u64, sequence_number: u16) -> (u32, bool) {
        if self.first_us.is_none() {
            self.first_us = Some(now_us);
            self.highest = FIRST_ROUND + u32::from(sequence_number);
            self.arrivals.record(self.highest, Flow::Continues);
            return (self.highest, true);
        }
        let number = self.number(sequence_number);
        let is_newest = number > self.highest;
        if is_newest {
            if number > self.highest + 1 {
                self.gaps.open(now_us, self.highest + 1..number);
            }
            self.highest = number;
        } else if !self.gaps.is_whole() {
            self.gaps.fill(now_us, number);
        }
        let arrival = self.arrivals.record(number, Flow::Continues);
        (number, is_newest && arrival == Arrival::Fresh)
    }

    /// The extended number nearest to the highest one; a difference of half the range counts as behind.
    fn number(&self, sequence_number: u16) -> u32 {
        let ahead = sequence_number.wrapping_sub(self.highest as u16) as i16;
        self.highest.saturating_add_signed(i32::from(ahead))
    }

    /// The numbers of rollovers to try for a packet: the known one, or those possible for a stream that has just
    /// started or just wrapped around.
    pub fn rollovers(&self, number: u32) -> impl Iterator<Item = u32> + use<> {
        let rounds = (number >> 16).wrapping_sub(FIRST_ROUND >> 16);
        let before = match self.rollovers_before {
            Some(known) => known..known + 1,
            None => 0..2,
        };
        before.map(move |before| before.wrapping_add(rounds))
    }

    /// Records that a packet was authenticated with this number of rollovers.
    pub fn authenticated(&mut self, number: u32, rollovers: u32) {
        let rounds = (number >> 16).wrapping_sub(FIRST_ROUND >> 16);
        self.rollovers_before = Some(rollovers.wrapping_sub(rounds));
    }

    /// Handles a decrypted packet's stamp. If the sender's numbers advance more than ours, the server dropped packets.
    pub fn stamped(&mut self, number: u32, stamp: &Stamp) {
        let lead = i64::from(stamp.seq) - i64::from(number);
        if let Some((sender, before)) = self.lead
            && sender == stamp.sender
        {
            self.skipped += u64::try_from(lead - before).unwrap_or(0);
        }
        self.lead = Some((stamp.sender, lead));
    }

    /// Handles a sender report.
    pub fn sender_report(&mut self, now_us: u64, ntp_time: u64) {
        self.sender_report = Some(((ntp_time >> 16) as u32, now_us));
    }

    /// The next report block; `None` before the first packet.
    pub fn report(&mut self, now_us: u64) -> Option<ReportBlock> {
        self.first_us?;
        let (expected, received) = (self.arrivals.expected_between(), self.arrivals.received());
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, received);
        let expected_since = expected.saturating_sub(expected_before);
        let lost_since = expected_since.saturating_sub(received - received_before);
        let fraction = (lost_since * 256).checked_div(expected_since).unwrap_or(0).min(255);
        let (last_sender_report, delay) = match self.sender_report {
            Some((ntp, at_us)) => (ntp, (now_us.saturating_sub(at_us) * 65_536 / 1_000_000) as u32),
            None => (0, 0),
        };
        Some(ReportBlock {
            fraction_lost: fraction as u8,
            total_lost: (expected - received).min(0x7F_FFFF) as u32,
            highest: self.highest - FIRST_ROUND,
            last_sender_report,
            delay,
        })
    }

    /// The stream's counts.
    pub fn counts(&self) -> StreamCounts {
        StreamCounts {
            streams: 1,
            receiving: u64::from(self.first_us.is_some()),
            received: self.arrivals.received(),
            missing: self.arrivals.expected_between() - self.arrivals.received(),
            duplicated: self.arrivals.duplicated(),
            reordered: self.arrivals.reordered(),
            skipped: self.skipped,
            gaps: self.gaps.counts,
        }
    }
}

impl StreamCounts {
    /// Adds other counts.
    pub fn add(&mut self, other: &StreamCounts) {
        self.combine(other, u64::saturating_add);
    }

    /// The difference to earlier counts. The numbers of streams are kept.
    pub fn since(&self, earlier: &StreamCounts) -> StreamCounts {
        let mut since = *self;
        since.combine(earlier, u64::saturating_sub);
        StreamCounts { streams: self.streams, receiving: self.receiving, ..since }
    }

    fn combine(&mut self, other: &StreamCounts, with: fn(u64, u64) -> u64) {
        let StreamCounts { streams, receiving, received, missing, .. } = self;
        let StreamCounts { duplicated, reordered, skipped, gaps, .. } = self;
        for (mine, others) in [
            (streams, other.streams),
            (receiving, other.receiving),
            (received, other.received),
            (missing, other.missing),
            (duplicated, other.duplicated),
            (reordered, other.reordered),
            (skipped, other.skipped),
            (&mut gaps.missed, other.gaps.missed),
            (&mut gaps.recovered, other.gaps.recovered),
            (&mut gaps.given_up, other.gaps.given_up),
            (&mut gaps.asked, other.gaps.asked),
        ] {
            *mine = with(*mine, others);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Kind;

    fn stream() -> Stream {
        Stream::new(SlotLine { kind: Kind::Video, ssrc: 1, rtx_ssrc: None })
    }

    #[test]
    fn rollovers_are_followed() {
        let mut stream = stream();
        let numbers: Vec<u32> =
            [65_534, 65_535, 0, 2, 1].map(|seq: u16| stream.packet(0, seq).0).into();

        assert_eq!(numbers, [131_070, 131_071, 131_072, 131_074, 131_073]);
        assert_eq!(stream.rollovers(131_074).collect::<Vec<_>>(), [1, 2]);
        stream.authenticated(131_074, 1);
        assert_eq!(stream.rollovers(131_071).collect::<Vec<_>>(), [0]);
        let counts = stream.counts();
        assert_eq!((counts.received, counts.missing, counts.reordered), (5, 0, 1));
        assert_eq!((counts.gaps.missed, counts.gaps.recovered), (1, 1));
    }

    #[test]
    fn a_packet_before_the_first_is_no_surprise() {
        let mut stream = stream();
        stream.packet(0, 1);
        assert_eq!(stream.packet(0, 65_535), (65_535, false));
        assert_eq!(stream.counts().received, 2);
    }

    #[test]
    fn what_the_server_leaves_out_is_found_by_the_stamps() {
        let mut stream = stream();
        let stamp = |seq| Stamp { sender: SenderId(1), kind: Kind::Video, seq, sent_us: 0 };
        stream.stamped(100, &stamp(10));
        stream.stamped(150, &stamp(60));
        assert_eq!(stream.counts().skipped, 0);
        stream.stamped(200, &stamp(113));
        assert_eq!(stream.counts().skipped, 3);
        let other = Stamp { sender: SenderId(2), ..stamp(5000) };
        stream.stamped(201, &other);
        assert_eq!(stream.counts().skipped, 3);
    }

    #[test]
    fn a_report_says_what_was_lost_since_the_last() {
        let mut stream = stream();
        assert_eq!(stream.report(0), None);
        (0..100).filter(|seq| seq % 4 != 1).for_each(|seq| {
            stream.packet(0, seq);
        });
        stream.sender_report(1_000_000, 0x1234_5678_9ABC_DEF0);

        let report = stream.report(1_500_000).unwrap();

        assert_eq!((report.fraction_lost, report.total_lost, report.highest), (64, 25, 99));
        assert_eq!((report.last_sender_report, report.delay), (0x5678_9ABC, 32_768));
        assert_eq!(stream.report(1_500_000).unwrap().fraction_lost, 0);
    }

    #[test]
    fn counts_are_told_apart_by_moment() {
        let mut stream = stream();
        stream.packet(0, 1);
        let earlier = stream.counts();
        stream.packet(0, 2);
        stream.packet(0, 4);

        let since = stream.counts().since(&earlier);

        assert_eq!((since.streams, since.received, since.missing), (1, 2, 1));
    }
}
