//! Reads TWCC feedback from receivers: which packets arrived, and when.

use std::time::Duration;

use super::{LARGE, NOT_RECEIVED, SMALL, TICK};

/// Statuses read from one feedback packet; a receiver with more to report was cut off for long. Feedback with more is
/// rejected, because a few bytes could name 65,535 packets.
const MAX_STATUSES: u16 = 4096;
/// The number of one-bit symbols in a status vector chunk; of two-bit symbols there are half as many.
const ONE_BIT_SYMBOLS: u16 = 14;
const TWO_BIT_SYMBOLS: u16 = 7;

/// One feedback packet, behind the RTCP header and the two SSRCs (§3.1).
#[derive(Clone, Debug)]
pub(crate) struct Feedback<'a> {
    /// In units of 64 ms, on the receiver's clock; 24 bits.
    pub(crate) reference: u32,
    first: u16,
    count: u16,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> Feedback<'a> {
    /// Reads the fields in front of the statuses. `None` if they are malformed, or name too many packets.
    pub(crate) fn parse(payload: &'a [u8]) -> Option<Feedback<'a>> {
        let (head, rest) = payload.split_first_chunk::<8>()?;
        let [b0, b1, c0, c1, r0, r1, r2, _count_of_feedback] = *head;
        let count = u16::from_be_bytes([c0, c1]);
        if count > MAX_STATUSES {
            return None;
        }
        let mut told = 0;
        let chunks = rest.chunks_exact(2).take_while(|chunk| {
            let is_needed = told < count;
            told = told.saturating_add(Chunk::read(chunk).left);
            is_needed
        });
        let (chunks, deltas) = rest.split_at(2 * chunks.count());
        (told >= count).then_some(Feedback {
            reference: u32::from_be_bytes([0, r0, r1, r2]),
            first: u16::from_be_bytes([b0, b1]),
            count,
            chunks,
            deltas,
        })
    }

    /// The transport-wide sequence numbers in order, and when each packet arrived, in microseconds since the reference
    /// time; `None` for a packet that did not arrive. Ends early if a delta is missing.
    pub(crate) fn statuses(&self) -> impl Iterator<Item = (u16, Option<i64>)> + use<'a> {
        let Feedback { first, count, mut deltas, .. } = *self;
        let mut at = 0;
        let symbols = self.chunks.chunks_exact(2).flat_map(Chunk::read);
        (0..count).zip(symbols).map_while(move |(n, symbol)| {
            let number = first.wrapping_add(n);
            let ticks = match symbol {
                NOT_RECEIVED => return Some((number, None)),
                SMALL => i64::from(*deltas.split_off_first()?),
                LARGE => {
                    let (delta, rest) = deltas.split_first_chunk()?;
                    deltas = rest;
                    i64::from(i16::from_be_bytes(*delta))
                }
                _reserved => return None,
            };
            at += ticks * TICK_US;
            Some((number, Some(at)))
        })
    }
}

const TICK_US: i64 = Duration::as_micros(&TICK) as i64;

/// Iterates over the statuses of a chunk (§3.1.3 and §3.1.4).
#[derive(Clone, Copy)]
struct Chunk {
    bits: u16,
    /// Statuses left to return.
    left: u16,
}

impl Chunk {
    fn read(bytes: &[u8]) -> Chunk {
        let bits = bytes.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes));
        let left = match bits >> 14 {
            0b11 => TWO_BIT_SYMBOLS,
            0b10 => ONE_BIT_SYMBOLS,
            _ => bits & 0x1fff,
        };
        Chunk { bits, left }
    }
}

impl Iterator for Chunk {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        self.left = self.left.checked_sub(1)?;
        Some(match self.bits >> 14 {
            0b11 => self.bits >> (2 * self.left) & 3,
            0b10 => self.bits >> self.left & 1,
            _ => self.bits >> 13 & 3,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(payload: &[u8]) -> Option<Vec<(u16, Option<i64>)>> {
        Some(Feedback::parse(payload)?.statuses().collect())
    }

    #[test]
    fn all_kinds_of_chunks_are_read() {
        let payload = [
            [0xff, 0xfe, 0, 26], // from 65,534 on
            [0, 0, 2, 9],
            [0x20, 3, 0x00, 2],           // three small deltas, two not received
            [0b1010_0000, 1, 0xd8, 0x00], // 14 of one bit: the first and the last arrived; 7 of two bits: small, large
            [4, 0, 8, 40],
            [40, 1, 0xff, 0xfc],
        ]
        .concat();

        let feedback = Feedback::parse(&payload).unwrap();
        assert_eq!(feedback.reference, 2);
        let statuses: Vec<_> = feedback.statuses().collect();
        assert_eq!(statuses.len(), 26);
        let came: Vec<_> =
            statuses.iter().filter_map(|(number, at)| at.map(|at| (*number, at))).collect();
        let expected = [
            (65_534, 1000),
            (65_535, 1000),
            (0, 3000),
            (3, 13_000),
            (16, 23_000),
            (17, 23_250),
            (18, 22_250),
        ];
        assert_eq!(came, expected);
    }

    #[test]
    fn truncated_feedback_is_read_as_far_as_it_goes() {
        assert_eq!(read(&[0; 7]), None);
        assert_eq!(read(&[0, 1, 0, 3, 0, 0, 0, 0, 0x20, 2]), None, "three statuses, two told");
        let missing_delta = [0, 1, 0, 3, 0, 0, 0, 0, 0x20, 3, 4];
        assert_eq!(read(&missing_delta), Some(vec![(1, Some(1000))]));
        let reserved = [0, 1, 0, 3, 0, 0, 0, 0, 0x60, 3, 4, 4, 4];
        assert_eq!(read(&reserved), Some(vec![]));
        let huge = [0, 1, 0xff, 0xff, 0, 0, 0, 0, 0x1f, 0xff, 0x1f, 0xff];
        assert_eq!(read(&huge), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_say_more_than_it_may(
            payload in proptest::collection::vec(any::<u8>(), 0..100)
        ) {
            let told = read(&payload).map_or(0, |told| told.len());
            prop_assert!(told <= usize::from(MAX_STATUSES));
        }
    }
}
