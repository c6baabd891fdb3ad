//! Fuzzing the numbers of outgoing packets.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::MediaKind;
use crate::outgoing::rewrite::Rewriter;
use crate::rtp::Counters;
use crate::rtp::Position;
use crate::test_now;

/// Steps of five bytes; audio if an odd number of bytes is left over. Whatever is received, no two packets are sent
/// under one number, a new packet's number is above all others, and a packet is found again by its number.
pub fn rewrite(bytes: &[u8]) {
    let (steps, rest) = bytes.as_chunks();
    let kind = if rest.len() % 2 == 0 { MediaKind::Video } else { MediaKind::Audio };
    let mut now = test_now();
    let mut rewriter = Rewriter::new(kind, 0x7fff, 0xffff_fff0);
    // The highest index and the last timestamp of each stream. They start close to where numbers wrap.
    let mut streams = [0u64, 1, 2, 3].map(|at| (0xfff0 + 0x1_0000 * at, 7u32));
    let mut sent: HashMap<u64, (u64, u64)> = HashMap::new();
    let mut came: HashSet<(u64, u64)> = HashSet::new();
    let mut highest = None;
    for step in steps {
        match Step::read(*step) {
            Step::Packet { stream, distance, timestamp } => {
                let name = u64::from(stream % 4);
                let (last, clock) = &mut streams[usize::from(stream % 4)];
                let index = last.saturating_add_signed(distance.into());
                // A repeated index is a replay, which SRTP would have refused.
                if !came.insert((name, index)) {
                    continue;
                }
                let is_next = index > *last;
                *last = index.max(*last);
                *clock = clock.wrapping_add_signed(timestamp);
                let position = at(index, *clock);
                let follows = rewriter.follows(name);
                if !follows {
                    rewriter.switch(now, name, position, *clock);
                } else if rewriter.is_jump(now, position) {
                    rewriter.jump(now, position, *clock);
                }
                let Some(out) = rewriter.rewrite(position) else {
                    assert!(follows && !is_next, "only what is late is left out");
                    continue;
                };
                if is_next || !follows {
                    assert!(highest.is_none_or(|highest| out.index > highest), "it goes on");
                }
                highest = highest.max(Some(out.index));
                let before = sent.insert(out.index, (name, index));
                assert_eq!(before, None, "a number is used once: {}", out.index);
                let found = rewriter.sent(out.index as u16);
                assert!(found.is_some_and(|found| (found.stream, found.index) == (name, index)));
                assert!(found.is_some_and(|found| found.position(position) == out));
            }
            Step::LeaveOut { stream } => {
                let name = u64::from(stream % 4);
                if rewriter.follows(name) {
                    let (last, _) = &mut streams[usize::from(stream % 4)];
                    *last += 1;
                    came.insert((name, *last));
                    rewriter.leave_out(*last);
                }
            }
            Step::Stop => rewriter.stop(),
            Step::Report { live } => {
                rewriter.reported(now, live);
            }
            Step::Request { behind } => {
                let number = highest.unwrap_or_default().wrapping_sub(behind.into());
                let found = rewriter.sent(number as u16);
                if let (Some(found), Some(sent)) = (found, sent.get(&number)) {
                    assert_eq!((found.stream, found.index), *sent);
                }
            }
            Step::Wait { ms } => now += Duration::from_millis(ms.into()),
        }
    }
}

/// An event in the stream of a slot.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A packet of one of four streams, at this distance from the highest index, and this much later than the last one.
    Packet { stream: u8, distance: i8, timestamp: i32 },
    /// A packet that is omitted, the next in the stream.
    LeaveOut { stream: u8 },
    /// The slot becomes empty for now.
    Stop,
    /// A sender report is due; `live` is the stream's timestamp, if known.
    Report { live: Option<u32> },
    /// A receiver requests a packet, this far behind the highest.
    Request { behind: u16 },
    /// Time passes.
    Wait { ms: u16 },
}

impl Step {
    /// Most steps are packets.
    fn read([what, stream, distance, high, low]: [u8; 5]) -> Step {
        let value = u16::from_be_bytes([high, low]);
        match what {
            0 => Step::LeaveOut { stream },
            1 => Step::Stop,
            2 => Step::Report { live: None },
            3 => Step::Report { live: Some(u32::from(value) << 12) },
            4 => Step::Request { behind: value },
            5 => Step::Wait { ms: value },
            _ => {
                // One in eight may be a jump.
                let timestamp = i32::from(value as i16) << if stream < 32 { 16 } else { 0 };
                Step::Packet { stream, distance: distance as i8, timestamp }
            }
        }
    }
}

fn at(index: u64, timestamp: u32) -> Position {
    let (picture_id, tl0_pic_idx) = (index as u16, index as u8);
    let counters = Counters { picture_id, tl0_pic_idx, frame_number: !picture_id };
    Position { index, timestamp, counters }
}
