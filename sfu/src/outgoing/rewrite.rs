//! Turns whatever a slot carries, from one source after another, into one continuous stream.
//!
//! ```text
//!   source A   … 17 18 19 |                 out   … 5 6 7 8 9 …
//!   source B              | 901 902 …             A A A B B
//! ```
//!
//! Within one source the distances between packets are kept, so that a receiver sees the loss and reordering that
//! happened before the server. At a switch the stream continues right behind the highest packet sent. The mapping is
//! kept in segments, so that a packet can be found again when a receiver requests it.
//!
//! # Timestamps
//!
//! A slot has one clock for all its sources. It runs at the speed of the server's clock, so that the line through its
//! sender reports has no bend at a switch, which a receiver would need many reports to follow. A new source is placed
//! where that clock is:
//!
//! ```text
//!   the slot's clock     ──┬────────┬────────┬──►
//!   frames of A            17  18  19
//!   frames of B              K   .   .  .   .      K: its cached key frame, sent when the slot is at 19
//!   sent                   17  18  19K...  .   .
//! ```
//!
//! Timestamps that would go backwards are squeezed: frames follow each other by a millisecond until the clock has
//! caught up with them.
//!
//! Where a source's own timestamps jump, because its capture device was changed or its encoder began anew, it is placed
//! where the slot's clock is, as at a switch. After a pause timestamps are far from the last one as well, but near the
//! clock.

use std::collections::VecDeque;
use std::time::Instant;

use crate::MediaKind;
use crate::media::{clock_rate, ticks};
use crate::rtp::{Counters, Position};

/// Rewrites sequence numbers, timestamps and codec counters for one outgoing stream.
#[derive(Debug)]
pub(crate) struct Rewriter {
    kind: MediaKind,
    /// The extended sequence number behind the highest one sent, where the stream continues.
    next_index: u64,
    last_timestamp: u32,
    last_counters: Counters,
    /// An instant and its timestamp: those last reported, or the start of the stream. `None` before the first switch.
    clock: Option<(Instant, u32)>,
    /// The offset that the timestamps of the current source would get without squeezing.
    unsqueezed: u32,
    /// The last one is in use, unless `is_stopped`.
    segments: VecDeque<Segment>,
    is_stopped: bool,
}

/// Segments remembered. Each is a switch, an omitted packet or a squeezed frame; packets of older segments are too old
/// to be requested.
const MAX_SEGMENTS: usize = 64;

/// The step between two frames that would otherwise share a timestamp or go backwards: one frame of audio, whose
/// samples must not overlap, or a millisecond of video.
fn step(kind: MediaKind) -> u32 {
    match kind {
        MediaKind::Audio => 960,
        MediaKind::Video => 90,
    }
}

/// How far a slot may be ahead of its clock at a switch, in seconds; beyond, the clock is moved. This only happens if a
/// source's own timestamps have jumped.
const MAX_AHEAD: u32 = 1;
/// How far timestamps are from where they should be, in seconds, if they have jumped. Frames that are sent in another
/// order than they are shown, and clocks that drift, stay far below.
const JUMP: u32 = 3;

/// A section of one stream that is mapped to the slot by the same offsets; all of them wrap.
#[derive(Clone, Copy, Debug)]
struct Segment {
    stream: u64,
    first_index: u64,
    highest_index: u64,
    index: u64,
    timestamp: u32,
    counters: Counters,
}

impl Segment {
    fn apply(&self, position: Position) -> Position {
        Position {
            index: position.index.wrapping_add(self.index),
            timestamp: position.timestamp.wrapping_add(self.timestamp),
            counters: position.counters.plus(self.counters),
        }
    }

    /// The index under which its first packet was sent. Everything sent by it lies between this and the next segment's.
    fn first_sent(&self) -> u64 {
        self.first_index.wrapping_add(self.index)
    }
}

/// Identifies a packet that was sent by its incoming stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// The incoming stream.
    pub(crate) stream: u64,
    /// The extended sequence number in that stream.
    pub(crate) index: u64,
    segment: Segment,
}

impl Sent {
    /// The position under which the packet was sent.
    pub(crate) fn position(&self, incoming: Position) -> Position {
        self.segment.apply(incoming)
    }
}

impl Rewriter {
    /// Starts at random numbers (RFC 3550 §5.1). The sequence number is in the lower half, so that early reordering
    /// can't make a receiver guess a wrong rollover counter (RFC 3711 §3.3.1).
    pub(crate) fn new(kind: MediaKind, sequence_number: u16, timestamp: u32) -> Rewriter {
        Rewriter {
            kind,
            next_index: u64::from(sequence_number & 0x7fff),
            last_timestamp: timestamp,
            last_counters: Counters::default(),
            clock: None,
            unsqueezed: 0,
            segments: VecDeque::new(),
            is_stopped: true,
        }
    }

    /// The incoming stream that the slot follows.
    pub(crate) fn stream(&self) -> Option<u64> {
        self.segments.back().filter(|_| !self.is_stopped).map(|segment| segment.stream)
    }

    /// Whether packets of this incoming stream can be sent without a switch.
    pub(crate) fn follows(&self, stream: u64) -> bool {
        self.stream() == Some(stream)
    }

    /// Switches to another stream, whose first packet is at `first`; `live` is the timestamp that the stream has at
    /// `now`.
    pub(crate) fn switch(&mut self, now: Instant, stream: u64, first: Position, live: u32) {
        let timestamp = self.place(now, first.timestamp, live);
        self.is_stopped = false;
        self.begin(Segment {
            stream,
            first_index: first.index,
            highest_index: first.index.saturating_sub(1),
            index: self.next_index.wrapping_sub(first.index),
            timestamp,
            counters: self.last_counters.plus(Counters::STEP).minus(first.counters),
        });
    }

    /// Places the timestamps of a source at the slot's clock. Returns the offset of those from `first` on.
    fn place(&mut self, now: Instant, first: u32, live: u32) -> u32 {
        let Some(clock) = self.clock_at(now) else {
            self.clock = Some((now, self.last_timestamp));
            self.unsqueezed = self.last_timestamp.wrapping_sub(live);
            return self.unsqueezed;
        };
        let most_ahead = (MAX_AHEAD * clock_rate(self.kind)) as i32;
        let is_lost = self.earliest().wrapping_sub(clock) as i32 > most_ahead;
        let clock = if is_lost { self.earliest() } else { clock };
        self.clock = Some((now, clock));
        self.unsqueezed = clock.wrapping_sub(live);
        // A frame from before a jump may seem to be of the future.
        let is_ahead = first.wrapping_sub(live) as i32 > most_ahead;
        if is_ahead { self.earliest().wrapping_sub(first) } else { self.squeezed(first) }
    }

    /// Whether the timestamps of the followed stream have jumped at the next packet in order.
    pub(crate) fn is_jump(&self, now: Instant, next: Position) -> bool {
        let Some(segment) = self.segments.back() else {
            return false;
        };
        let limit = JUMP * clock_rate(self.kind);
        let kept = next.timestamp.wrapping_add(segment.timestamp);
        let step = kept.wrapping_sub(self.last_timestamp) as i32;
        if step.unsigned_abs() <= limit || next.index <= segment.highest_index {
            return false;
        }
        let own = next.timestamp.wrapping_add(self.unsqueezed);
        let is_near = |clock: u32| (own.wrapping_sub(clock) as i32).unsigned_abs() <= limit;
        step < 0 || !self.clock_at(now).is_some_and(is_near)
    }

    /// Goes on behind a jump of the followed stream's timestamps. `next` is the first packet behind it; `live` is the
    /// timestamp that the stream has at `now`.
    pub(crate) fn jump(&mut self, now: Instant, next: Position, live: u32) {
        let Some(&segment) = self.segments.back() else {
            return;
        };
        let timestamp = self.place(now, next.timestamp, live);
        let (first_index, highest_index) = (next.index, next.index.saturating_sub(1));
        self.begin(Segment { first_index, highest_index, timestamp, ..segment });
    }

    /// The first timestamp that may follow the last one sent.
    fn earliest(&self) -> u32 {
        self.last_timestamp.wrapping_add(step(self.kind))
    }

    /// The offset that puts a frame's timestamp behind the last one, and otherwise as close as possible to its own
    /// time.
    fn squeezed(&self, timestamp: u32) -> u32 {
        let offset = self.earliest().wrapping_sub(timestamp);
        let ahead = offset.wrapping_sub(self.unsqueezed) as i32;
        if ahead > 0 { offset } else { self.unsqueezed }
    }

    fn begin(&mut self, segment: Segment) {
        if self.segments.len() == MAX_SEGMENTS {
            self.segments.pop_front();
        }
        self.segments.push_back(segment);
    }

    /// The position under which to send a packet of the followed stream. `None` if the packet is older than the switch
    /// to its stream and must not be sent, or so late that its number has been used for another packet.
    pub(crate) fn rewrite(&mut self, position: Position) -> Option<Position> {
        self.draw_near(position);
        let stream = self.segments.back()?.stream;
        let place = self.segments.iter().rposition(|segment| {
            segment.stream == stream && segment.first_index <= position.index
        })?;
        let end = self.segments.get(place + 1).map(Segment::first_sent);
        let segment = &mut self.segments[place];
        let out = segment.apply(position);
        if end.is_some_and(|end| out.index >= end) {
            return None;
        }
        segment.highest_index = segment.highest_index.max(position.index);
        if out.index >= self.next_index {
            self.next_index = out.index + 1;
            self.last_timestamp = out.timestamp;
            self.last_counters = out.counters;
        }
        Some(out)
    }

    /// Squeezes a frame of a source that is ahead of the clock: moves it close behind the last one. This applies only
    /// to video, and only to frames whose first packet arrives in order, since all packets of a frame must get the same
    /// timestamp.
    fn draw_near(&mut self, position: Position) {
        let Some(&segment) = self.segments.back() else {
            return;
        };
        let is_next = self.kind == MediaKind::Video && position.index == segment.highest_index + 1;
        if segment.timestamp == self.unsqueezed || !is_next {
            return;
        }
        let kept = position.timestamp.wrapping_add(segment.timestamp);
        if kept.wrapping_sub(self.last_timestamp) as i32 <= 0 {
            return;
        }
        let timestamp = self.squeezed(position.timestamp);
        // Never move a frame further from its own time.
        if (segment.timestamp.wrapping_sub(timestamp) as i32) > 0 {
            let (first_index, highest_index) = (position.index, position.index - 1);
            self.begin(Segment { first_index, highest_index, timestamp, ..segment });
        }
    }

    /// Omits a packet without leaving a gap, if it is the next one in order. A late packet leaves its gap, since the
    /// packets around it have already been sent.
    pub(crate) fn leave_out(&mut self, index: u64) {
        if let Some(&segment) = self.segments.back()
            && index == segment.highest_index + 1
        {
            self.begin(Segment {
                first_index: index + 1,
                highest_index: index,
                index: segment.index.wrapping_sub(1),
                ..segment
            });
        }
    }

    /// The packet sent under a sequence number, if it is not too old.
    pub(crate) fn sent(&self, sequence_number: u16) -> Option<Sent> {
        let behind = (self.next_index as u16).wrapping_sub(sequence_number);
        let index = self.next_index.checked_sub(u64::from(behind)).filter(|_| behind > 0)?;
        let segment = *self.segments.iter().rev().find(|segment| index >= segment.first_sent())?;
        Some(Sent { stream: segment.stream, index: index.wrapping_sub(segment.index), segment })
    }

    /// Forgets the source; the next packet needs a switch.
    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// The RTP timestamp for a sender report at `now`. `live` is the timestamp that the followed stream has at that
    /// time; without one, the slot's clock is used. `None` before the first packet.
    pub(crate) fn reported(&mut self, now: Instant, live: Option<u32>) -> Option<u32> {
        let followed = self.segments.back().filter(|_| !self.is_stopped);
        let Some((live, segment)) = live.zip(followed) else {
            return self.clock_at(now);
        };
        let timestamp = live.wrapping_add(segment.timestamp);
        // The reported clock is what the next source continues, unless this one is still squeezed.
        if segment.timestamp == self.unsqueezed || self.kind == MediaKind::Audio {
            self.clock = Some((now, timestamp));
        }
        Some(timestamp)
    }

    /// Forgets all packets sent, so that none is retransmitted; late packets are dropped from then on.
    pub(crate) fn forget_sent(&mut self) {
        let last = self.segments.pop_back();
        self.segments.clear();
        let rest =
            last.map(|segment| Segment { first_index: segment.highest_index + 1, ..segment });
        self.segments.extend(rest);
    }

    fn clock_at(&self, now: Instant) -> Option<u32> {
        let (at, timestamp) = self.clock?;
        let passed = ticks(now.saturating_duration_since(at), clock_rate(self.kind));
        Some(timestamp.wrapping_add(passed as u32))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::test_now;

    fn at(index: u64, timestamp: u32) -> Position {
        let (picture_id, tl0_pic_idx) = (index as u16, index as u8);
        let counters = Counters { picture_id, tl0_pic_idx, frame_number: !picture_id };
        Position { index, timestamp, counters }
    }

    #[test]
    fn a_switch_continues_right_behind_the_highest_packet() {
        let now = test_now();
        let mut rewriter = Rewriter::new(MediaKind::Video, 10, 1000);
        rewriter.switch(now, 1, at(70_000, 5), 5);
        let out: Vec<_> =
            [70_000, 70_002, 70_001].map(|n| rewriter.rewrite(at(n, 5)).unwrap().index).into();
        assert_eq!(out, [10, 12, 11]);

        let later = now + Duration::from_secs(1);
        rewriter.switch(later, 2, at(3, 77), 77);
        let first = rewriter.rewrite(at(3, 77)).unwrap();
        assert_eq!(first.index, 13);
        assert_eq!(first.timestamp, 1000 + 90_000);
        assert_eq!(rewriter.rewrite(at(2, 70)), None);
    }

    #[test]
    fn a_late_packet_from_before_two_switches_does_not_reuse_a_number() {
        let now = test_now();
        let mut rewriter = Rewriter::new(MediaKind::Audio, 10, 1000);
        let mut sent = |stream: u64, index: u64| {
            if !rewriter.follows(stream) {
                rewriter.switch(now, stream, at(index, 5), 5);
            }
            rewriter.rewrite(at(index, 5)).map(|position| position.index)
        };

        assert_eq!([sent(1, 100), sent(1, 102)], [Some(10), Some(12)]);
        assert_eq!([sent(2, 900), sent(2, 901)], [Some(13), Some(14)]);
        assert_eq!(sent(1, 110), Some(15));
        assert_eq!(sent(1, 101), Some(11), "its place is still free");
        assert_eq!(sent(1, 104), None, "its place is the other stream's");
        assert_eq!(sent(1, 111), Some(16));
    }

    #[test]
    fn counters_continue_at_a_switch() {
        let now = test_now();
        let mut rewriter = Rewriter::new(MediaKind::Video, 0, 0);
        rewriter.switch(now, 1, at(100, 0), 0);
        let a = rewriter.rewrite(at(100, 0)).unwrap();
        rewriter.switch(now, 2, at(40_000, 0), 0);
        let b = rewriter.rewrite(at(40_000, 0)).unwrap();
        assert_eq!(b.counters, a.counters.plus(Counters::STEP));
    }

    /// A slot that has just shown a source with 30 frames a second.
    fn running(now: Instant) -> (Rewriter, u32) {
        let mut rewriter = Rewriter::new(MediaKind::Video, 0, 0);
        rewriter.switch(now, 1, at(1, 3000), 3000);
        let last = (1..=30).map(|n| rewriter.rewrite(at(n, n as u32 * 3000)).unwrap());
        let last = last.last().unwrap().timestamp;
        (rewriter, last)
    }

    #[test]
    fn frames_older_than_the_last_one_sent_are_squeezed() {
        let now = test_now();
        let (mut rewriter, last) = running(now);
        let later = now + Duration::from_millis(1000);

        // A key frame that is 80 ms old, two more frames, then one every 33 ms.
        rewriter.switch(later, 2, at(500, 100_000), 107_200);
        let frames = [100_000, 103_000, 106_000, 109_000, 112_000, 115_000];
        let out: Vec<u32> = (500..)
            .zip(frames)
            .map(|(n, timestamp)| rewriter.rewrite(at(n, timestamp)).unwrap().timestamp - last)
            .collect();

        assert_eq!(last, 87_000, "the slot's clock is at 90 000 later");
        let own = |timestamp: u32| timestamp + 90_000 - 107_200 - last;
        assert_eq!(out, [90, 180, own(106_000), own(109_000), own(112_000), own(115_000)]);
        let sent: Vec<u64> = (30..36).map(|n| rewriter.sent(n).unwrap().index).collect();
        assert_eq!(sent, [500, 501, 502, 503, 504, 505]);
        let again = rewriter.sent(31).unwrap().position(at(501, 103_000));
        assert_eq!(again.timestamp, last + 180, "as it was sent");
    }

    #[test]
    fn all_packets_of_a_reordered_frame_get_one_timestamp() {
        let now = test_now();
        let (mut rewriter, last) = running(now);
        rewriter.switch(now + Duration::from_millis(1000), 2, at(500, 100_000), 107_200);

        let mut out = |n, timestamp| rewriter.rewrite(at(n, timestamp)).unwrap().timestamp - last;

        assert_eq!(out(500, 100_000), 90);
        let (second, first) = (out(502, 103_000), out(501, 103_000));
        assert_eq!((first, second), (3090, 3090));
    }

    /// What a slot sends for the next packets of its source: the distance of each timestamp to the last one.
    fn steps(rewriter: &mut Rewriter, now: Instant, next: &[(u64, u32)]) -> Vec<i32> {
        let step = |&(index, timestamp): &(u64, u32)| {
            let (packet, last) = (at(index, timestamp), rewriter.last_timestamp);
            if rewriter.is_jump(now, packet) {
                rewriter.jump(now, packet, timestamp);
            }
            rewriter.rewrite(packet).unwrap().timestamp.wrapping_sub(last) as i32
        };
        next.iter().map(step).collect()
    }

    #[test]
    fn a_jump_of_timestamps_does_not_reach_the_slot() {
        // 1 s after the start of the slot, so that its clock is 3000 ahead of the last frame.
        let now = test_now();
        let later = now + Duration::from_secs(1);
        for jumped in [9_000_000, 1_000_000, 0x9000_0000, u32::MAX - 3_000_000] {
            let (mut rewriter, _) = running(now);
            let next =
                [(31, jumped), (32, jumped + 3000), (32, jumped + 3000), (33, jumped + 6000)];
            assert_eq!(steps(&mut rewriter, later, &next), [3000, 3000, 0, 3000], "{jumped}");
            let sent = rewriter.sent(31).unwrap();
            assert_eq!((sent.stream, sent.index), (1, 32));
            // A packet from before the jump that comes late has the place and the time that it would have had.
            let late = rewriter.rewrite(at(29, 29 * 3000)).unwrap();
            assert_eq!((late.index, late.timestamp), (28, 28 * 3000));
        }
    }

    #[test]
    fn packets_lost_at_a_jump_leave_their_gap() {
        let (mut rewriter, _) = running(test_now());
        let next = at(34, 9_000_000);
        assert!(rewriter.is_jump(test_now(), next));
        rewriter.jump(test_now(), next, 9_000_000);
        assert_eq!(rewriter.rewrite(next).unwrap().index, 33);
    }

    #[test]
    fn a_pause_is_no_jump() {
        let (mut rewriter, _) = running(test_now());
        let minute = test_now() + Duration::from_secs(60);
        let resumed = 3000 + 60 * 90_000;
        assert!(!rewriter.is_jump(minute, at(31, resumed)));
        assert_eq!(steps(&mut rewriter, minute, &[(31, resumed)]), [resumed as i32 - 30 * 3000]);
    }

    #[test]
    fn a_cached_key_frame_from_before_a_jump_is_no_reason_for_another() {
        let now = test_now();
        let (mut rewriter, last) = running(now);
        let later = now + Duration::from_secs(1);
        // The source jumped by an hour, forwards or back, behind its key frame.
        for (stream, key_frame, live) in [(2, 0, 324_000_000), (3, 324_000_000, 0)] {
            rewriter.switch(later, stream, at(500, key_frame), live);
            let next = [(500, key_frame), (501, key_frame + 3000), (502, live), (503, live + 3000)];
            let steps = steps(&mut rewriter, later, &next);
            assert!(steps.iter().all(|step| (90..=6000).contains(step)), "{steps:?}");
        }
        assert!(rewriter.last_timestamp - last < 20_000, "{}", rewriter.last_timestamp - last);
    }

    #[test]
    fn an_old_key_frame_does_not_move_the_clock() {
        let now = test_now();
        let (mut rewriter, last) = running(now);
        let later = now + Duration::from_millis(1000);
        // A screen share that stood still for a minute.
        rewriter.switch(later, 2, at(500, 0), 60 * 90_000);
        assert_eq!(rewriter.rewrite(at(500, 0)).unwrap().timestamp - last, 90);
        assert_eq!(rewriter.rewrite(at(501, 60 * 90_000)).unwrap().timestamp, 90_000);
    }

    #[test]
    fn reports_follow_the_source_or_else_the_slots_clock() {
        let now = test_now();
        let mut rewriter = Rewriter::new(MediaKind::Audio, 0, 1000);
        assert_eq!(rewriter.reported(now, Some(5)), None);
        rewriter.switch(now, 1, at(1, 40), 50);
        assert_eq!(rewriter.rewrite(at(1, 40)).unwrap().timestamp, 990);
        let later = now + Duration::from_secs(1);
        assert_eq!(rewriter.reported(later, None), Some(49_000));
        assert_eq!(rewriter.reported(later, Some(48_070)), Some(49_020));
        assert_eq!(rewriter.reported(later, None), Some(49_020), "that is the clock from here on");
        rewriter.stop();
        assert_eq!(rewriter.reported(later, Some(77)), Some(49_020));
    }

    #[test]
    fn forgotten_packets_are_not_found() {
        let now = test_now();
        let mut rewriter = Rewriter::new(MediaKind::Video, 0, 0);
        rewriter.switch(now, 1, at(5, 0), 0);
        rewriter.rewrite(at(5, 0)).unwrap();
        rewriter.forget_sent();
        assert!(rewriter.sent(0).is_none());
        assert_eq!(rewriter.rewrite(at(6, 0)).unwrap().index, 1);
        assert_eq!(rewriter.sent(1).unwrap().index, 6);
    }

    #[test]
    fn an_omitted_packet_leaves_no_gap() {
        let now = test_now();
        let mut rewriter = Rewriter::new(MediaKind::Video, 0, 0);
        rewriter.switch(now, 1, at(5, 0), 0);
        assert_eq!(rewriter.rewrite(at(5, 0)).unwrap().index, 0);
        rewriter.leave_out(6);
        assert_eq!(rewriter.rewrite(at(7, 0)).unwrap().index, 1);
        rewriter.leave_out(9);
        assert_eq!(rewriter.rewrite(at(10, 0)).unwrap().index, 4);
    }

    #[test]
    fn sent_packets_are_found_across_switches_and_gaps() {
        let now = test_now();
        let mut rewriter = Rewriter::new(MediaKind::Video, 0x7ffe, 0);
        rewriter.switch(now, 1, at(70_000, 5), 5);
        let mut sent = Vec::new();
        for index in [70_000, 70_001, 70_003, 70_004] {
            sent.push((1, index, rewriter.rewrite(at(index, 5)).unwrap()));
        }
        rewriter.leave_out(70_005);
        sent.push((1, 70_006, rewriter.rewrite(at(70_006, 6)).unwrap()));
        rewriter.switch(now, 2, at(9, 50), 50);
        sent.push((2, 9, rewriter.rewrite(at(9, 50)).unwrap()));

        for (stream, index, out) in sent {
            let found = rewriter.sent(out.index as u16).unwrap();
            assert_eq!((found.stream, found.index), (stream, index));
        }
        assert!(rewriter.sent(0x7ffe_u16.wrapping_add(10)).is_none(), "not sent yet");
        assert!(rewriter.sent(0x7ffd).is_none(), "before the first");
    }

    #[test]
    fn a_late_packet_keeps_its_place_beside_an_omitted_one() {
        let now = test_now();
        let mut rewriter = Rewriter::new(MediaKind::Video, 0, 0);
        rewriter.switch(now, 1, at(5, 0), 0);
        let mut out = |index| rewriter.rewrite(at(index, 0)).map(|out| out.index);
        assert_eq!((out(5), out(7)), (Some(0), Some(2)));
        rewriter.leave_out(8);
        let mut out = |index| rewriter.rewrite(at(index, 0)).map(|out| out.index);
        assert_eq!((out(9), out(6)), (Some(3), Some(1)));
    }

    proptest! {
        /// With any loss, reordering, omission and switching, no index is sent twice, and the highest one grows.
        #[test]
        fn no_index_is_sent_twice(
            steps in proptest::collection::vec((0u8..20, 0u64..8), 1..300)
        ) {
            let now = test_now();
            let mut rewriter = Rewriter::new(MediaKind::Audio, 0x7fff, 0);
            let (mut stream, mut next) = (0, 1000u64);
            let mut seen = std::collections::HashSet::new();
            let mut came = std::collections::HashSet::new();
            for (what, step) in steps {
                if what == 0 || stream == 0 {
                    stream += 1;
                    next += step * 100_000;
                    rewriter.switch(now, stream, at(next, 0), 0);
                    came.clear();
                }
                // Mostly forward, sometimes back by a few.
                let index = if what < 4 { next - step.min(next) } else { next + step };
                next = next.max(index + 1);
                if !came.insert(index) {
                    continue;
                }
                if what % 5 == 4 {
                    rewriter.leave_out(index);
                } else if let Some(out) = rewriter.rewrite(at(index, 0)) {
                    prop_assert!(seen.insert(out.index), "{} twice", out.index);
                }
            }
        }
    }
}
