//! `loadtest`: see `loadtest --help`.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use loadtest::options::Options;
use loadtest::report::Report;
use loadtest::run::run;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(reason) = options.check() {
        Options::command().error(clap::error::ErrorKind::ValueValidation, reason).exit();
    }
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("loadtest=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(&options, |line| eprintln!("{line}")).await {
        Ok(report) => show(&report, options.json),
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn show(report: &Report, as_json: bool) -> ExitCode {
    if as_json {
        eprint!("{report}");
        println!("{}", serde_json::to_string_pretty(report).expect("a report has no map"));
    } else {
        print!("{report}");
    }
    match report.problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    }
}
