//! A STOMP client on a real WebSocket, and a real server for it.
#![expect(clippy::disallowed_methods, reason = "waiting for a frame has a deadline")]
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared by test programs, each of which uses some of it; helpers of tests may unwrap, as tests do"
)]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use madang::{Server, Settings};
use madang_wire::{Command, Decoded, Decoder, Frame, Limits, Version, encode, header};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

/// Settings for a server on loopback, on ports that the system chooses.
pub(crate) fn settings(dir: &TempDir) -> Settings {
    let mut settings = Settings::default();
    settings.http.listen = "127.0.0.1:0".parse().unwrap();
    settings.media.udp_port = 0;
    settings.media.workers = 1;
    settings.turn.enabled = false;
    settings.data_dir = dir.path().to_owned();
    settings
}

/// A fresh server, and the folder of its data.
pub(crate) async fn start() -> (Server, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(settings(&dir)).await.unwrap();
    (server, dir)
}

/// Polls the readiness endpoint until its status and text contain `wanted`, and returns them.
pub(crate) async fn until_ready_says(server: &Server, wanted: &str) -> String {
    let address = format!("http://{}/readyz", server.http_addr());
    let asking = async {
        loop {
            let answer = reqwest::get(&address).await.unwrap();
            let answer = format!("{}\n{}", answer.status(), answer.text().await.unwrap());
            if answer.contains(wanted) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect(wanted)
}

/// A connection.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    decoder: Decoder,
    /// Frames that came while another was waited for.
    waiting: Vec<Frame>,
    /// Whether the last WebSocket message was a text one.
    pub(crate) was_text: bool,
}

impl Client {
    /// Connects a WebSocket, and nothing more.
    pub(crate) async fn open(server: &Server) -> Client {
        let url = format!("ws://{}/ws", server.http_addr());
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "v12.stomp".parse().unwrap());
        let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        let decoder = Decoder::new(Limits::default());
        Client { socket, decoder, waiting: Vec::new(), was_text: false }
    }

    /// Takes frames that are longer than usual.
    pub(crate) fn decodes_up_to(&mut self, frame_bytes: usize) {
        self.decoder = Decoder::new(Limits { frame_bytes, ..Limits::default() });
    }

    /// Connects, and listens to `/user/queue/signal`.
    pub(crate) async fn connect(server: &Server) -> Client {
        let mut client = Client::open(server).await;
        client.send_text("CONNECT\naccept-version:1.2\nhost:test\n\n\0").await;
        assert_eq!(client.next().await.command, Command::Connected);
        client.subscribe("signal", "/user/queue/signal", &[]).await;
        client
    }

    /// The same with a token.
    pub(crate) async fn connect_with(server: &Server, token: &str) -> Client {
        let mut client = Client::open(server).await;
        let connect =
            format!("CONNECT\naccept-version:1.2\nhost:test\nAuthorization:Bearer {token}\n\n\0");
        client.send_text(&connect).await;
        assert_eq!(client.next().await.command, Command::Connected);
        client.subscribe("signal", "/user/queue/signal", &[]).await;
        client
    }

    /// Connects, and joins a room without media; returns the `joined` message.
    pub(crate) async fn join(server: &Server, room: &str, name: &str) -> (Client, Value) {
        let client = Client::connect(server).await;
        client.into_room(room, name).await
    }

    /// Joins a room without media; returns the `joined` message.
    pub(crate) async fn into_room(mut self, room: &str, name: &str) -> (Client, Value) {
        let client = &mut self;
        let body = serde_json::json!({ "name": name }).to_string();
        let joined = client.request(room, "join", &body).await;
        assert_eq!(joined["type"], "joined", "{joined}");
        (self, joined)
    }

    /// Sends bytes as they are.
    pub(crate) async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Sends a frame.
    pub(crate) async fn send_frame(&mut self, frame: &Frame) {
        let bytes = encode(frame, Version::V1_2);
        let message = match std::str::from_utf8(&bytes) {
            Ok(text) => Message::text(text),
            Err(_) => Message::binary(bytes),
        };
        self.socket.send(message).await.unwrap();
    }

    /// Sends a SEND.
    pub(crate) async fn send(&mut self, destination: &str, headers: &[(&str, &str)], body: &str) {
        let mut frame = Frame::new(Command::Send).with_header(header::DESTINATION, destination);
        for (name, value) in headers {
            frame.headers.push(*name, *value);
        }
        self.send_frame(&frame.with_body(body.to_owned())).await;
    }

    /// Subscribes, and waits until that is so.
    pub(crate) async fn subscribe(
        &mut self,
        id: &str,
        destination: &str,
        headers: &[(&str, &str)],
    ) {
        let mut frame = Frame::new(Command::Subscribe)
            .with_header(header::ID, id)
            .with_header(header::DESTINATION, destination)
            .with_header(header::RECEIPT, format!("subscribed-{id}"));
        for (name, value) in headers {
            frame.headers.push(*name, *value);
        }
        self.send_frame(&frame).await;
        self.receipt(&format!("subscribed-{id}")).await;
    }

    /// Sends a request to a room and returns the reply.
    pub(crate) async fn request(&mut self, room: &str, action: &str, body: &str) -> Value {
        self.request_with(room, action, &[], body).await
    }

    /// Sends a request with further headers to a room and returns the reply.
    pub(crate) async fn request_with(
        &mut self,
        room: &str,
        action: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Value {
        let mut all = vec![(header::CORRELATION_ID, "this-one")];
        all.extend(headers);
        self.send(&format!("/app/rooms/{room}/{action}"), &all, body).await;
        let reply =
            self.wait_for(|frame| frame.header(header::CORRELATION_ID) == Some("this-one")).await;
        assert_eq!(reply.header(header::DESTINATION), Some("/user/queue/signal"));
        json(&reply)
    }

    /// Writes into a room's chat and waits until it is stored.
    pub(crate) async fn chat(&mut self, room: &str, text: &str) {
        let body = serde_json::json!({ "text": text }).to_string();
        let destination = format!("/app/rooms/{room}/chat");
        self.send(&destination, &[(header::RECEIPT, text)], &body).await;
        self.receipt(text).await;
    }

    /// Waits for a receipt.
    pub(crate) async fn receipt(&mut self, id: &str) {
        self.wait_for(|frame| {
            frame.command == Command::Receipt && frame.header(header::RECEIPT_ID) == Some(id)
        })
        .await;
    }

    /// The body of the next message of a subscription.
    pub(crate) async fn message(&mut self, subscription: &str) -> Value {
        let is_it = |frame: &Frame| frame.header(header::SUBSCRIPTION) == Some(subscription);
        json(&self.wait_for(is_it).await)
    }

    /// The next message of a subscription whose field `type` is this.
    pub(crate) async fn message_of_type(&mut self, subscription: &str, kind: &str) -> Value {
        let is_it = |frame: &Frame| {
            frame.header(header::SUBSCRIPTION) == Some(subscription) && json(frame)["type"] == kind
        };
        json(&self.wait_for(is_it).await)
    }

    /// The first frame that fits, also one that came earlier.
    pub(crate) async fn wait_for(&mut self, is_it: impl Fn(&Frame) -> bool) -> Frame {
        if let Some(index) = self.waiting.iter().position(&is_it) {
            return self.waiting.remove(index);
        }
        loop {
            let frame = self.receive().await.expect("the connection ended");
            if is_it(&frame) {
                return frame;
            }
            self.waiting.push(frame);
        }
    }

    /// Whether such a frame came that nobody has taken.
    pub(crate) fn seen(&self, is_it: impl Fn(&Frame) -> bool) -> bool {
        self.waiting.iter().any(is_it)
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> Frame {
        if self.waiting.is_empty() {
            return self.receive().await.expect("the connection ended");
        }
        self.waiting.remove(0)
    }

    /// Whether the server closes the connection; frames before that are kept.
    pub(crate) async fn is_closed(&mut self) -> bool {
        while let Some(frame) = self.receive().await {
            self.waiting.push(frame);
        }
        true
    }

    /// Cuts the connection without a word.
    pub(crate) fn drop_connection(self) {
        drop(self.socket);
    }

    async fn receive(&mut self) -> Option<Frame> {
        loop {
            if let Some(decoded) = self.decoder.next_frame().unwrap() {
                match decoded {
                    Decoded::HeartBeat => continue,
                    Decoded::Frame(frame) => return Some(frame),
                }
            }
            let next = tokio::time::timeout(PATIENCE, self.socket.next());
            match next.await.expect("the server says nothing") {
                Some(Ok(Message::Text(text))) => {
                    self.was_text = true;
                    self.decoder.push(text.as_bytes()).unwrap();
                }
                Some(Ok(Message::Binary(bytes))) => {
                    self.was_text = false;
                    self.decoder.push(&bytes).unwrap();
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }
}

/// The body of a frame.
pub(crate) fn json(frame: &Frame) -> Value {
    serde_json::from_slice(&frame.body).unwrap_or_else(|error| panic!("{error}: {frame:?}"))
}
