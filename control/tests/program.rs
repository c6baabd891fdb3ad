//! The program from the operator's side: flags, output, exit codes, signals.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]
#![expect(clippy::disallowed_methods, reason = "a stranger needs a socket")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use jiff::Timestamp;
use madang::auth::Verifier;
use madang_wire::{Role, Secret, SourceKind};

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

/// The lock must end with the process, whatever ends it.
#[test]
fn a_second_server_on_the_same_data_is_refused_until_the_first_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Running::start(dir.path());
    let data_dir = dir.path().to_str().unwrap();

    let second = run(&["--listen", "127.0.0.1:0", "--data-dir", data_dir]);
    let token = run(&["token", "--data-dir", data_dir, "--room", "team", "--name", "하나"]);
    first.process.kill().unwrap();
    first.process.wait().unwrap();
    let third = Running::start(dir.path());

    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1));
    for expected in [data_dir, &format!("process {}", first.process.id())] {
        assert!(error.contains(expected), "{expected} is missing in: {error}");
    }
    assert!(token.status.success(), "{token:?}");
    third.end();
}

/// A Binding request with a FINGERPRINT of zeros.
const MALFORMED: [u8; 28] =
    *b"\x00\x01\x00\x08\x21\x12\xa4\x42transaction.\x80\x28\x00\x04\x00\x00\x00\x00";

/// Anyone can send such messages at full network speed.
#[test]
fn malformed_messages_of_strangers_are_counted_and_leave_nothing_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Running::start(dir.path());
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (media, turn) = (server.udp("media"), server.udp("turn"));

    for _ in 0..10 {
        stranger.send_to(&MALFORMED, media).unwrap();
        stranger.send_to(&MALFORMED, turn).unwrap();
    }
    server.wait_for_metric("madang_sfu_dropped_stun_messages_total", 10);
    server.wait_for_metric("madang_turn_dropped_malformed_datagrams_total", 10);
    let mut log = server.process.stderr.take().unwrap();
    server.end();

    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    assert!(text.contains("TURN is served"), "{text}");
    assert!(!text.contains("WARN"), "{text}");
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

#[test]
fn token_prints_what_a_server_with_the_same_settings_takes() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().to_str().unwrap();
    let arguments = ["token", "--data-dir", data_dir, "--room", "주간회의", "--name", "하나"];
    let further = ["--role", "host", "--publish", "microphone,screen", "--moderate", "--ttl", "2h"];

    let output = madang(&[&arguments[..], &further[..]].concat())
        .args(["--user", "u-1", "--url", "https://rooms.example/"])
        .output()
        .unwrap();

    let (token, notes) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{notes}");
    assert_eq!(token.lines().count(), 1, "nothing but the token, so that a script can use it");
    let page = format!("https://rooms.example/rooms/주간회의#token={}", token.trim());
    assert!(notes.lines().any(|line| line == page), "{notes}");
    let secret = std::fs::read_to_string(dir.path().join("auth.secret")).unwrap();
    let verifier = Verifier::new(Some(&Secret::new(secret.trim())), None, None);
    let grant = verifier.verify(token.trim(), Timestamp::now()).unwrap();
    assert_eq!((grant.user.as_str(), grant.name.as_deref()), ("u-1", Some("하나")));
    assert_eq!((grant.role, grant.moderate), (Some(Role::Host), Some(true)));
    assert_eq!(grant.publish, Some(vec![SourceKind::Microphone, SourceKind::Screen]));
    assert!(grant.token_id.is_some());
}

#[test]
fn a_token_that_nobody_would_take_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, says) in [
        (&["--room", "a b"][..], "room"),
        (&["--room", "a", "--role", "admin"], "host, speaker or listener"),
        (&["--room", "a", "--publish", "voice"], "microphone, camera or screen"),
        (&["--room", "a", "--ttl", "soon"], "30m, 2h or 7d"),
        (&["--room", "a", "--ttl", "20000d"], "ten years"),
        (&["--room", "a", "--user", ""], "`sub`"),
        (&["--room", "a", "--set", "auth.jwks=keys.json"], "come from your issuer"),
        (&["--room", "a", "--set", "auth.secret=changeme"], "examples"),
        (&[], "--room"),
    ] {
        let output = madang(&[&["token"], arguments].concat())
            .args(["--data-dir", dir.path().to_str().unwrap()])
            .output()
            .unwrap();
        let error = text(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}");
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
}

#[test]
fn others_are_served_when_everybody_needs_a_token() {
    let settings = |required: &str| {
        let key = format!("auth.required={required}");
        run(&["check", "--listen", "0.0.0.0:8080", "--set", &key])
    };

    assert!(settings("true").status.success());
    let refused = text(&settings("false").stderr);
    assert!(refused.contains("auth.required=true") && refused.contains("--insecure"), "{refused}");
}

#[test]
fn secrets_of_the_configuration_are_not_printed() {
    let secret = "kQ3v0m9Xc1hZb7Yt5Lr2Wn8Ud6Sg4Pa0Ef";
    for key in ["MADANG_AUTH__SECRET", "MADANG_AUTH__API_KEYS"] {
        let output = madang(&["check"]).env(key, secret).output().unwrap();
        let printed = text(&output.stdout);
        assert!(output.status.success() && printed.contains("(hidden)"), "{printed}");
        assert!(!printed.contains(secret));

        let weak = madang(&["check"]).env(key, "hunter2").output().unwrap();
        let error = text(&weak.stderr);
        assert!(error.contains("has 7 bytes") && !error.contains("hunter2"), "{error}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server in its own process, killed if a test fails.
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
            .stderr(Stdio::piped())
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

    /// The first UDP address in a line of its startup output.
    fn udp(&self, line: &str) -> SocketAddr {
        let mut words = self.lines.iter().map(|line| line.split_whitespace());
        let mut words = words.find(|words| words.clone().next() == Some(line)).unwrap();
        words
            .find_map(|word| word.trim_end_matches(',').strip_suffix("/udp")?.parse().ok())
            .unwrap()
    }

    /// Waits until a counter reaches a value.
    fn wait_for_metric(&self, name: &str, value: u64) {
        for _ in 0..200 {
            let mut connection = TcpStream::connect(&self.address).unwrap();
            write!(connection, "GET /metrics HTTP/1.0\r\n\r\n").unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).unwrap();
            // One line per set of labels, ending in the value.
            let lines = answer.lines().filter(|line| line.starts_with(name));
            let count = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
            if lines.filter_map(count).sum::<u64>() >= value {
                return;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("{name} did not reach {value}");
    }

    fn end(mut self) -> std::process::ExitStatus {
        let pid = self.process.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        self.process.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(arguments: &[&str]) -> Output {
    madang(arguments).output().unwrap()
}

/// The program, without the settings of the user who runs the tests.
fn madang(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
    command.args(arguments).env_clear();
    command
}
