//! A histogram of durations in bounded memory.

/// Counts of durations in microseconds, in buckets whose width is at most 1/32 of their value.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Grows up to the largest bucket in use, at most [`BUCKETS`].
    buckets: Vec<u64>,
    count: u64,
    max_us: u64,
}

/// Values below this have a bucket each.
const EXACT: u64 = 64;
/// Covers up to 2³⁶ µs, about 19 hours; longer values are counted in the last bucket.
const BUCKETS: usize = 64 + 30 * 32;

impl Histogram {
    /// Adds one value.
    pub fn record(&mut self, us: u64) {
        let bucket = bucket_of(us);
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
        self.max_us = self.max_us.max(us);
    }

    /// Adds all values of another histogram.
    pub fn add(&mut self, other: &Histogram) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (mine, others) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += others;
        }
        self.count += other.count;
        self.max_us = self.max_us.max(other.max_us);
    }

    /// The upper bound of the bucket that contains the given percentile, in microseconds; 0 when there are no values.
    pub fn percentile_us(&self, percent: f64) -> u64 {
        let wanted = (self.count as f64 * percent / 100.0).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return bound_of(bucket).min(self.max_us);
            }
        }
        self.max_us
    }

    /// The largest value, in microseconds.
    pub fn max_us(&self) -> u64 {
        self.max_us
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.count
    }
}

fn bucket_of(us: u64) -> usize {
    if us < EXACT {
        return us as usize;
    }
    let exponent = us.ilog2();
    let fraction = (us >> (exponent - 5)) & 31;
    (64 + (exponent as usize - 6) * 32 + fraction as usize).min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn bound_of(bucket: usize) -> u64 {
    if bucket < 64 {
        return bucket as u64;
    }
    let exponent = (bucket - 64) / 32 + 6;
    let fraction = ((bucket - 64) % 32) as u64;
    ((32 + fraction + 1) << (exponent - 5)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_bucket() {
        let mut histogram = Histogram::default();
        for us in 1..=100_000 {
            histogram.record(us);
        }

        for percent in [1.0, 50.0, 99.0, 100.0] {
            let exact = percent * 1000.0;
            let error = histogram.percentile_us(percent) as f64 / exact;
            assert!((1.0..1.04).contains(&error), "{percent}: {error}");
        }
        assert_eq!(histogram.max_us(), 100_000);
    }

    #[test]
    fn every_value_is_in_its_bucket() {
        for us in (0..70).chain([127, 128, 1000, 65_535, 65_536, 1 << 34]) {
            let bucket = bucket_of(us);
            assert!(us <= bound_of(bucket), "{us}");
            assert!(bucket == 0 || us > bound_of(bucket - 1), "{us}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn sums_are_as_if_recorded_together() {
        let (mut a, mut b) = (Histogram::default(), Histogram::default());
        a.record(10);
        b.record(1000);
        b.record(1001);

        a.add(&b);

        assert_eq!((a.count(), a.max_us(), a.percentile_us(33.0)), (3, 1001, 10));
    }

    #[test]
    fn nothing_is_zero() {
        assert_eq!(Histogram::default().percentile_us(99.0), 0);
    }
}
