//! `loadtest bench`: measures all performance figures and compares them with their targets.
//!
//! For each row it starts a fresh release server on one core and a generator (this program with `--light`) on another,
//! so that neither disturbs the other and the server's memory is that of the row alone.

mod floor;
mod rows;
pub mod server;

use std::fmt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tokio::process::Command;

use crate::light::process::Machine;
use crate::light::report::LightReport;
use crate::options::BenchOptions;
use rows::{ROWS, Row};
use server::TestServer;

/// The share of a core, in percent, that other programs may use before a row is marked as noisy.
const QUIET_PERCENT: f64 = 10.0;
/// How long the floor is measured.
const FLOOR_TIME: Duration = Duration::from_secs(4);

/// The results of all rows.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    machine: Machine,
    rows: Vec<Measured>,
}

/// The result of a row.
#[derive(Clone, Debug, Serialize)]
struct Measured {
    name: &'static str,
    arguments: &'static str,
    figures: Vec<Figure>,
    report: LightReport,
}

/// A figure and its target.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The name, with its unit.
    pub name: &'static str,
    /// `None` when it could not be measured.
    pub value: Option<f64>,
    /// The target.
    pub target: Target,
}

/// The target of a figure.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// At most this value.
    AtMost(f64),
    /// At least this value.
    AtLeast(f64),
    /// No target: the figure only explains others.
    None,
}

impl Figure {
    fn is_met(&self) -> Option<bool> {
        match (self.target, self.value) {
            (Target::None, _) => None,
            (_, None) => Some(false),
            (Target::AtMost(limit), Some(value)) => Some(value <= limit),
            (Target::AtLeast(limit), Some(value)) => Some(value >= limit),
        }
    }
}

/// Measures all rows; `progress` receives each row when it is complete.
///
/// # Errors
/// When the server or the generator can't be started, or the generator reports nothing.
pub async fn run(options: &BenchOptions, progress: impl Fn(&str)) -> Result<BenchReport> {
    let this = std::env::current_exe().context("finding this program")?;
    let server = options.server.clone().unwrap_or_else(|| this.with_file_name("madang"));
    must_exist(&server)?;
    let wanted =
        |row: &&'static Row| options.only.as_ref().is_none_or(|part| row.name.contains(part));
    let mut rows = Vec::new();
    for row in ROWS.iter().filter(wanted) {
        let measured = measure(row, options, &this, &server).await.context(row.name)?;
        progress(&measured.to_string());
        rows.push(measured);
    }
    Ok(BenchReport { machine: Machine::this(), rows })
}

/// Checks that the server program exists.
///
/// # Errors
/// When it does not exist; the text says how to build it.
pub fn must_exist(server: &Path) -> Result<()> {
    if !server.exists() {
        bail!(
            "the server program {} does not exist; build it with `cargo build --release -p madang -p loadtest`",
            server.display()
        );
    }
    Ok(())
}

async fn measure(
    row: &'static Row,
    options: &BenchOptions,
    generator: &Path,
    server: &Path,
) -> Result<Measured> {
    let server = TestServer::start(server, &options.server_core.to_string()).await?;
    let output = pinned(generator, &options.generator_core.to_string())
        .args(["--light", "--json", "--url", &server.url])
        .args(["--server-pid", &server.pid.to_string()])
        .args(row.arguments.split(' '))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("starting the generator")?;
    let report: LightReport = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("the generator reported nothing: {}", String::from_utf8_lossy(&output.stderr))
    })?;
    server.stop().await;
    let mut figures = (row.figures)(&report);
    if !row.floor.is_empty() {
        let (sender, receiver) = (options.server_core, options.generator_core);
        let floor = tokio::task::spawn_blocking(move || {
            floor::measure(row.floor, FLOOR_TIME, sender, receiver)
        });
        let value = floor.await?.context("measuring the floor (sending by the system alone)")?;
        let name = "of this, the system's sending alone";
        figures.push(Figure { name, value: Some(value), target: Target::None });
    }
    Ok(Measured { name: row.name, arguments: row.arguments, figures, report })
}

/// A command pinned to these CPU cores (in the syntax of `taskset`), with the maximum number of open files.
fn pinned(program: &Path, cores: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n $(ulimit -Hn); exec taskset -c \"$@\"", "sh"])
        .arg(cores)
        .arg(program);
    command
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<34}", self.name)?;
        for (at, figure) in self.figures.iter().enumerate() {
            let indent = if at == 0 { "" } else { "\n                                  " };
            write!(f, "{indent}{figure}")?;
        }
        let generator = &self.report.generator;
        if generator.dropped + generator.refused > 0 {
            let dropped = generator.dropped + generator.refused;
            write!(
                f,
                "\n  (the generator dropped {dropped} packets itself: this is its limit, not the server's)"
            )?;
        }
        if let Some(percent) =
            generator.others_cpu_percent.filter(|percent| *percent > QUIET_PERCENT)
        {
            write!(f, "\n  (noisy: other programs used {percent:.0} % of a core)")?;
        }
        for problem in self.report.problems.iter().take(3) {
            write!(f, "\n  problem: {problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.map_or_else(|| "?".to_owned(), number);
        write!(f, "{:<36} {value:>10}", self.name)?;
        let verdict = match self.is_met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        match self.target {
            Target::AtMost(limit) => write!(f, "   at most  {:>8}  {verdict}", number(limit)),
            Target::AtLeast(limit) => write!(f, "   at least {:>8}  {verdict}", number(limit)),
            Target::None => Ok(()),
        }
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        1000.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cores, kernel } = &self.machine;
        let server = self.rows.first().map_or("unknown", |row| &row.report.versions.server);
        let figures = self.rows.iter().flat_map(|row| &row.figures).filter_map(Figure::is_met);
        let (met, missed): (Vec<bool>, Vec<bool>) = figures.partition(|is_met| *is_met);
        writeln!(f, "{server}; server on one of {cores} × {cpu}, Linux {kernel}")?;
        writeln!(f, "{} targets met, {} missed", met.len(), missed.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_judged() {
        let figure = |value, target| Figure { name: "x", value, target };
        assert_eq!(figure(Some(1.0), Target::AtMost(1.0)).is_met(), Some(true));
        assert_eq!(figure(Some(1.1), Target::AtMost(1.0)).is_met(), Some(false));
        assert_eq!(figure(Some(1.0), Target::AtLeast(1.1)).is_met(), Some(false));
        assert_eq!(figure(None, Target::AtMost(1.0)).is_met(), Some(false));
        assert_eq!(figure(Some(1.0), Target::None).is_met(), None);
        let text = figure(Some(500_000.0), Target::AtLeast(400_000.0)).to_string();
        assert!(text.contains("500000") && text.ends_with("met"), "{text}");
    }
}
