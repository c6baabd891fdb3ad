//! The report, as text and as JSON.

use std::fmt;

use loadtest::light::process::Machine;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// The kind of database.
    pub(crate) store: String,
    pub(crate) syncs_per_second: f64,
    pub(crate) rows: Vec<Row>,
    pub(crate) backlog: Backlog,
}

/// The result for one number of senders.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) senders: usize,
    pub(crate) acknowledged: u64,
    /// Messages acknowledged, but not received by those who follow the chat.
    pub(crate) missing: i64,
    pub(crate) per_second: f64,
    /// The server's user and system time per message, in microseconds. A database in another process is not included.
    pub(crate) cpu_us_each: Option<f64>,
    /// From SEND to RECEIPT, in milliseconds: median, 99th percentile.
    pub(crate) latency_ms: [f64; 2],
}

/// The replay to a participant that joins late.
#[derive(Debug, Serialize)]
pub(crate) struct Backlog {
    pub(crate) messages: u32,
    pub(crate) first_ms: f64,
    pub(crate) all_ms: f64,
    pub(crate) cpu_us_each: Option<f64>,
}

impl Report {
    /// Whether all acknowledged messages were received.
    pub(crate) fn is_whole(&self) -> bool {
        self.rows.iter().all(|row| row.missing == 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cores, kernel } = &self.machine;
        writeln!(f, "{}; {cores} × {cpu}, Linux {kernel}", self.store)?;
        writeln!(
            f,
            "small synced writes, one at a time: {:.0} per second\n",
            self.syncs_per_second
        )?;
        writeln!(
            f,
            "{:>7} {:>12} {:>8} {:>8} {:>8} {:>15} {:>8}",
            "senders", "acknowledged", "a second", "to one", "CPU µs", "ms p50/p99", "missing"
        )?;
        let one = self.rows.first().map_or(0.0, |row| row.per_second);
        for row in &self.rows {
            let [p50, p99] = row.latency_ms;
            writeln!(
                f,
                "{:>7} {:>12} {:>8.0} {:>7.1}× {:>8} {:>15} {:>8}",
                row.senders,
                row.acknowledged,
                row.per_second,
                row.per_second / one,
                or_unknown(row.cpu_us_each),
                format!("{p50:.2}/{p99:.2}"),
                row.missing,
            )?;
        }
        let Backlog { messages, first_ms, all_ms, cpu_us_each } = &self.backlog;
        let cpu = or_unknown(*cpu_us_each);
        writeln!(
            f,
            "\nbacklog of {messages} messages, in order: the first after {first_ms:.1} ms, all after {all_ms:.0} ms, {cpu} µs of CPU each"
        )
    }
}

fn or_unknown(value: Option<f64>) -> String {
    value.map_or_else(|| "?".to_owned(), |value| format!("{value:.1}"))
}
