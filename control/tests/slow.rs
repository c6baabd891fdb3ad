//! Clients that stop reading, and the others on the same server.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod stomp_client;

use futures_util::{SinkExt, StreamExt};
use madang::Server;
use madang::limits::SlowPolicy;
use madang_wire::{Command, Decoded, Decoder, Frame, Limits, header};
use stomp_client::{Client, settings};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const TOPIC: &str = "/topic/slow";
/// More rounds than any system's buffers hold.
const ROUNDS: usize = 2_000;
const PER_ROUND: usize = 20;

#[tokio::test]
async fn who_does_not_read_is_told_the_limit_and_nobody_else_notices() {
    let (server, _dir) = start(SlowPolicy::Disconnect).await;
    let mut stalled = Stalled::subscribe(&server, TOPIC).await;
    let (mut healthy, mut sender) =
        (Client::connect(&server).await, Client::connect(&server).await);
    healthy.subscribe("s", TOPIC, &[]).await;

    let slow = "madang_control_slow_consumers_total{policy=\"disconnect\"} 1";
    publish_until(&server, slow, &mut sender, &mut healthy).await;

    let error = stalled.last_frame().await;
    assert_eq!(error.command, Command::Error);
    assert_eq!(error.header(header::MESSAGE), Some("slow consumer"));
    let detail = String::from_utf8_lossy(&error.body).into_owned();
    assert!(detail.contains("limits.outbox_"), "{detail}");
    let page = metrics(&server).await;
    assert!(has(&page, "madang_control_protocol_errors_total{kind=\"slow consumer\"} 1"), "{page}");
    server.shutdown().await;
}

#[tokio::test]
async fn a_topic_that_may_lose_its_oldest_keeps_its_reader() {
    let (server, _dir) = start(SlowPolicy::DropOldest).await;
    let mut stalled = Stalled::subscribe(&server, TOPIC).await;
    let (mut healthy, mut sender) =
        (Client::connect(&server).await, Client::connect(&server).await);
    healthy.subscribe("s", TOPIC, &[]).await;

    let slow = "madang_control_slow_consumers_total{policy=\"drop_oldest\"} 1";
    publish_until(&server, slow, &mut sender, &mut healthy).await;
    sender.send(TOPIC, &[], "last").await;

    stalled.read_until(|frame| frame.body == "last").await;
    let page = metrics(&server).await;
    assert!(!has(&page, "madang_control_discarded_messages_total{policy=\"drop_oldest\"} 0"));
    assert!(has(&page, "madang_control_slow_consumers_total{policy=\"disconnect\"} 0"), "{page}");
    server.shutdown().await;
}

#[tokio::test]
async fn of_a_participants_states_the_latest_arrives() {
    let (server, _dir) = start(SlowPolicy::Disconnect).await;
    let (mut talker, _) = Client::join(&server, "회의", "말하는 이").await;
    let mut stalled = Stalled::subscribe(&server, "/topic/rooms/회의/events").await;

    let slow = "madang_control_slow_consumers_total{policy=\"coalesce\"} 1";
    for round in 0..ROUNDS {
        for number in 0..PER_ROUND {
            let name = format!("{number}{}", "가".repeat(20));
            let body = serde_json::json!({ "name": name, "metadata": { "x": "x".repeat(4_000) } });
            talker.send("/app/rooms/회의/state", &[], &body.to_string()).await;
        }
        // Receipts arrive in order, so the whole round is done.
        talker.send("/app/rooms/회의/react", &[(header::RECEIPT, "r")], r#"{"emoji":"👍"}"#).await;
        talker.receipt("r").await;
        if has(&metrics(&server).await, slow) {
            break;
        }
        assert!(round + 1 < ROUNDS, "nobody was slow");
    }
    let body = r#"{"name":"마지막"}"#;
    talker.send("/app/rooms/회의/state", &[], body).await;

    stalled.read_until(|frame| String::from_utf8_lossy(&frame.body).contains("마지막")).await;
    server.shutdown().await;
}

#[tokio::test]
async fn what_is_counted_is_on_the_metrics_page() {
    let (server, _dir) = start(SlowPolicy::Disconnect).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("s", TOPIC, &[]).await;
    client.send(TOPIC, &[], "1").await;
    assert_eq!(client.next().await.body, "1");
    client.send(TOPIC, &[(header::RECEIPT, "r")], "2").await;
    client.receipt("r").await;

    let page = metrics(&server).await;

    for line in [
        "madang_control_sessions 1",
        "madang_control_subscriptions{at=\"broker\"} 1",
        "madang_control_subscriptions{at=\"user\"} 1",
        "madang_control_subscriptions{at=\"relay\"} 0",
        "madang_control_received_frames_total{command=\"SEND\"} 2",
        "madang_control_sent_frames_total{command=\"CONNECTED\"} 1",
        "madang_control_sent_frames_total{command=\"MESSAGE\"} 2",
        "madang_control_fan_out_seconds_count 2",
        "madang_control_fan_out_seconds_bucket{le=\"+Inf\"} 2",
    ] {
        assert!(has(&page, line), "{line} is missing in\n{page}");
    }
    server.shutdown().await;
}

/// A server with small outboxes.
async fn start(slow_topics: SlowPolicy) -> (Server, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.messages_per_second = 0;
    settings.limits.changes_per_second = 0;
    settings.limits.frame_bytes = 64 * 1024;
    settings.limits.outbox_messages = 100;
    settings.limits.outbox_bytes = 512 * 1024;
    settings.limits.slow_topics = slow_topics;
    (Server::start(settings).await.unwrap(), dir)
}

/// Publishes and reads everything at the healthy client until the metrics contain this line.
async fn publish_until(server: &Server, line: &str, sender: &mut Client, healthy: &mut Client) {
    let rest = "x".repeat(4_096);
    for round in 0..ROUNDS {
        for number in 0..PER_ROUND {
            sender.send(TOPIC, &[], &format!("{round} {number} {rest}")).await;
        }
        for number in 0..PER_ROUND {
            let expected = format!("{round} {number} ");
            assert!(healthy.next().await.body.starts_with(expected.as_bytes()));
        }
        if has(&metrics(server).await, line) {
            return;
        }
    }
    panic!("nobody was slow");
}

/// A subscriber with a small receive buffer, which reads on demand.
struct Stalled {
    socket: WebSocketStream<TcpStream>,
    decoder: Decoder,
}

impl Stalled {
    async fn subscribe(server: &Server, destination: &str) -> Stalled {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let stream = socket.connect(server.http_addr()).await.unwrap();
        let url = format!("ws://{}/ws", server.http_addr());
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        let mut stalled = Stalled { socket, decoder: Decoder::new(Limits::default()) };
        let subscribe = format!("SUBSCRIBE\nid:s\ndestination:{destination}\nreceipt:r\n\n\0");
        for text in ["CONNECT\naccept-version:1.2\nhost:x\n\n\0", &subscribe] {
            stalled.socket.send(Message::text(text)).await.unwrap();
        }
        stalled.read_until(|frame| frame.command == Command::Receipt).await;
        stalled
    }

    async fn read_until(&mut self, is_it: impl Fn(&Frame) -> bool) {
        while !is_it(&self.next().await.expect("the connection ended")) {}
    }

    async fn last_frame(&mut self) -> Frame {
        let mut last = None;
        while let Some(frame) = self.next().await {
            last = Some(frame);
        }
        last.expect("a frame")
    }

    async fn next(&mut self) -> Option<Frame> {
        loop {
            match self.decoder.next_frame().unwrap() {
                Some(Decoded::Frame(frame)) => return Some(frame),
                Some(Decoded::HeartBeat) => {}
                None => match self.socket.next().await {
                    Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                        self.decoder.push(&message.into_data()).unwrap();
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                },
            }
        }
    }
}

async fn metrics(server: &Server) -> String {
    let mut stream = TcpStream::connect(server.http_addr()).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    page
}

fn has(page: &str, line: &str) -> bool {
    page.lines().any(|one| one == line)
}
