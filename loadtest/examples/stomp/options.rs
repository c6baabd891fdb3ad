//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use tokio_tungstenite::tungstenite::http::Uri;

/// Measures a STOMP server's fan-out: CPU time of its process per delivered message, order, loss, latency, memory.
///
/// Starts a release server of its own and says what each figure is to be; with `--pid` and `--ws` it measures any STOMP
/// server on this machine. The exit code is 1 when a message was lost or out of order.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Options {
    /// The WebSocket of a server that runs already.
    #[arg(long = "ws", requires = "pid", default_value = "ws://127.0.0.1:8080/ws")]
    pub(crate) url: Uri,
    /// The process of a server that runs already. Default: one is started for this.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// The program to start. Default: the release build of `madang`.
    #[arg(long, conflicts_with = "pid")]
    pub(crate) server: Option<PathBuf>,
    /// What to measure. Default: everything.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) scenario: Vec<Scenario>,
    /// How long each scenario sends, in seconds.
    #[arg(long = "seconds", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) seconds: u32,
    /// Connections of the scenario `idle`.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(crate) connections: u32,
    /// What destinations begin with.
    #[arg(long, default_value = "/topic/load-")]
    pub(crate) destination: String,
    /// Virtual host.
    #[arg(long, default_value = "/")]
    pub(crate) host: String,
    /// User name, for servers that want one.
    #[arg(long)]
    pub(crate) login: Option<String>,
    /// Password.
    #[arg(long)]
    pub(crate) passcode: Option<String>,
    /// Print the result as JSON to standard output.
    #[arg(long = "json")]
    pub(crate) json: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// 50 rooms of 10, 4 publishers with a window of 16 messages each, 200 bytes.
    Rooms,
    /// One room of 500, one publisher with a window of 4 messages, 200 bytes.
    Broadcast,
    /// 50 rooms of 10, 500 messages a second, 200 bytes.
    Paced,
    /// Connections with heart-beats that do nothing.
    Idle,
    /// 100 subscribers, without and with 10 more that do not read; 50 messages a second of 4 KiB.
    Stalled,
}

impl Scenario {
    /// As on the command line.
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
    /// Those asked for, else all. Memory first: a process seldom gives back what a load made it take.
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        if !self.scenario.is_empty() {
            return self.scenario.clone();
        }
        use Scenario::{Broadcast, Idle, Paced, Rooms, Stalled};
        vec![Idle, Rooms, Broadcast, Paced, Stalled]
    }
}
