//! The program `loadtest`: see `loadtest --help`.

use std::fmt::Display;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use loadtest::bench;
use loadtest::light;
use loadtest::options::{BenchOptions, Command, Options};
use loadtest::run::run;
use serde::Serialize;
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
    if let Some(Command::Bench(options)) = &options.command {
        return run_bench(options).await;
    }
    if options.light.light {
        return run_light(&options).await;
    }
    match run(&options, |line| eprintln!("{line}")).await {
        Ok(report) => show(&report, &report.problems, options.json),
        Err(error) => fail(&error),
    }
}

async fn run_light(options: &Options) -> ExitCode {
    match light::run::run(options, |line| eprintln!("{line}")).await {
        Ok(report) => show(&report, &report.problems, options.json),
        Err(error) => fail(&error),
    }
}

async fn run_bench(options: &BenchOptions) -> ExitCode {
    match bench::run(options, |row| eprintln!("{row}")).await {
        Ok(report) => show(&report, &[], options.json),
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("loadtest: {error:#}");
    ExitCode::from(2)
}

fn show(report: &(impl Display + Serialize), problems: &[String], as_json: bool) -> ExitCode {
    if as_json {
        eprint!("{report}");
        println!("{}", serde_json::to_string_pretty(report).expect("a report has no map"));
    } else {
        print!("{report}");
    }
    match problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    }
}
