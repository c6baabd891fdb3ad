//! An exchange of frames as one would write it down, carried out on a real WebSocket.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use madang::Server;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

/// One row: a rule of the standard, and an exchange that shows that it is kept.
pub(crate) struct Rule {
    /// Section of the STOMP 1.2 text, unless it names another version.
    pub(crate) section: &'static str,
    pub(crate) says: &'static str,
    pub(crate) exchange: Vec<Step>,
}

/// What happens next. Clients are told apart by a letter.
pub(crate) enum Step {
    /// The client sends this in one WebSocket message: text, if it is UTF-8.
    Sends(char, Vec<u8>),
    /// The next thing that the client hears.
    Hears(char, Vec<u8>),
    /// The server closes the client's connection, and says nothing before that.
    IsClosed(char),
}

pub(crate) fn rule(section: &'static str, says: &'static str, exchange: Vec<Step>) -> Rule {
    Rule { section, says, exchange }
}

/// The client sends a frame; its NUL is left out here.
pub(crate) fn sends(frame: impl AsRef<[u8]>) -> Step {
    Step::Sends('a', [frame.as_ref(), b"\0"].concat())
}

/// The client sends these bytes as they are.
pub(crate) fn sends_raw(bytes: impl AsRef<[u8]>) -> Step {
    Step::Sends('a', bytes.as_ref().to_vec())
}

/// The client hears a frame, of which the command, these headers and the body are given, as they stand on the wire:
///
/// - `name:value` must be there so; `name:*` with any value, by which `{name}` stands for it in later steps;
///   `!name` must not be there. What else there is does not matter.
/// - the body is this one; `…` at its ends stands for anything.
pub(crate) fn hears(frame: impl AsRef<[u8]>) -> Step {
    Step::Hears('a', frame.as_ref().to_vec())
}

pub(crate) fn is_closed() -> Step {
    Step::IsClosed('a')
}

/// The same at another connection.
pub(crate) fn other(step: Step) -> Step {
    match step {
        Step::Sends(_, bytes) => Step::Sends('b', bytes),
        Step::Hears(_, frame) => Step::Hears('b', frame),
        Step::IsClosed(_) => Step::IsClosed('b'),
    }
}

/// A client that connected with a version.
pub(crate) fn connected(version: &str) -> Vec<Step> {
    vec![
        sends(format!("CONNECT\naccept-version:{version}\nhost:x\nheart-beat:0,0\n\n")),
        hears(format!("CONNECTED\nversion:{version}\n\n")),
    ]
}

/// A client that connected with a version and subscribed to `/topic/t`.
pub(crate) fn subscribed(version: &str) -> Vec<Step> {
    let subscribe = "SUBSCRIBE\nid:t\ndestination:/topic/t\nreceipt:subscribed\n\n";
    let mut steps = connected(version);
    steps.extend([sends(subscribe), hears("RECEIPT\nreceipt-id:subscribed\n\n")]);
    steps
}

/// What comes first, and then this.
pub(crate) fn after(first: Vec<Step>, then: impl IntoIterator<Item = Step>) -> Vec<Step> {
    first.into_iter().chain(then).collect()
}

/// Carries out a table of rules, each on connections of its own, and tells all that are broken.
pub(crate) async fn check(server: &Server, rules: Vec<Rule>) {
    let mut broken = 0;
    for rule in rules {
        // A failed row panics in a task of its own; the others are still tried.
        let row = tokio::spawn(carry_out(server.http_addr(), rule));
        broken += usize::from(row.await.is_err());
    }
    assert_eq!(broken, 0, "rules are broken");
}

async fn carry_out(server: SocketAddr, Rule { section, says, exchange }: Rule) {
    let mut clients = BTreeMap::new();
    for (number, step) in exchange.into_iter().enumerate() {
        let place = format!("[{section}] {says}: step {}", number + 1);
        let (Step::Sends(name, _) | Step::Hears(name, _) | Step::IsClosed(name)) = step;
        if let Entry::Vacant(vacant) = clients.entry(name) {
            vacant.insert(Client::open(server).await);
        }
        let client = clients.get_mut(&name).expect("it was put there");
        client.place = place;
        client.carry_out(step).await;
    }
    for client in clients.into_values() {
        client.finish().await;
    }
}

struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What the last WebSocket message holds beyond the frame that was taken.
    rest: Vec<u8>,
    /// Values that were heard, by the headers' names.
    heard: HashMap<String, String>,
    is_closed: bool,
    /// For whoever reads that a test failed.
    place: String,
}

impl Client {
    async fn open(server: SocketAddr) -> Client {
        let (socket, _) =
            tokio_tungstenite::connect_async(format!("ws://{server}/ws")).await.unwrap();
        let (rest, heard, place) = (Vec::new(), HashMap::new(), String::new());
        Client { socket, rest, heard, is_closed: false, place }
    }

    async fn carry_out(&mut self, step: Step) {
        match step {
            Step::Sends(_, bytes) => self.send(&bytes).await,
            Step::Hears(_, expected) => {
                let expected = String::from_utf8_lossy(&expected).into_owned();
                let actual = self.next().await;
                let place = &self.place;
                let actual = actual.unwrap_or_else(|| panic!("{place}: no {expected:?} came"));
                self.compare(&expected, &actual);
            }
            Step::IsClosed(_) => {
                let actual = self.next().await;
                assert_eq!(actual, None, "{}: the connection goes on", self.place);
                self.is_closed = true;
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        let message = match std::str::from_utf8(bytes) {
            Ok(text) => Message::text(self.fill_in(text)),
            Err(_) => Message::binary(bytes.to_vec()),
        };
        self.socket.send(message).await.unwrap();
    }

    fn fill_in(&self, text: &str) -> String {
        let fill = |text: String, (name, value): (&String, &String)| {
            text.replace(&format!("{{{name}}}"), value)
        };
        self.heard.iter().fold(text.to_owned(), fill)
    }

    /// The next frame without its NUL, or line end between frames.
    async fn next(&mut self) -> Option<String> {
        while self.rest.is_empty() {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match message.unwrap_or_else(|_| panic!("{}: nothing comes", self.place)) {
                Some(Ok(Message::Text(text))) => self.rest = text.as_bytes().to_vec(),
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes.to_vec(),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            }
        }
        let length = frame_length(&self.rest);
        let frame: Vec<u8> = self.rest.drain(..length).collect();
        Some(String::from_utf8_lossy(frame.strip_suffix(b"\0").unwrap_or(&frame)).into_owned())
    }

    fn compare(&mut self, expected: &str, actual: &str) {
        let place = self.place.clone();
        if expected == "\n" || actual == "\n" {
            return assert_eq!(actual, expected, "{place}");
        }
        let (expected_head, expected_body) = expected.split_once("\n\n").expect("an empty line");
        let (head, body) = actual.split_once("\n\n").expect("an empty line");
        let (mut expected_lines, mut lines) = (expected_head.lines(), head.lines());
        assert_eq!(lines.next(), expected_lines.next(), "{place}: {actual:?}");
        let lines: Vec<&str> = lines.collect();
        let value_of =
            |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        for line in expected_lines {
            if let Some(name) = line.strip_prefix('!') {
                assert_eq!(value_of(name), None, "{place}: {actual:?}");
            } else if let Some(name) = line.strip_suffix(":*") {
                let value =
                    value_of(name).unwrap_or_else(|| panic!("{place}: no {name}: {actual:?}"));
                self.heard.insert(name.to_owned(), value.to_owned());
            } else {
                let line = self.fill_in(line);
                assert!(lines.contains(&line.as_str()), "{place}: no {line:?} in {actual:?}");
            }
        }
        let middle = expected_body.trim_matches('…');
        let fits = match (expected_body.starts_with('…'), expected_body.ends_with('…')) {
            (true, true) => body.contains(middle),
            (true, false) => body.ends_with(middle),
            (false, true) => body.starts_with(middle),
            (false, false) => body == middle,
        };
        assert!(fits, "{place}: the body is no {expected_body:?}: {actual:?}");
    }

    /// Nothing has come that no step told of.
    async fn finish(mut self) {
        if !self.is_closed {
            self.send(b"BEGIN\ntransaction:the-end\nreceipt:the-end\n\n\0").await;
            let last = self.next().await;
            let place = &self.place;
            let last = last.unwrap_or_else(|| panic!("{place}: the connection ended afterwards"));
            assert_eq!(last, "RECEIPT\nreceipt-id:the-end\n\n", "{place}: came afterwards");
        }
    }
}

/// How long the first frame is, its NUL included.
fn frame_length(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\n") {
        return 1;
    }
    let head = bytes.windows(2).position(|pair| pair == b"\n\n").expect("an empty line") + 2;
    let lines = String::from_utf8_lossy(&bytes[..head]);
    let length = lines.lines().find_map(|line| line.strip_prefix("content-length:"));
    match length {
        Some(length) => head + length.parse::<usize>().expect("a number") + 1,
        None => {
            let nul = bytes[head..].iter().position(|&byte| byte == 0).expect("a NUL");
            head + nul + 1
        }
    }
}
