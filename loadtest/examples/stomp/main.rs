//! The cost of a STOMP server's fan-out: `cargo run --release -p loadtest --example stomp`. Measures a release server
//! that it starts itself, or any server that speaks STOMP over WebSocket (`--pid PID --ws URL`).
//!
//! ```text
//! publishers ─▶ server ─▶ 500 subscribers, all in this process and on one thread
//!                 │
//!                 └── /proc/{pid}: CPU time and memory, read before and after
//! ```
//!
//! The client is cheap and works with any server: it masks with zeros, finds frames by their NUL, and reads stamps at
//! fixed positions of the body, so that it does not limit the server. It checks every delivery: the order within a
//! publisher, and that nothing is lost. It assumes bodies without NUL, and a server on this machine.

mod exchange;
mod idle;
mod options;
mod process;
mod report;
mod row;
mod socket;
mod stalled;
mod stamp;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use loadtest::bench::must_exist;
use loadtest::bench::server::TestServer;
use options::{Options, Scenario};
use process::Process;
use report::Report;
use row::Row;

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
    if let Some(pid) = options.pid {
        return measure_server(options, Process::new(pid)?).await;
    }
    let this = std::env::current_exe().context("finding this program")?;
    let beside = this.ancestors().nth(2).context("finding the release build")?.join("madang");
    let program = options.server.clone().unwrap_or(beside);
    must_exist(&program)?;
    let cores = std::thread::available_parallelism()?;
    let server = TestServer::start(&program, &format!("0-{}", cores.get() - 1)).await?;
    let url = format!("ws{}/ws", server.url.trim_start_matches("http").trim_end_matches('/'));
    let options = Options { url: url.parse().context("the server's address")?, ..options.clone() };
    let report = measure_server(&options, Process::new(server.pid)?).await;
    server.stop().await;
    report
}

async fn measure_server(options: &Options, server: Process) -> anyhow::Result<Report> {
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
