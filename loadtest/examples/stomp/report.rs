//! The report, as text and as JSON.

use std::fmt;

use loadtest::bench::{Figure, Target};
use serde::Serialize;

use crate::row::Row;
use crate::stalled::{MEMORY_KIB, NONE_STALLED, SOME_STALLED};

/// The results of all scenarios.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) url: String,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// The figures with targets, of the scenarios that were run.
    fn figures(&self) -> Vec<Figure> {
        let mut figures: Vec<Figure> =
            self.rows.iter().flat_map(|row| self.figures_of(row)).collect();
        let bad = self.rows.iter().map(|row| match row {
            Row::Delivered(row) => row.lost + row.disordered + row.closed,
            Row::Idle(_) => 0,
        });
        let bad = Some(bad.sum::<u64>() as f64);
        figures.push(at_most("lost, out of order, closed", bad, 0.0));
        figures
    }

    fn figures_of(&self, row: &Row) -> Vec<Figure> {
        let row = match row {
            Row::Delivered(row) => row,
            Row::Idle(idle) => {
                let each = Some(idle.kib_per_connection);
                return vec![at_most("KiB per idle connection", each, 10.0)];
            }
        };
        let (cpu, p99) = (Some(row.cpu_us_per_delivery), row.latency_ms[1]);
        match row.scenario {
            "rooms" => vec![at_most("rooms, CPU µs a delivery", cpu, 3.5)],
            "broadcast" => vec![at_most("broadcast, CPU µs a delivery", cpu, 3.5)],
            "paced" => vec![
                at_most("paced, CPU µs a delivery", cpu, 14.0),
                at_most("paced, latency p99, ms", Some(p99), 5.0),
            ],
            SOME_STALLED => {
                let ratio = self.p99_of(NONE_STALLED).map(|without| p99 / without);
                let grown = Some(row.grown_kib as f64);
                vec![
                    at_most("10 stalled, p99 to that without", ratio, 2.0),
                    at_most("10 stalled, memory grown, KiB", grown, MEMORY_KIB),
                ]
            }
            _ => Vec::new(),
        }
    }

    fn p99_of(&self, scenario: &str) -> Option<f64> {
        self.rows.iter().find_map(|row| match row {
            Row::Delivered(row) if row.scenario == scenario => Some(row.latency_ms[1]),
            _ => None,
        })
    }

    /// Whether everything arrived, in order.
    pub(crate) fn is_clean(&self) -> bool {
        self.rows.iter().all(|row| match row {
            Row::Delivered(row) => row.lost == 0 && row.disordered == 0 && row.closed == 0,
            Row::Idle(_) => true,
        })
    }
}

fn at_most(name: &'static str, value: Option<f64>, most: f64) -> Figure {
    Figure { name, value, target: Target::AtMost(most) }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.url)?;
        writeln!(
            f,
            "{:13} {:>10} {:>9} {:>7} {:>9} {:>6} {:>6}   {:21} {:>9} {:>9}",
            "scenario",
            "delivered",
            "per s",
            "CPU µs",
            "disorder",
            "lost",
            "closed",
            "ms p50/p99/max",
            "RSS KiB",
            "grown"
        )?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        writeln!(f)?;
        self.figures().iter().try_for_each(|figure| writeln!(f, "{figure}"))
    }
}
