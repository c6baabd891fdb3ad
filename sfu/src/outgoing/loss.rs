//! The packet loss that receivers report.

use std::time::{Duration, Instant};

/// The shortest time over which loss is counted.
const INTERVAL: Duration = Duration::from_millis(900);

/// The loss of one stream as its receiver reports it, over intervals long enough to be meaningful: browsers also send a
/// report with every NACK, and those cover only a few packets.
#[derive(Debug, Default)]
pub(crate) struct Loss {
    /// When the last report was evaluated, with its highest sequence number and its number of lost packets.
    last: Option<(Instant, u32, i32)>,
}

impl Loss {
    /// Takes a report, and returns the loss rate in 256ths if the interval is over.
    pub(crate) fn reported(&mut self, now: Instant, (highest, lost): (u32, i32)) -> Option<u8> {
        let (at, earlier, known) = *self.last.get_or_insert((now, highest, lost));
        let expected = highest.wrapping_sub(earlier);
        if now.saturating_duration_since(at) < INTERVAL || expected == 0 {
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
    fn loss_is_counted_over_long_intervals() {
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
