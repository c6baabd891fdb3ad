//! Lip sync (AV sync): when the streams of one publisher were sampled, so that a receiver can play audio and video that
//! belong together at the same time.
//!
//! A publisher's sender reports (RFC 3550 §6.4.1) tie the timestamps of each of its streams to its own wall clock. That
//! clock may be wrong by years and may jump, so only differences between its times are used: one offset for all streams
//! of the publisher maps them to the server's clock. The sender reports of the slots then have the same differences.
//!
//! ```text
//!   its microphone's RTP ─┐                        ┌─ offset of the audio slot ─ sender report
//!                         ├─ its clock ─ server's ─┤
//!   its camera's RTP ─────┘                        └─ offset of the video slot ─ sender report
//! ```

use crate::rtcp::NtpTime;

/// A difference between NTP times, in units of 2⁻³² s.
type Fractions = i64;

const SECOND: Fractions = 1 << 32;
/// By how much a stream's wall clock and timestamps may disagree between two reports; a larger difference is a jump of
/// one of them. Audio from browsers is off by as much as the length of a packet.
const JUMP: Fractions = SECOND / 20;
/// By how much the delay of one report may exceed that of others; a larger difference means that the clock was set.
const LATE: Fractions = 10 * SECOND;
/// A delay shorter by more than this is adopted at once, since the earlier reports must have been held up.
const EARLY: Fractions = SECOND / 50;
/// How much each report moves the offset otherwise: clocks drift apart by less than 100 µs a second.
const DRIFT: Fractions = SECOND / 10_000;

/// A publisher's wall clock, relative to the server's.
#[derive(Debug, Default)]
pub(crate) struct SenderClock {
    /// The sum of the clock's jumps so far.
    jumped: Fractions,
    /// Added to the publisher's times, without the jumps, to get the server's. `None` before the first report.
    offset: Option<Fractions>,
}

/// Ties a time to a timestamp of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// On the publisher's clock, without its jumps.
    time: u64,
    rtp_timestamp: u32,
    /// When the report arrived at the server.
    heard_at: NtpTime,
}

impl SenderClock {
    /// Takes a sender report that arrives at `now`, and returns the stream's new reference moment; `last` is the
    /// previous one.
    pub(crate) fn report(
        &mut self,
        now: NtpTime,
        (ntp, rtp_timestamp): (NtpTime, u32),
        clock_rate: u32,
        last: Option<Moment>,
    ) -> Option<Moment> {
        // RFC 3550 §6.4.1: a sender without a wall clock sends 0.
        if ntp.0 == 0 {
            return last;
        }
        let mut time = ntp.0.wrapping_sub_signed(self.jumped);
        if let Some(last) = last {
            let passed = distance(last.time, time);
            let sampled = from_ticks(rtp_timestamp.wrapping_sub(last.rtp_timestamp), clock_rate);
            if passed <= 0 && sampled <= 0 {
                // The report was overtaken by a later one.
                return Some(last);
            }
            let waited = distance(last.heard_at.0, now.0);
            let jump = passed.wrapping_sub(sampled);
            // Otherwise the timestamps jumped: the capture device was changed.
            let is_of_clock = differ(sampled, waited) < differ(passed, waited);
            if jump.unsigned_abs() > JUMP.unsigned_abs() && is_of_clock {
                self.jumped = self.jumped.wrapping_add(jump);
                time = time.wrapping_sub_signed(jump);
            }
        }
        let offset = distance(time, now.0);
        match self.offset {
            None => self.offset = Some(offset),
            Some(so_far) => {
                let change = offset.wrapping_sub(so_far);
                if last.is_none() && change.unsigned_abs() > LATE.unsigned_abs() {
                    // The clock jumped before this stream began; `time` must match the other streams.
                    self.jumped = self.jumped.wrapping_sub(change);
                    time = time.wrapping_add_signed(change);
                } else if !(-EARLY..=LATE).contains(&change) {
                    self.offset = Some(offset);
                } else {
                    self.offset = Some(so_far.wrapping_add(change.clamp(-DRIFT, DRIFT)));
                }
            }
        }
        Some(Moment { time, rtp_timestamp, heard_at: now })
    }

    /// The RTP timestamp of a stream at `now`. `None` before the first report.
    pub(crate) fn timestamp_at(
        &self,
        now: NtpTime,
        moment: &Moment,
        clock_rate: u32,
    ) -> Option<u32> {
        let time = now.0.wrapping_sub_signed(self.offset?);
        let passed = to_ticks(distance(moment.time, time), clock_rate);
        Some(moment.rtp_timestamp.wrapping_add(passed))
    }
}

/// From one time to another; negative if `to` is the earlier one.
fn distance(from: u64, to: u64) -> Fractions {
    to.wrapping_sub(from) as Fractions
}

fn differ(a: Fractions, b: Fractions) -> u64 {
    a.wrapping_sub(b).unsigned_abs()
}

/// Converts RTP ticks; the upper half of their range is negative.
fn from_ticks(ticks: u32, clock_rate: u32) -> Fractions {
    (i64::from(ticks as i32) << 32) / i64::from(clock_rate)
}

/// Converts to RTP ticks, rounded, modulo 2³² like RTP timestamps.
fn to_ticks(fractions: Fractions, clock_rate: u32) -> u32 {
    let half = i128::from(SECOND / 2);
    ((i128::from(fractions) * i128::from(clock_rate) + half) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = (1 << 32) / 1000;
    const SERVER: u64 = 3_900_000_000 << 32;
    const AUDIO: u32 = 48_000;
    const VIDEO: u32 = 90_000;

    /// A publisher whose microphone and camera start at timestamps 0 and 7.
    struct Publisher {
        clock: SenderClock,
        /// The wall clock at the start.
        wall: u64,
        audio: Option<Moment>,
        video: Option<Moment>,
    }

    impl Publisher {
        fn new(wall: u64) -> Publisher {
            Publisher { clock: SenderClock::default(), wall, audio: None, video: None }
        }

        /// Reports made `ms` after the start that arrive `late` ms later.
        fn audio(&mut self, ms: u64, late: u64) {
            let ntp = NtpTime(self.wall.wrapping_add(ms * MS));
            let now = NtpTime(SERVER + (ms + late) * MS);
            self.audio = self.clock.report(now, (ntp, ms as u32 * 48), AUDIO, self.audio);
        }

        fn video(&mut self, ms: u64, late: u64) {
            let ntp = NtpTime(self.wall.wrapping_add(ms * MS));
            let now = NtpTime(SERVER + (ms + late) * MS);
            self.video = self.clock.report(now, (ntp, 7 + ms as u32 * 90), VIDEO, self.video);
        }

        /// The time that each stream has reached, in ms since the start.
        fn now(&self, ms: u64) -> (f64, f64) {
            let now = NtpTime(SERVER + ms * MS);
            let audio = self.clock.timestamp_at(now, &self.audio.unwrap(), AUDIO).unwrap();
            let video = self.clock.timestamp_at(now, &self.video.unwrap(), VIDEO).unwrap();
            (f64::from(audio as i32) / 48.0, f64::from(video as i32 - 7) / 90.0)
        }

        fn assert_in_sync(&self, ms: u64) {
            let (audio, video) = self.now(ms);
            assert!((audio - video).abs() < 0.1, "audio at {audio} ms, video at {video} ms");
        }
    }

    #[test]
    fn both_streams_are_in_sync_whatever_the_wall_clock_says() {
        for wall in [1, 500 * MS, SERVER, SERVER - (400_000_000 << 32), u64::MAX - 300 * MS] {
            let mut publisher = Publisher::new(wall);
            publisher.audio(100, 20);
            publisher.video(500, 90);
            publisher.assert_in_sync(1000);
            let (audio, _) = publisher.now(1000);
            assert!((audio - 980.0).abs() < 1.0, "{audio}: the transmission delay counts once");
        }
    }

    #[test]
    fn late_and_overtaken_reports_change_nothing() {
        let mut publisher = Publisher::new(5);
        publisher.audio(100, 20);
        publisher.video(100, 20);
        publisher.video(2000, 20);
        publisher.audio(1000, 1500);
        publisher.video(1500, 900);
        publisher.assert_in_sync(3000);
        let (audio, _) = publisher.now(3000);
        assert!((audio - 2980.0).abs() < 1.0, "{audio}");
    }

    #[test]
    fn the_next_report_corrects_a_first_one_that_was_held_up() {
        let mut publisher = Publisher::new(5);
        publisher.audio(100, 3000);
        publisher.video(3500, 20);
        publisher.assert_in_sync(4000);
        let (audio, _) = publisher.now(4000);
        assert!((audio - 3980.0).abs() < 1.0, "{audio}");
    }

    #[test]
    fn a_jump_of_the_wall_clock_does_not_move_the_streams() {
        for jump in [3_600_000 * MS, 300 * MS, (300 * MS).wrapping_neg(), (1 << 40) * MS] {
            let mut publisher = Publisher::new(SERVER);
            publisher.audio(1000, 20);
            publisher.video(1000, 20);
            publisher.wall = publisher.wall.wrapping_add(jump);
            publisher.audio(2000, 35);
            publisher.assert_in_sync(2100);
            publisher.video(3000, 20);
            publisher.assert_in_sync(3100);
            publisher.audio(4000, 20);
            publisher.assert_in_sync(4100);
            let (audio, _) = publisher.now(4100);
            assert!((audio - 4080.0).abs() < 1.0, "{audio}");
        }
    }

    #[test]
    fn a_stream_that_begins_after_a_jump_joins_the_others() {
        let mut publisher = Publisher::new(SERVER);
        publisher.audio(1000, 20);
        publisher.wall = publisher.wall.wrapping_add(3_600_000 * MS);
        publisher.video(1500, 20);
        publisher.assert_in_sync(2000);
        publisher.audio(2000, 20);
        publisher.assert_in_sync(2100);
    }

    #[test]
    fn timestamps_that_jump_are_followed() {
        let mut publisher = Publisher::new(SERVER);
        publisher.audio(1000, 20);
        publisher.video(1000, 20);
        // A muted microphone whose timestamps stood still for four seconds.
        let ntp = NtpTime(publisher.wall + 6000 * MS);
        let now = NtpTime(SERVER + 6020 * MS);
        publisher.audio = publisher.clock.report(now, (ntp, 2000 * 48), AUDIO, publisher.audio);
        let (audio, video) = publisher.now(7000);
        assert!((video - audio - 4000.0).abs() < 0.1, "audio at {audio} ms, video at {video} ms");
    }

    #[test]
    fn drift_is_followed_slowly_for_both_streams() {
        let mut publisher = Publisher::new(SERVER);
        for second in 1..3600 {
            // The publisher's clocks are fast by 50 ppm.
            let late = (20 * MS).wrapping_sub(second * MS / 20);
            for (rate, first) in [(AUDIO, 0), (VIDEO, 7)] {
                let ntp = NtpTime(publisher.wall + second * 1000 * MS);
                let now = NtpTime((SERVER + second * 1000 * MS).wrapping_add(late));
                let ticks = first + second as u32 * rate;
                let last = if rate == AUDIO { publisher.audio } else { publisher.video };
                let moment = publisher.clock.report(now, (ntp, ticks), rate, last);
                *(if rate == AUDIO { &mut publisher.audio } else { &mut publisher.video }) = moment;
            }
        }
        publisher.assert_in_sync(3_600_000);
        let (audio, _) = publisher.now(3_600_000);
        assert!((audio - 3_600_160.0).abs() < 2.0, "{audio}: 180 ms ahead, 20 ms of delay");
    }

    #[test]
    fn a_report_without_a_wall_clock_is_ignored() {
        let mut clock = SenderClock::default();
        assert!(clock.report(NtpTime(SERVER), (NtpTime(0), 5), AUDIO, None).is_none());
    }

    proptest! {
        #[test]
        fn no_reports_can_make_it_panic(
            reports in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u32>()), 1..30)
        ) {
            let mut clock = SenderClock::default();
            let mut last = None;
            for (now, ntp, timestamp) in reports {
                last = clock.report(NtpTime(now), (NtpTime(ntp), timestamp), VIDEO, last);
                if let Some(moment) = &last {
                    clock.timestamp_at(NtpTime(now), moment, VIDEO);
                }
            }
        }
    }
}
