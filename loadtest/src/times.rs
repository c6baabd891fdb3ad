//! Percentiles of measured durations.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;

/// A distribution of times in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Times {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The maximum.
    pub max: f64,
}

impl Times {
    /// Computes the percentiles of durations in microseconds.
    pub(crate) fn of(us: impl IntoIterator<Item = u64>) -> Times {
        let mut histogram = Histogram::default();
        us.into_iter().for_each(|us| histogram.record(us));
        Times::from(&histogram)
    }
}

impl From<&Histogram> for Times {
    fn from(histogram: &Histogram) -> Times {
        let ms = |us: u64| us as f64 / 1000.0;
        Times {
            p50: ms(histogram.percentile_us(50.0)),
            p99: ms(histogram.percentile_us(99.0)),
            max: ms(histogram.max_us()),
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}/{:.1}/{:.1}", self.p50, self.p99, self.max)
    }
}
