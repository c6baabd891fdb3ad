//! The throughput of durable chat: `cargo run --release -p loadtest --example chat`, after `cargo build --release -p
//! madang`.
//!
//! ```text
//! senders ─▶ server ─▶ database ─▶ RECEIPT ─▶ the sender's next message
//!                          └─▶ one watcher per room, who checks that no number is missing
//! ```
//!
//! Each sender has one message in flight. A server that commits one message at a time therefore acknowledges the same
//! number per second for any number of senders; the gain above that is due to group commit. The report also shows how
//! often this disk can sync a small file. At the end, a participant joins late and receives all messages.

mod backlog;
mod client;
mod disk;
mod report;
mod senders;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use loadtest::bench::must_exist;
use loadtest::bench::server::TestServer;
use loadtest::light::process::{Machine, Process};
use report::Report;

/// The numbers of concurrent senders, one row for each.
const SENDERS: [usize; 3] = [1, 10, 100];

/// Measures durable chat: messages acknowledged per second, CPU time per message, and the time to replay 10,000
/// messages
///
/// The exit code is 1 when a message is missing, duplicated or out of order.
#[derive(Debug, Parser)]
struct Options {
    /// Path of the server program. Default: the release build of `madang`
    #[arg(long)]
    server: Option<PathBuf>,
    /// Database, as in the server's `store.url`. Default: SQLite in a temporary directory
    #[arg(long)]
    store: Option<String>,
    /// How long each row sends, in seconds
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Number of messages that the late participant receives
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    backlog: u32,
    /// Print the result as JSON to standard output
    #[arg(long = "json")]
    json: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = match runtime.context("starting").and_then(|runtime| {
        runtime.block_on(tokio::task::LocalSet::new().run_until(measure(&options)))
    }) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("chat: {error:#}");
            return ExitCode::from(2);
        }
    };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report).expect("a report has no map"));
    } else {
        print!("{report}");
    }
    if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

async fn measure(options: &Options) -> anyhow::Result<Report> {
    let this = std::env::current_exe().context("finding this program")?;
    let beside = this.ancestors().nth(2).context("finding the release build")?.join("madang");
    let program = options.server.clone().unwrap_or(beside);
    must_exist(&program)?;
    let cores = std::thread::available_parallelism()?;
    let store = options.store.iter().map(|url| format!("store.url={url}")).collect::<Vec<_>>();
    let server =
        TestServer::start_with(&program, &format!("0-{}", cores.get() - 1), &store).await?;
    let process = Process(server.pid);
    let url = server.url.parse().context("the server's address")?;

    let syncs_per_second = disk::syncs_per_second()?;
    let mut rows = Vec::new();
    for senders in SENDERS {
        eprintln!("{senders} senders…");
        let time = Duration::from_secs(options.seconds.into());
        rows.push(senders::run(&url, senders, time, process).await?);
    }
    eprintln!("{} messages of backlog…", options.backlog);
    let backlog = backlog::run(&url, options.backlog, process).await?;
    server.stop().await;
    let store = options.store.clone().unwrap_or_else(|| "sqlite".to_owned());
    let store = store.split("://").next().unwrap_or_default().to_owned();
    Ok(Report { machine: Machine::this(), store, syncs_per_second, rows, backlog })
}
