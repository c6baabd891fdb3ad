//! The program, which is going to be killed.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// What tokens are signed with.
pub(crate) const SECRET: &str = "5rT9wQzLx2VbN8mKp4Yc7HdJ3fGs6AeU";

pub(crate) struct Server {
    process: Child,
    pub(crate) address: String,
}

impl Server {
    pub(crate) async fn start(data: &Path, store: &str) -> Server {
        let mut process = Command::new(env!("CARGO_BIN_EXE_madang"))
            .args(["--listen", "127.0.0.1:0"])
            .env_clear()
            .env("MADANG_DATA_DIR", data)
            .env("MADANG_STORE__URL", store)
            .env("MADANG_AUTH__SECRET", SECRET)
            .env("MADANG_LIMITS__MESSAGES_PER_SECOND", "0")
            .env("MADANG_LIMITS__USER_CHAT_BYTES_PER_MINUTE", "0")
            .env("MADANG_LIMITS__ROOM_CHAT_BYTES_PER_MINUTE", "0")
            .env("MADANG_LIMITS__CHAT_BYTES_PER_MINUTE", "0")
            .env("MADANG_MEDIA__UDP_PORT", "0")
            .env("MADANG_TURN__ENABLED", "false")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = loop {
            let line = lines.next_line().await.unwrap().expect("the server starts");
            if line.starts_with("http://") {
                break line;
            }
        };
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Server { process, address }
    }

    /// `kill -9`; it is gone when this returns.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }
}
