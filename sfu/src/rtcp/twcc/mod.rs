//! TWCC, transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01): when each
//! packet arrived. The server sends it to publishers, whose bandwidth estimation needs it, and receives it from
//! receivers.

mod read;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub(crate) use read::Feedback;

/// Packets waiting to be reported: as many as arrive in a report interval of 50 ms at 100 Mbit/s. Beyond, the oldest
/// are dropped.
const MAX_ARRIVALS: usize = 512;
/// Statuses in one feedback packet. With two bytes of delta each, the packet stays below any MTU.
const MAX_STATUSES: usize = 350;
/// The unit of the reference time: 64 ms (§3.1).
const REFERENCE_MS: u128 = 64;
/// The unit of a delta: 250 µs (§3.1.5).
const TICK: Duration = Duration::from_micros(250);

/// The packets that arrived from one publisher since the last feedback.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    /// Unwrapped sequence numbers and times, ordered by number.
    packets: VecDeque<(i64, Instant)>,
    highest: Option<i64>,
    /// All numbers below this have been reported.
    reported: i64,
    feedback_count: u8,
}

impl Arrivals {
    /// Records the arrival of a packet with its transport-wide sequence number.
    pub(crate) fn packet(&mut self, now: Instant, sequence: u16) {
        let highest = self.highest.unwrap_or(i64::from(sequence));
        let unwrapped = highest + i64::from(sequence.wrapping_sub(highest as u16) as i16);
        if self.highest.is_none() {
            self.reported = unwrapped;
            self.packets.reserve_exact(MAX_ARRIVALS);
        }
        self.highest = Some(highest.max(unwrapped));
        if unwrapped < self.reported {
            return;
        }
        let place = self.packets.partition_point(|(known, _)| *known < unwrapped);
        if self.packets.get(place).is_some_and(|(known, _)| *known == unwrapped) {
            return;
        }
        let place = if self.packets.len() == MAX_ARRIVALS {
            self.packets.pop_front();
            place.saturating_sub(1)
        } else {
            place
        };
        self.packets.insert(place, (unwrapped, now));
    }

    /// Appends the payload of a feedback packet (the part behind the RTCP header and the two SSRCs) to `out`. `false`
    /// if there is nothing to report.
    pub(crate) fn write(&mut self, started: Instant, out: &mut Vec<u8>) -> bool {
        let Some(&(first, first_at)) = self.packets.front() else {
            return false;
        };
        // After a long outage, the missing packets are not all listed.
        let base = self.reported.max(first - MAX_STATUSES as i64 / 2).min(first);
        let reference = first_at.saturating_duration_since(started).as_millis() / REFERENCE_MS;
        let mut previous = started + Duration::from_millis((reference * REFERENCE_MS) as u64);
        let mut statuses = Vec::new();
        let mut deltas = Vec::new();
        let mut next = base;
        while let Some(&(number, at)) = self.packets.front() {
            let gap = (number - next) as usize;
            if statuses.len() + gap >= MAX_STATUSES {
                break;
            }
            let Some((status, ticks)) = delta(previous, at) else {
                break;
            };
            statuses.extend(std::iter::repeat_n(NOT_RECEIVED, gap));
            statuses.push(status);
            if status == SMALL {
                deltas.push(ticks as u8);
            } else {
                deltas.extend(ticks.to_be_bytes());
            }
            // The rounding error goes into the next delta.
            previous = advance(previous, ticks);
            next = number + 1;
            self.packets.pop_front();
        }
        if statuses.is_empty() {
            // If even the first packet can't be reported, the clock has jumped by more than 8 s.
            self.packets.clear();
            return false;
        }
        self.reported = next;
        out.extend((base as u16).to_be_bytes());
        out.extend((statuses.len() as u16).to_be_bytes());
        out.extend(&(reference as u32).to_be_bytes()[1..]);
        out.push(self.feedback_count);
        self.feedback_count = self.feedback_count.wrapping_add(1);
        statuses.chunks(7).for_each(|chunk| out.extend(status_vector(chunk)));
        out.extend(deltas);
        while !out.len().is_multiple_of(4) {
            out.push(0);
        }
        true
    }
}

const NOT_RECEIVED: u16 = 0;
const SMALL: u16 = 1;
const LARGE: u16 = 2;

/// §3.1.5: ticks since the previous packet; `None` if they don't fit into the large form.
fn delta(previous: Instant, at: Instant) -> Option<(u16, i16)> {
    let ticks = |duration: Duration| i64::try_from(duration.as_micros() / TICK.as_micros()).ok();
    let ticks = match at.checked_duration_since(previous) {
        Some(later) => ticks(later)?,
        None => -ticks(previous.saturating_duration_since(at))?,
    };
    let status = if (0..256).contains(&ticks) { SMALL } else { LARGE };
    Some((status, i16::try_from(ticks).ok()?))
}

fn advance(from: Instant, ticks: i16) -> Instant {
    let by = TICK * u32::from(ticks.unsigned_abs());
    if ticks < 0 { from.checked_sub(by).unwrap_or(from) } else { from + by }
}

/// §3.1.4: seven statuses of two bits.
fn status_vector(statuses: &[u16]) -> [u8; 2] {
    let symbols = statuses.iter().enumerate();
    let bits = symbols.fold(0b11 << 14, |bits, (at, status)| bits | status << (12 - 2 * at));
    u16::to_be_bytes(bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_now;

    /// The number of each received packet, and its arrival in ticks since the start.
    fn read(payload: &[u8]) -> Vec<(u16, i64)> {
        let feedback = Feedback::parse(payload).unwrap();
        let reference = i64::from(feedback.reference) * 256;
        let came = feedback.statuses().filter_map(|(number, at)| Some((number, at?)));
        came.map(|(number, at)| (number, reference + at / 250)).collect()
    }

    #[test]
    fn arrivals_are_reported_to_a_quarter_of_a_millisecond() {
        let started = test_now();
        let mut arrivals = Arrivals::default();
        let at = |ms: u64| started + Duration::from_millis(1000 + ms);
        for (number, ms) in [(65_534, 0), (65_535, 1), (1, 90), (0, 80), (3, 81)] {
            arrivals.packet(at(ms), number);
        }
        let mut payload = Vec::new();
        assert!(arrivals.write(started, &mut payload));
        let expected = [(65_534, 4000), (65_535, 4004), (0, 4320), (1, 4360), (3, 4324)];
        assert_eq!(read(&payload), expected);
        assert!(payload.len().is_multiple_of(4));
        assert!(!arrivals.write(started, &mut Vec::new()), "once is enough");
    }

    #[test]
    fn feedback_continues_where_the_last_one_ended() {
        let started = test_now();
        let mut arrivals = Arrivals::default();
        arrivals.packet(started, 10);
        arrivals.write(started, &mut Vec::new());
        arrivals.packet(started, 13);
        arrivals.packet(started, 9);
        let mut payload = Vec::new();
        arrivals.write(started, &mut payload);
        assert_eq!(payload[..4], [0, 11, 0, 3], "11 and 12 are told as lost; 9 is past");
        assert_eq!(payload[7], 1, "the second feedback");
        assert_eq!(read(&payload), [(13, 0)]);
    }

    #[test]
    fn many_packets_are_reported_in_several_parts() {
        let started = test_now();
        let mut arrivals = Arrivals::default();
        for number in 0..500 {
            arrivals.packet(started + Duration::from_millis(number), number as u16);
        }
        let mut told = Vec::new();
        let mut payload = Vec::new();
        while arrivals.write(started, &mut payload) {
            assert!(payload.len() < 1000);
            told.extend(read(&payload));
            payload.clear();
        }
        assert_eq!(told.len(), 500);
        assert!(
            told.iter()
                .enumerate()
                .all(|(n, &(number, at))| { usize::from(number) == n && at == 4 * n as i64 })
        );
    }
}
