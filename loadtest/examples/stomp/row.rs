//! The result of one scenario.

use std::fmt;

use serde::Serialize;

/// The result of a scenario.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Row {
    Delivered(Delivered),
    Idle(Idle),
}

/// The result of a scenario with deliveries.
#[derive(Debug, Serialize)]
pub(crate) struct Delivered {
    pub(crate) scenario: &'static str,
    pub(crate) delivered: u64,
    pub(crate) per_second: u64,
    /// The server's user and system time per delivery, in microseconds.
    pub(crate) cpu_us_per_delivery: f64,
    /// Deliveries that came after a later one of the same publisher.
    pub(crate) disordered: u64,
    pub(crate) lost: u64,
    /// Subscribers whose connection was closed.
    pub(crate) closed: u64,
    /// Latency in milliseconds: median, 99th percentile, maximum.
    pub(crate) latency_ms: [f64; 3],
    pub(crate) resident_kib: u64,
    pub(crate) grown_kib: i64,
}

/// The result of the idle scenario.
#[derive(Debug, Serialize)]
pub(crate) struct Idle {
    pub(crate) connections: u32,
    pub(crate) kib_per_connection: f64,
    pub(crate) resident_kib: u64,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Row::Delivered(row) => {
                let [p50, p99, max] = row.latency_ms;
                write!(
                    f,
                    "{:13} {:>10} {:>9} {:>7.2} {:>9} {:>6} {:>6}   {:21} {:>9} {:>9}",
                    row.scenario,
                    row.delivered,
                    row.per_second,
                    row.cpu_us_per_delivery,
                    row.disordered,
                    row.lost,
                    row.closed,
                    format!("{p50:.2}/{p99:.2}/{max:.2}"),
                    row.resident_kib,
                    row.grown_kib,
                )
            }
            Row::Idle(Idle { connections, kib_per_connection, resident_kib }) => write!(
                f,
                "idle          {connections} connections, {kib_per_connection:.1} KiB each; {resident_kib} KiB in all"
            ),
        }
    }
}
