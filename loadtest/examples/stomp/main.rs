//! What a STOMP server's fan-out costs, for any server that speaks STOMP over WebSocket:
//! `cargo run --release -p loadtest --example stomp -- --pid PID`.
//!
//! ```text
//! publishers ─▶ server ─▶ 500 subscribers, all in this process and on one thread
//!                 │
//!                 └── /proc/{pid}: CPU time and memory, read before and after
//! ```
//!
//! The client is neutral and cheap: it masks with zero, finds frames by their NUL, and reads stamps at fixed places of
//! the body, so that the server is what is measured. Every delivery is checked: order within a publisher, and that
//! nothing is lost. What it takes for granted: bodies without NUL, and a server on this machine.

mod exchange;
mod idle;
mod options;
mod process;
mod report;
mod socket;
mod stalled;
mod stamp;

use std::process::ExitCode;

use clap::Parser;
use options::{Options, Scenario};
use process::Process;
use report::{Report, Row};

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(report) => show(&report, options.json),
        Err(error) => {
            eprintln!("stomp: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn show(report: &Report, as_json: bool) -> ExitCode {
    if as_json {
        println!("{}", serde_json::to_string_pretty(report).expect("a report has no map"));
    } else {
        print!("{report}");
    }
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// Runs the scenarios, one after the other: on one thread, which leaves the rest of the machine to the server.
fn run(options: &Options) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::task::LocalSet::new().run_until(measure(options)))
}

async fn measure(options: &Options) -> anyhow::Result<Report> {
    let server = Process::new(options.pid)?;
    let mut rows = Vec::new();
    for scenario in options.scenarios() {
        eprintln!("{}…", scenario.name());
        match scenario {
            Scenario::Rooms | Scenario::Broadcast | Scenario::Paced => {
                let load = exchange::Load::of(scenario, options.seconds);
                rows.push(exchange::run(scenario.name(), &load, options, &server).await?);
            }
            Scenario::Idle => rows.push(Row::Idle(idle::run(options, &server).await?)),
            Scenario::Stalled => rows.extend(stalled::run(options, &server).await?),
        }
    }
    Ok(Report { url: options.url.to_string(), rows })
}
