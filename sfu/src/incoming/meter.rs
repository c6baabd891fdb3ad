//! Limits on what a publisher may send, as leaky buckets of bytes.

use std::time::Duration;

/// The bytes received lately. Each tick drains what the limit allows in that time, so a packet costs one comparison and
/// one addition. A second's worth fits, since key frames come in bursts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    bytes: u32,
}

/// A limit in bytes a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    bytes: u32,
    /// The setting.
    pub(crate) bits_per_second: u64,
}

impl Limit {
    /// A limit in bits a second; 0 becomes one that nobody reaches.
    pub(crate) fn of_bits(bits_per_second: u64) -> Limit {
        let bytes = match bits_per_second {
            0 => u32::MAX,
            limited => u32::try_from(limited / 8).unwrap_or(u32::MAX).max(1),
        };
        Limit { bytes, bits_per_second }
    }

    /// The bytes that it allows in this time.
    pub(crate) fn in_time(self, time: Duration) -> u32 {
        let bytes = u128::from(self.bytes) * time.as_micros() / 1_000_000;
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

impl Meter {
    /// Whether this many bytes more are within the limit.
    pub(crate) fn has_room(self, bytes: u32, limit: Limit) -> bool {
        self.bytes.saturating_add(bytes) <= limit.bytes
    }

    /// Takes bytes that are within the limit.
    pub(crate) fn add(&mut self, bytes: u32) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Lets the bytes drain that the limit allows in the time that has passed.
    pub(crate) fn drain(&mut self, bytes: u32) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(50);

    /// The bytes that pass in so many seconds of packets that come as fast as can be.
    fn passed(bits_per_second: u64, seconds: u32) -> u64 {
        let (limit, mut meter, mut passed) = (Limit::of_bits(bits_per_second), Meter::default(), 0);
        for _ in 0..seconds * 20 {
            for _ in 0..1000 {
                if meter.has_room(1200, limit) {
                    meter.add(1200);
                    passed += 1200;
                }
            }
            meter.drain(limit.in_time(TICK));
        }
        passed
    }

    #[test]
    fn the_rate_passes_after_a_burst_of_a_second() {
        let bytes = passed(8_000_000, 10);
        assert!((10_900_000..=11_000_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn zero_is_no_limit() {
        assert_eq!(passed(0, 10), 10 * 20 * 1000 * 1200);
    }
}
