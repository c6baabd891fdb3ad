//! The program: settings, log, start, wait for a signal, drain.
#![expect(clippy::disallowed_methods, reason = "`madang token` reads the clock here")]

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context;
use jiff::Timestamp;
use madang::cli::{Cli, Command, KeysFormat, healthcheck};
use madang::config;
use madang::server::open_files;
use madang::{Server, Settings};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

/// Precedes the chosen log filter: these libraries warn about each malformed or surplus message, which strangers can
/// send at line rate. Metrics count those messages.
const QUIET: &str = "stun_types=error,dimpl=error";

fn main() -> ExitCode {
    let cli = Cli::from_arguments();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("madang: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let sources = cli.settings.into_sources(environment.collect());
    let load = || Settings::load(sources);
    match cli.command {
        None => {
            let settings = load()?;
            log_to_stderr();
            runtime()?.block_on(serve(settings))?;
        }
        Some(Command::Keys { format: KeysFormat::Toml }) => print!("{}", config::example()),
        Some(Command::Keys { format: KeysFormat::Markdown }) => print!("{}", config::document()),
        Some(Command::Check) => print!("{}", load()?.to_toml()),
        Some(Command::Token(token)) => {
            let made = token.make(&load()?, Timestamp::now())?;
            println!("{}", made.token.expose());
            made.notes.iter().for_each(|note| eprintln!("{note}"));
        }
        Some(Command::Healthcheck) => {
            runtime()?.block_on(healthcheck::ask(load()?.http.listen))?;
        }
    }
    Ok(())
}

/// Half as many threads as cores: a message that crosses threads on its way to its subscribers costs half as much again
/// as one that does not, and the threads of the media plane need CPU time, too.
fn runtime() -> anyhow::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(cores.div_ceil(2)).enable_all();
    builder.build().context("can't start the tokio runtime")
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;

    open_files::raise_limit();
    let server = Server::start(settings).await?;
    println!("{}\n{}", server.summary(), server.url());
    tokio::select! {
        _ = interrupted.recv() => info!("received SIGINT, draining; send it again to exit immediately"),
        _ = terminated.recv() => info!("received SIGTERM, draining; send it again to exit immediately"),
    }
    tokio::select! {
        () = server.shutdown() => info!("stopped"),
        _ = interrupted.recv() => info!("stopped immediately"),
        _ = terminated.recv() => info!("stopped immediately"),
    }
    Ok(())
}

/// Logs from `info` on for Madang and from `error` on for libraries, unless `RUST_LOG` chooses otherwise, as in
/// `RUST_LOG=madang=debug`.
fn log_to_stderr() {
    let chosen = std::env::var("RUST_LOG").unwrap_or_else(|_| "error,madang=info".to_owned());
    let filter = EnvFilter::new(format!("{QUIET},{chosen}"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
