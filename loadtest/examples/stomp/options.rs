//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use tokio_tungstenite::tungstenite::http::Uri;

/// Measures the fan-out of a STOMP server: CPU time per delivered message, order, loss, latency and memory
///
/// By default it starts a release server and compares the figures with targets; with `--pid` and `--ws` it measures any
/// STOMP server on this machine. The exit code is 1 when a message was lost or out of order.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Options {
    /// WebSocket URL of a running server
    #[arg(long = "ws", requires = "pid", default_value = "ws://127.0.0.1:8080/ws")]
    pub(crate) url: Uri,
    /// Process id of a running server. Default: start a server
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Path of the server program to start. Default: the release build of `madang`
    #[arg(long, conflicts_with = "pid")]
    pub(crate) server: Option<PathBuf>,
    /// Scenarios to measure. Default: all
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) scenario: Vec<Scenario>,
    /// How long each scenario sends, in seconds
    #[arg(long = "seconds", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) seconds: u32,
    /// Number of connections in the scenario `idle`
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(crate) connections: u32,
    /// Prefix of the destinations
    #[arg(long, default_value = "/topic/load-")]
    pub(crate) destination: String,
    /// Virtual host
    #[arg(long, default_value = "/")]
    pub(crate) host: String,
    /// User name, if the server requires one
    #[arg(long)]
    pub(crate) login: Option<String>,
    /// Password
    #[arg(long)]
    pub(crate) passcode: Option<String>,
    /// Print the result as JSON to standard output
    #[arg(long = "json")]
    pub(crate) json: bool,
}

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// 50 rooms of 10, 4 publishers with a window of 16 messages each, 200 bytes
    Rooms,
    /// One room of 500, one publisher with a window of 4 messages, 200 bytes
    Broadcast,
    /// 50 rooms of 10, 500 messages per second, 200 bytes
    Paced,
    /// Idle connections with heart-beats
    Idle,
    /// 100 subscribers, without and with 10 more that do not read; 50 messages of 4 KiB per second
    Stalled,
}

impl Scenario {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scenario::Rooms => "rooms",
            Scenario::Broadcast => "broadcast",
            Scenario::Paced => "paced",
            Scenario::Idle => "idle",
            Scenario::Stalled => "stalled",
        }
    }
}

impl Options {
    /// The requested scenarios, or all. Memory is measured first, because a process seldom returns memory after a load.
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        if !self.scenario.is_empty() {
            return self.scenario.clone();
        }
        use Scenario::{Broadcast, Idle, Paced, Rooms, Stalled};
        vec![Idle, Rooms, Broadcast, Paced, Stalled]
    }
}
