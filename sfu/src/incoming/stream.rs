//! One incoming stream (SSRC): its packet history, and the reception statistics that receiver reports are made of.

use std::ops::RangeInclusive;
use std::time::Instant;

use super::history::History;
use super::lip_sync::Moment;
use super::nack::NackGenerator;
use crate::MediaKind;
use crate::codec::Codec;
use crate::media::ticks;
use crate::rtcp::{NtpTime, ReportBlock};
use crate::rtp::key_frame;
use crate::transport::srtp::RtpStream;

/// One SSRC of a peer. It is created when the first packet has been authenticated.
pub(crate) struct Stream {
    pub(crate) ssrc: u32,
    /// The index among the peer's tracks of the track that it carries.
    pub(crate) track: usize,
    /// Unique in the engine, so that a slot notices when a track continues with another SSRC.
    pub(crate) id: u64,
    pub(crate) rtp: RtpStream,
    pub(crate) reception: Reception,
    /// The time and timestamp in the last sender report.
    pub(crate) moment: Option<Moment>,
    pub(crate) nacks: NackGenerator,
    pub(crate) history: History,
    /// The index of the first packet of the last key frame.
    pub(crate) key_frame_at: Option<u64>,
    /// The H264 codec that was negotiated, and the one of which the sequence parameter set of the stream is.
    pub(crate) narrowed: Option<(Codec, Codec)>,
}

impl Stream {
    /// Stops everything received so far from being sent again.
    pub(crate) fn forget(&mut self, kind: MediaKind) {
        self.history = History::new(kind);
        self.end();
    }

    /// The sender says that the stream has ended: nothing is waited for any more, and no slot starts on its last key
    /// frame. The replay window stays, because the sender may go on.
    pub(crate) fn end(&mut self) {
        self.nacks = NackGenerator::default();
        self.key_frame_at = None;
    }

    /// The codec of a packet. An H264 stream may use fewer tools than the negotiated profile has, and so more receivers can
    /// decode it: browsers that negotiate Baseline send Constrained Baseline.
    pub(crate) fn codec_of(&mut self, negotiated: Codec, payload: &[u8]) -> Codec {
        let Codec::H264 { packetization_mode, .. } = negotiated else {
            return negotiated;
        };
        if let Some(profile) = key_frame::h264_profile(payload) {
            let said = Codec::H264 { packetization_mode, profile };
            self.narrowed = negotiated.decodes(said).then_some((negotiated, said));
        }
        match self.narrowed {
            Some((known, narrowed)) if known == negotiated => narrowed,
            _ => negotiated,
        }
    }

    /// Notes that a packet starts a key frame. Several packets of one key frame may, such as parameter sets and the
    /// picture itself; the first one counts.
    pub(crate) fn starts_key_frame(&mut self, index: u64, timestamp: u32) {
        let last = self.key_frame_at.and_then(|last| self.history.packet(last));
        let is_known = last.is_some_and(|last| {
            last.position.timestamp == timestamp && last.position.index < index
        });
        if !is_known {
            self.key_frame_at = Some(index);
        }
    }

    /// The packets from the last key frame to the latest packet, if all of them are stored and they are at most `most`.
    pub(crate) fn since_key_frame(&self, most: u64) -> Option<RangeInclusive<u64>> {
        let packets = self.key_frame_at?..=self.reception.highest_index();
        let is_short = packets.end() - packets.start() < most;
        let is_whole = || packets.clone().all(|index| self.history.packet(index).is_some());
        (is_short && is_whole()).then_some(packets)
    }
}

/// Reception statistics for receiver reports: RFC 3550 §6.4.1, appendices A.3 and A.8 (jitter).
#[derive(Debug, Default)]
pub(crate) struct Reception {
    first_index: u64,
    highest_index: u64,
    received: u64,
    reported_expected: u64,
    reported_received: u64,
    /// In 1/16 of an RTP clock tick.
    jitter: u64,
    last_transit: Option<(Instant, u32)>,
    pub(crate) last_packet_at: Option<Instant>,
    sender_report: Option<(Instant, NtpTime)>,
}

impl Reception {
    /// Counts a packet; `index` is its extended sequence number.
    pub(crate) fn packet(&mut self, now: Instant, index: u64, timestamp: u32, clock_rate: u32) {
        if self.received == 0 {
            self.first_index = index;
        }
        self.received += 1;
        self.highest_index = self.highest_index.max(index);
        self.last_packet_at = Some(now);
        if let Some((then, earlier)) = self.last_transit {
            let arrival = ticks(now.saturating_duration_since(then), clock_rate);
            let sampled = timestamp.wrapping_sub(earlier) as i32;
            let difference = (arrival as i64 - i64::from(sampled)).unsigned_abs();
            // A jump of the sender's clock is not jitter.
            let difference = difference.min(u64::from(clock_rate));
            self.jitter = self.jitter + difference - (self.jitter + 8) / 16;
        }
        self.last_transit = Some((now, timestamp));
    }

    /// Counts a packet that arrived as a retransmission.
    pub(crate) fn repaired(&mut self) {
        self.received += 1;
    }

    /// The extended sequence number of the latest packet.
    pub(crate) fn highest_index(&self) -> u64 {
        self.highest_index
    }

    /// The timestamp at `now`, judged by the arrival of the last packet. `None` before the first one.
    pub(crate) fn timestamp_at(&self, now: Instant, clock_rate: u32) -> Option<u32> {
        let (then, timestamp) = self.last_transit?;
        let passed = ticks(now.saturating_duration_since(then), clock_rate);
        Some(timestamp.wrapping_add(passed as u32))
    }

    /// Remembers the NTP time of a sender report.
    pub(crate) fn sender_report(&mut self, now: Instant, ntp: NtpTime) {
        self.sender_report = Some((now, ntp));
    }

    /// The report block for the time since the last one; `None` before the first packet.
    pub(crate) fn report(&mut self, now: Instant, ssrc: u32) -> Option<ReportBlock> {
        if self.received == 0 {
            return None;
        }
        let expected = self.highest_index.saturating_sub(self.first_index) + 1;
        let expected_since = expected.saturating_sub(self.reported_expected);
        let received_since = self.received - self.reported_received;
        (self.reported_expected, self.reported_received) = (expected, self.received);
        let lost_since = expected_since.saturating_sub(received_since);
        let (last, delay) = self.sender_report.map_or((0, 0), |(at, ntp)| {
            (ntp.middle(), ticks(now.saturating_duration_since(at), 65_536) as u32)
        });
        Some(ReportBlock {
            ssrc,
            fraction_lost: (lost_since * 256).checked_div(expected_since).unwrap_or(0).min(255)
                as u8,
            cumulative_lost: (expected as i64 - self.received as i64).clamp(-0x80_0000, 0x7f_ffff)
                as i32,
            highest_sequence: self.highest_index as u32,
            jitter: (self.jitter / 16) as u32,
            last_sender_report: last,
            delay_since_last_sender_report: delay,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::test_now;

    #[test]
    fn loss_is_reported_since_the_last_report_and_in_total() {
        let now = test_now();
        let mut reception = Reception::default();
        for index in (100..200).filter(|index| index % 4 != 1) {
            reception.packet(now, index, 0, 90_000);
        }
        let report = reception.report(now, 7).unwrap();
        assert_eq!((report.fraction_lost, report.cumulative_lost), (64, 25));
        assert_eq!(report.highest_sequence, 199);

        reception.packet(now, 200, 0, 90_000);
        let report = reception.report(now, 7).unwrap();
        assert_eq!((report.fraction_lost, report.cumulative_lost), (0, 25));
    }

    #[test]
    fn only_an_uneven_stream_has_jitter() {
        let (mut even, mut uneven) = (Reception::default(), Reception::default());
        for n in 0u32..200 {
            let now = test_now() + Duration::from_millis(20 * u64::from(n));
            even.packet(now, u64::from(n), n * 960, 48_000);
            let late = now + Duration::from_millis(if n % 2 == 0 { 10 } else { 0 });
            uneven.packet(late, u64::from(n), n * 960, 48_000);
        }
        assert!(even.report(test_now(), 1).unwrap().jitter < 48);
        assert!(uneven.report(test_now(), 1).unwrap().jitter > 240);
    }

    #[test]
    fn the_senders_clock_is_echoed_with_the_delay() {
        let now = test_now();
        let mut reception = Reception::default();
        reception.packet(now, 1, 0, 90_000);
        reception.sender_report(now, NtpTime(0x0001_0002_0003_0004));
        let report = reception.report(now + Duration::from_millis(500), 1).unwrap();
        assert_eq!(report.last_sender_report, 0x0002_0003);
        assert_eq!(report.delay_since_last_sender_report, 32_768);
    }
}
