//! The program in a process of its own, so that its memory can be told from the clients'.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// The running program. It ends when this is dropped.
pub(crate) struct Running {
    process: Child,
    pub(crate) address: SocketAddr,
    _dir: TempDir,
}

impl Running {
    /// Starts it with these settings, and defaults for all others but the ports.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_madang"))
            .args(["--listen", "127.0.0.1:0"])
            .env_clear()
            .env("MADANG_DATA_DIR", dir.path())
            .env("MADANG_MEDIA__UDP_PORT", "0")
            .env("MADANG_TURN__ENABLED", "false")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = lines.map(|line| line.unwrap()).find(|line| line.starts_with("http://")).unwrap();
        let address = url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
        Running { process, address, _dir: dir }
    }

    /// What it has in memory.
    pub(crate) fn memory_kib(&self) -> usize {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
