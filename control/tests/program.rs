//! The program as an operator meets it: flags, output, exit codes, signals.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

#[test]
fn the_last_line_is_the_page_to_open_and_the_healthcheck_finds_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path());

    let health = run(&["healthcheck", "--listen", &server.address]);

    assert!(health.status.success(), "{health:?}");
    assert!(server.lines[0].starts_with("Madang "), "{:?}", server.lines);
    assert!(server.lines.iter().any(|line| line.contains("Authentication is off")));
    assert_eq!(server.end().code(), Some(0), "SIGTERM is an ordinary end");
}

#[test]
fn a_second_server_on_the_same_port_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path());

    let second = run(&["--listen", &server.address, "--data-dir", other.path().to_str().unwrap()]);

    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(second.stdout, b"");
    for expected in [server.address.as_str(), "http.listen", "MADANG_HTTP__LISTEN", "--listen"] {
        assert!(error.contains(expected), "{expected} is missing in: {error}");
    }
    server.end();
}

#[test]
fn without_a_server_the_healthcheck_fails() {
    let health = run(&["healthcheck", "--listen", "127.0.0.1:1"]);

    assert_eq!(health.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&health.stderr).contains("127.0.0.1:1"), "{health:?}");
}

#[test]
fn check_prints_the_merged_configuration() {
    let output = madang(&["check", "--set", "media.workers=3"])
        .env("MADANG_TURN__REALM", "마당")
        .output()
        .unwrap();

    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for line in ["[media]", "workers = 3", "realm = \"마당\"", "resume_grace = \"20s\""] {
        assert!(text.lines().any(|printed| printed == line), "{line} is missing in\n{text}");
    }
}

#[test]
fn check_prints_all_mistakes() {
    let output = madang(&["check", "--listen", "nowhere"])
        .env("MADANG_HTP__LISTEN", "127.0.0.1:1")
        .output()
        .unwrap();

    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("2 mistakes"), "{error}");
    assert!(error.contains("did you mean MADANG_HTTP__LISTEN?"), "{error}");
}

#[test]
fn help_lists_the_keys() {
    let output = run(&["--help"]);

    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("healthcheck") && text.contains("MADANG_LIMITS__ROOMS"), "{text}");
}

/// A server in a process of its own, killed when a test fails.
struct Running {
    process: Child,
    lines: Vec<String>,
    address: String,
}

impl Running {
    fn start(data_dir: &Path) -> Running {
        let mut process = madang(&["--listen", "127.0.0.1:0"])
            .env("MADANG_DATA_DIR", data_dir)
            .env("MADANG_MEDIA__UDP_PORT", "0")
            .env("MADANG_TURN__LISTEN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = Vec::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            lines.push(line.unwrap());
            if lines.last().unwrap().starts_with("http://") {
                break;
            }
        }
        let url = lines.last().unwrap();
        let address = url.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
        Running { process, lines, address }
    }

    fn end(mut self) -> std::process::ExitStatus {
        let pid = self.process.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        self.process.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(arguments: &[&str]) -> Output {
    madang(arguments).output().unwrap()
}

/// The program, without the settings of whoever runs the tests.
fn madang(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
    command.args(arguments).env_clear();
    command
}
