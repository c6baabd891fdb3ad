//! What receivers say of lost packets.

use std::time::{Duration, Instant};

/// Losses are counted over so long.
const STRETCH: Duration = Duration::from_millis(900);

/// What a receiver says of one stream, over stretches that are long enough to mean something: browsers report with every
/// NACK, too, and then of a few packets.
#[derive(Debug, Default)]
pub(crate) struct Loss {
    /// When a report was looked at last, with the highest sequence number and the number of lost packets in it.
    last: Option<(Instant, u32, i32)>,
}

impl Loss {
    /// How many of 256 packets were lost, when there is something to be said.
    pub(crate) fn reported(&mut self, now: Instant, (highest, lost): (u32, i32)) -> Option<u8> {
        let (at, earlier, known) = *self.last.get_or_insert((now, highest, lost));
        let expected = highest.wrapping_sub(earlier);
        if now.saturating_duration_since(at) < STRETCH || expected == 0 {
            return None;
        }
        self.last = Some((now, highest, lost));
        let lost = u64::try_from(lost.wrapping_sub(known)).unwrap_or_default();
        Some((lost * 256 / u64::from(expected)).min(255) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_now;

    #[test]
    fn loss_is_counted_over_stretches() {
        let now = test_now();
        let mut loss = Loss::default();
        let at = |ms| now + Duration::from_millis(ms);
        assert_eq!(loss.reported(at(0), (u32::MAX - 9, 5)), None);
        assert_eq!(loss.reported(at(100), (u32::MAX, 10)), None);
        assert_eq!(loss.reported(at(1000), (90, 30)), Some(64));
        assert_eq!(loss.reported(at(2000), (90, 30)), None, "nothing was sent");
        assert_eq!(loss.reported(at(2500), (100, 20)), Some(0), "duplicates");
        assert_eq!(loss.reported(at(9000), (101, 0x7f_ffff)), Some(255), "nonsense");
    }
}
