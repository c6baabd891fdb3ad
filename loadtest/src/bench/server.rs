//! A release server for one row, as a child process.
#![expect(clippy::disallowed_methods, reason = "starting the server has a deadline")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use super::pinned;

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);
/// One media worker, any free ports, and no limits that would refuse load.
const SETTINGS: [&str; 17] = [
    "media.workers=1",
    "media.udp_port=0",
    "turn.enabled=false",
    "limits.connections=0",
    "limits.connections_per_address=0",
    "limits.participants_per_room=0",
    "limits.messages_per_second=0",
    "limits.offers_per_second=0",
    "limits.changes_per_second=0",
    "media.audio_bits_per_second=0",
    "media.video_bits_per_second=0",
    "media.participant_bits_per_second=0",
    "limits.rooms=0",
    "limits.rooms_per_user=0",
    "limits.user_chat_bytes_per_minute=0",
    "limits.room_chat_bytes_per_minute=0",
    "limits.chat_bytes_per_minute=0",
];

/// A running server; killed when dropped.
pub struct TestServer {
    child: Child,
    /// The URL of its web page.
    pub url: String,
    /// Its process id.
    pub pid: u32,
    _data: TempDir,
}

impl TestServer {
    /// Starts a server on these CPU cores (in the syntax of `taskset`) and waits for its address.
    ///
    /// # Errors
    /// When it does not start, or prints no address.
    pub async fn start(program: &Path, cores: &str) -> Result<TestServer> {
        TestServer::start_with(program, cores, &[]).await
    }

    /// Like [`TestServer::start`], with further settings, such as `store.url=…`.
    ///
    /// # Errors
    /// When it does not start, or prints no address.
    pub async fn start_with(
        program: &Path,
        cores: &str,
        settings: &[String],
    ) -> Result<TestServer> {
        let data = TempDir::new().context("creating a directory for the server")?;
        let mut command = pinned(program, cores);
        command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(data.path());
        let settings = SETTINGS.into_iter().chain(settings.iter().map(String::as_str));
        command.args(settings.flat_map(|setting| ["--set", setting]));
        command.env("RUST_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().context("starting the server")?;
        let pid = child.id().context("the server exited at once")?;
        let output = child.stdout.take().context("the server has no output")?;
        let mut lines = BufReader::new(output).lines();
        let url = async {
            while let Some(line) = lines.next_line().await? {
                if line.starts_with("http://") {
                    return Ok(line);
                }
            }
            bail!("the server exited without printing its address")
        };
        let url =
            timeout(PATIENCE, url).await.context("the server printed no address in time")??;
        Ok(TestServer { child, url, pid, _data: data })
    }

    /// Stops the server.
    pub async fn stop(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "could not stop the server; it may have exited already");
        }
    }
}
