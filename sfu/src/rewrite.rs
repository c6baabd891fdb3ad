//! Makes one continuous stream of what a slot carries, whatever source it comes from.
//!
//! ```text
//!   source A   … 17 18 19 |                 out   … 5 6 7 8 9 …
//!   source B              | 901 902 …             A A A B B
//! ```
//!
//! Within one source the distance between packets is kept, so that loss and reordering before the server look the
//! same behind it. At a switch the stream goes on right behind the highest packet sent. What was sent is remembered by
//! segments, so that a packet can be found again when a receiver asks for it.

use std::collections::VecDeque;
use std::time::Instant;

use crate::track::ticks;

/// Sequence numbers, timestamps and VP8 counters of an outgoing stream.
#[derive(Debug)]
pub(crate) struct Rewriter {
    clock_rate: u32,
    /// Where the stream would go on: the extended sequence number behind the highest one sent.
    next_index: u64,
    last_timestamp: u32,
    last_sent_at: Option<Instant>,
    last_picture_id: u16,
    last_tl0_pic_idx: u8,
    /// The last one is in use, unless `is_stopped`.
    segments: VecDeque<Segment>,
    is_stopped: bool,
}

/// Segments remembered. Each is a switch or a packet left out; what is further back is too old to be asked for.
const MAX_SEGMENTS: usize = 8;

/// A stretch of one stream whose numbers become the slot's by the same offsets; all of them wrap.
#[derive(Clone, Copy, Debug)]
struct Segment {
    stream: u64,
    first_index: u64,
    highest_index: u64,
    index: u64,
    timestamp: u32,
    picture_id: u16,
    tl0_pic_idx: u8,
}

impl Segment {
    fn apply(&self, position: Position) -> Position {
        Position {
            index: position.index.wrapping_add(self.index),
            timestamp: position.timestamp.wrapping_add(self.timestamp),
            picture_id: position.picture_id.wrapping_add(self.picture_id),
            tl0_pic_idx: position.tl0_pic_idx.wrapping_add(self.tl0_pic_idx),
        }
    }
}

/// A packet that was sent, as it came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// The incoming stream.
    pub(crate) stream: u64,
    /// Its extended sequence number there.
    pub(crate) index: u64,
    segment: Segment,
}

impl Sent {
    /// Where it went out.
    pub(crate) fn position(&self, incoming: Position) -> Position {
        self.segment.apply(incoming)
    }
}

/// The counters of a packet, as they came in or as they go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The extended sequence number: rollover counter and sequence number, 48 bits.
    pub(crate) index: u64,
    pub(crate) timestamp: u32,
    /// VP8's PictureID and TL0PICIDX (RFC 7741 §4.2); 0 where there are none.
    pub(crate) picture_id: u16,
    pub(crate) tl0_pic_idx: u8,
}

impl Rewriter {
    /// Starts at a random place (RFC 3550 §5.1); the sequence number in the lower half, so that early reordering
    /// can't make a receiver guess a wrong rollover counter (RFC 3711 §3.3.1).
    pub(crate) fn new(clock_rate: u32, sequence_number: u16, timestamp: u32) -> Rewriter {
        Rewriter {
            clock_rate,
            next_index: u64::from(sequence_number & 0x7fff),
            last_timestamp: timestamp,
            last_sent_at: None,
            last_picture_id: 0,
            last_tl0_pic_idx: 0,
            segments: VecDeque::with_capacity(MAX_SEGMENTS),
            is_stopped: true,
        }
    }

    /// Whether packets of this incoming stream can follow what was sent; otherwise a switch is needed first.
    pub(crate) fn follows(&self, stream: u64) -> bool {
        !self.is_stopped && self.segments.back().is_some_and(|segment| segment.stream == stream)
    }

    /// Goes on with another stream, whose first packet is at `first`.
    pub(crate) fn switch(&mut self, now: Instant, stream: u64, first: Position) {
        let timestamp = match self.last_sent_at {
            None => self.last_timestamp,
            Some(at) => {
                let gap = ticks(now.saturating_duration_since(at), self.clock_rate) as u32;
                // At least a millisecond, so that two frames never share a timestamp.
                self.last_timestamp.wrapping_add(gap.max(self.clock_rate / 1000))
            }
        };
        self.is_stopped = false;
        self.begin(Segment {
            stream,
            first_index: first.index,
            highest_index: first.index.saturating_sub(1),
            index: self.next_index.wrapping_sub(first.index),
            timestamp: timestamp.wrapping_sub(first.timestamp),
            picture_id: self.last_picture_id.wrapping_add(1).wrapping_sub(first.picture_id),
            tl0_pic_idx: self.last_tl0_pic_idx.wrapping_add(1).wrapping_sub(first.tl0_pic_idx),
        });
    }

    fn begin(&mut self, segment: Segment) {
        if self.segments.len() == MAX_SEGMENTS {
            self.segments.pop_front();
        }
        self.segments.push_back(segment);
    }

    /// Where a packet of the stream that is followed goes out. `None`: it is older than the switch to its stream, and
    /// must not be sent.
    pub(crate) fn rewrite(&mut self, now: Instant, position: Position) -> Option<Position> {
        let stream = self.segments.back()?.stream;
        let mut segments = self.segments.iter_mut().rev();
        let segment = segments.find(|segment| position.index >= segment.first_index)?;
        if segment.stream != stream {
            return None;
        }
        segment.highest_index = segment.highest_index.max(position.index);
        let out = segment.apply(position);
        if out.index >= self.next_index {
            self.next_index = out.index + 1;
            self.last_timestamp = out.timestamp;
            self.last_sent_at = Some(now);
            self.last_picture_id = out.picture_id;
            self.last_tl0_pic_idx = out.tl0_pic_idx;
        }
        Some(out)
    }

    /// Leaves a packet out without a gap in what is sent, when it is the next in order; one that comes late leaves
    /// its gap, since its neighbours are gone already.
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

    /// What was sent under a sequence number, if that isn't too long ago.
    pub(crate) fn sent(&self, sequence_number: u16) -> Option<Sent> {
        let behind = (self.next_index as u16).wrapping_sub(sequence_number);
        let index = self.next_index.checked_sub(u64::from(behind)).filter(|_| behind > 0)?;
        let first = |segment: &Segment| segment.first_index.wrapping_add(segment.index);
        let segment = *self.segments.iter().rev().find(|segment| index >= first(segment))?;
        Some(Sent { stream: segment.stream, index: index.wrapping_sub(segment.index), segment })
    }

    /// Forgets the source; what comes next needs a switch.
    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// The RTP timestamp of this moment: what a sender report pairs with the wall clock. `None` before the first packet.
    pub(crate) fn timestamp_at(&self, now: Instant) -> Option<u32> {
        let since = now.saturating_duration_since(self.last_sent_at?);
        Some(self.last_timestamp.wrapping_add(ticks(since, self.clock_rate) as u32))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test needs some first instant")]
    fn start() -> Instant {
        Instant::now()
    }

    fn at(index: u64, timestamp: u32) -> Position {
        Position { index, timestamp, picture_id: index as u16, tl0_pic_idx: index as u8 }
    }

    #[test]
    fn a_switch_goes_on_right_behind_the_highest_packet() {
        let now = start();
        let mut rewriter = Rewriter::new(90_000, 10, 1000);
        rewriter.switch(now, 1, at(70_000, 5));
        let out: Vec<_> =
            [70_000, 70_002, 70_001].map(|n| rewriter.rewrite(now, at(n, 5)).unwrap().index).into();
        assert_eq!(out, [10, 12, 11]);

        let later = now + Duration::from_secs(1);
        rewriter.switch(later, 2, at(3, 77));
        let first = rewriter.rewrite(later, at(3, 77)).unwrap();
        assert_eq!(first.index, 13);
        assert_eq!(first.timestamp, 1000 + 90_000);
        assert_eq!(rewriter.rewrite(later, at(2, 70)), None);
    }

    #[test]
    fn vp8_counters_go_on_at_a_switch() {
        let now = start();
        let mut rewriter = Rewriter::new(90_000, 0, 0);
        rewriter.switch(now, 1, at(100, 0));
        let a = rewriter.rewrite(now, at(100, 0)).unwrap();
        rewriter.switch(now, 2, at(40_000, 0));
        let b = rewriter.rewrite(now, at(40_000, 0)).unwrap();
        assert_eq!(b.picture_id, a.picture_id + 1);
        assert_eq!(b.tl0_pic_idx, a.tl0_pic_idx + 1);
    }

    #[test]
    fn a_left_out_packet_leaves_no_gap() {
        let now = start();
        let mut rewriter = Rewriter::new(90_000, 0, 0);
        rewriter.switch(now, 1, at(5, 0));
        assert_eq!(rewriter.rewrite(now, at(5, 0)).unwrap().index, 0);
        rewriter.leave_out(6);
        assert_eq!(rewriter.rewrite(now, at(7, 0)).unwrap().index, 1);
        rewriter.leave_out(9);
        assert_eq!(rewriter.rewrite(now, at(10, 0)).unwrap().index, 4);
    }

    #[test]
    fn what_was_sent_is_found_again_across_switches_and_gaps() {
        let now = start();
        let mut rewriter = Rewriter::new(90_000, 0x7ffe, 0);
        rewriter.switch(now, 1, at(70_000, 5));
        let mut sent = Vec::new();
        for index in [70_000, 70_001, 70_003, 70_004] {
            sent.push((1, index, rewriter.rewrite(now, at(index, 5)).unwrap()));
        }
        rewriter.leave_out(70_005);
        sent.push((1, 70_006, rewriter.rewrite(now, at(70_006, 6)).unwrap()));
        rewriter.switch(now, 2, at(9, 50));
        sent.push((2, 9, rewriter.rewrite(now, at(9, 50)).unwrap()));

        for (stream, index, out) in sent {
            let found = rewriter.sent(out.index as u16).unwrap();
            assert_eq!((found.stream, found.index), (stream, index));
        }
        assert!(rewriter.sent(0x7ffe_u16.wrapping_add(10)).is_none(), "not sent yet");
        assert!(rewriter.sent(0x7ffd).is_none(), "before the first");
    }

    #[test]
    fn a_late_packet_keeps_its_place_beside_one_left_out() {
        let now = start();
        let mut rewriter = Rewriter::new(90_000, 0, 0);
        rewriter.switch(now, 1, at(5, 0));
        let mut out = |index| rewriter.rewrite(now, at(index, 0)).map(|out| out.index);
        assert_eq!((out(5), out(7)), (Some(0), Some(2)));
        rewriter.leave_out(8);
        let mut out = |index| rewriter.rewrite(now, at(index, 0)).map(|out| out.index);
        assert_eq!((out(9), out(6)), (Some(3), Some(1)));
    }

    proptest! {
        /// However packets are lost, reordered, left out and switched: no index goes out twice, and the highest grows.
        #[test]
        fn no_index_is_sent_twice(
            steps in proptest::collection::vec((0u8..20, 0u64..8), 1..300)
        ) {
            let now = start();
            let mut rewriter = Rewriter::new(48_000, 0x7fff, 0);
            let (mut stream, mut next) = (0, 1000u64);
            let mut seen = std::collections::HashSet::new();
            let mut came = std::collections::HashSet::new();
            for (what, step) in steps {
                if what == 0 || stream == 0 {
                    stream += 1;
                    next += step * 100_000;
                    rewriter.switch(now, stream, at(next, 0));
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
                } else if let Some(out) = rewriter.rewrite(now, at(index, 0)) {
                    prop_assert!(seen.insert(out.index), "{} twice", out.index);
                }
            }
        }
    }
}
