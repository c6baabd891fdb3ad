//! STOMP over WebSocket on a whole server.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod stomp_client;

use madang::Server;
use madang_wire::{Command, Frame, header};
use serde_json::json;

use stomp_client::{Client, settings, start};

#[tokio::test]
async fn connect_opens_a_guests_session() {
    let (server, _dir) = start().await;
    let mut client = Client::open(&server).await;

    client.send_text("CONNECT\naccept-version:1.1,1.2\nhost:x\nheart-beat:0,0\n\n\0").await;

    let connected = client.next().await;
    assert_eq!(connected.command, Command::Connected);
    assert_eq!(connected.header(header::VERSION), Some("1.2"));
    assert!(connected.header(header::SERVER).unwrap().starts_with("madang/"));
    assert!(connected.header(header::USER_NAME).unwrap().starts_with("guest"));
    server.shutdown().await;
}

#[tokio::test]
async fn a_malformed_frame_ends_its_connection_alone() {
    let (server, _dir) = start().await;
    let (mut other, _) = Client::join(&server, "a", "other").await;
    let mut client = Client::connect(&server).await;

    client.send_text("SEND\ndestination:/topic/a\nbad\\t:1\n\n\0").await;

    let error = client.next().await;
    assert_eq!(error.command, Command::Error);
    assert_eq!(error.header(header::MESSAGE), Some("malformed frame"));
    assert!(!error.body.is_empty());
    assert!(client.is_closed().await);
    other.chat("a", "still here").await;
    assert_eq!(server_stats(&server).await, "1");
    server.shutdown().await;
}

#[tokio::test]
async fn a_topic_reaches_all_and_patterns_match() {
    let (server, _dir) = start().await;
    let mut alice = Client::connect(&server).await;
    let mut bob = Client::connect(&server).await;
    alice.subscribe("t", "/topic/소식/*", &[]).await;
    bob.subscribe("t", "/topic/**", &[]).await;

    alice.send("/topic/소식/오늘", &[("x-note", "a:b\nc")], "{\"말\":\"안녕\"}").await;

    for client in [&mut alice, &mut bob] {
        let message = client.wait_for(|frame| frame.command == Command::Message).await;
        assert_eq!(message.header(header::DESTINATION), Some("/topic/소식/오늘"));
        assert_eq!(message.header("x-note"), Some("a:b\nc"));
        assert_eq!(message.body, "{\"말\":\"안녕\"}".as_bytes());
        assert!(client.was_text);
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_body_that_is_not_text_travels_in_a_binary_message() {
    let (server, _dir) = start().await;
    let mut client = Client::connect(&server).await;
    client.subscribe("t", "/topic/bytes", &[]).await;
    let body: Vec<u8> = (0..=255).collect();

    let send = Frame::new(Command::Send).with_header(header::DESTINATION, "/topic/bytes");
    client.send_frame(&send.with_body(body.clone())).await;

    let message = client.wait_for(|frame| frame.command == Command::Message).await;
    assert_eq!(message.body, body);
    assert!(!client.was_text);
    server.shutdown().await;
}

#[tokio::test]
async fn a_queue_message_goes_to_one_and_comes_back_when_its_reader_goes() {
    let (server, _dir) = start().await;
    let mut first = Client::connect(&server).await;
    first.subscribe("q", "/queue/work", &[(header::ACK, "client-individual")]).await;
    first.send("/queue/work", &[], "\"job\"").await;
    assert_eq!(first.message("q").await, "job");

    let mut second = Client::connect(&server).await;
    second.subscribe("q", "/queue/work", &[]).await;
    first.drop_connection();

    assert_eq!(second.message("q").await, "job");
    server.shutdown().await;
}

#[tokio::test]
async fn users_can_be_written_to_but_only_the_server_signals() {
    let (server, _dir) = start().await;
    let mut alice = Client::connect(&server).await;
    let mut bob = Client::open(&server).await;
    bob.send_text("CONNECT\naccept-version:1.2\nhost:x\n\n\0").await;
    let name = bob.next().await.header(header::USER_NAME).unwrap().to_owned();
    bob.subscribe("mine", "/user/queue/**", &[]).await;

    alice.send(&format!("/user/{name}/queue/signal"), &[], "{\"type\":\"left\"}").await;
    let refused = alice.message("signal").await;
    alice.send(&format!("/user/{name}/queue/hello"), &[], "\"hello\"").await;

    assert_eq!(refused["code"], "not_allowed");
    assert_eq!(bob.message("mine").await, "hello");
    server.shutdown().await;
}

#[tokio::test]
async fn a_transaction_is_heard_at_its_commit() {
    let (server, _dir) = start().await;
    let mut client = Client::connect(&server).await;
    client.subscribe("t", "/topic/a", &[]).await;

    client.send_text("BEGIN\ntransaction:x\n\n\0").await;
    client.send("/topic/a", &[(header::TRANSACTION, "x")], "1").await;
    client.send("/topic/a", &[], "2").await;
    client.send("/topic/a", &[(header::TRANSACTION, "x")], "3").await;
    client.send_text("COMMIT\ntransaction:x\nreceipt:done\n\n\0").await;

    let heard = [client.message("t").await, client.message("t").await, client.message("t").await];
    assert_eq!(heard, [json!(2), json!(1), json!(3)]);
    client.receipt("done").await;
    server.shutdown().await;
}

#[tokio::test]
async fn disconnect_is_acknowledged_then_the_connection_closes() {
    let (server, _dir) = start().await;
    let (mut client, _) = Client::join(&server, "a", "a").await;

    client.send("/app/rooms/a/chat", &[(header::RECEIPT, "chat")], "{\"text\":\"bye\"}").await;
    client.send_text("DISCONNECT\nreceipt:bye\n\n\0").await;

    client.receipt("chat").await;
    client.receipt("bye").await;
    assert!(client.is_closed().await);
    server.shutdown().await;
}

#[tokio::test]
async fn the_spring_tutorials_chat_works() {
    let (server, _dir) = start().await;
    let mut a = Client::connect(&server).await;
    let mut b = Client::connect(&server).await;
    a.subscribe("chat", "/topic/chat/room/5", &[]).await;
    b.subscribe("chat", "/sub/chat/room/5", &[]).await;
    let body = r#"{"chatRoomId":5,"type":"MESSAGE","writer":"clientB"}"#;

    b.send("/pub/chat", &[], body).await;

    for client in [&mut a, &mut b] {
        let is_chat = |frame: &Frame| frame.header(header::SUBSCRIPTION) == Some("chat");
        assert_eq!(client.wait_for(is_chat).await.body, body.as_bytes());
    }
    server.shutdown().await;
}

#[tokio::test]
async fn what_only_the_server_publishes_is_refused() {
    let (server, _dir) = start().await;
    let mut client = Client::connect(&server).await;
    for destination in ["/topic/rooms", "/topic/rooms/a/chat", "/topic/rooms/회의/events"] {
        client.send(destination, &[], "{}").await;
        let error = client.message("signal").await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("not_allowed")));
    }
    server.shutdown().await;
}

#[tokio::test]
async fn unknown_destinations_name_the_known_ones() {
    let (server, _dir) = start().await;
    let mut client = Client::connect(&server).await;
    for destination in ["/nowhere", "/app/nothing", "/topic/*", "/app/rooms/a b/join"] {
        client.send(destination, &[(header::CORRELATION_ID, "c-1")], "{}").await;
        let error =
            client.wait_for(|frame| frame.header(header::CORRELATION_ID) == Some("c-1")).await;
        assert_eq!(stomp_client::json(&error)["type"], "error", "{destination}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_frame_beyond_the_limit_ends_its_connection() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.frame_bytes = 64 * 1024;
    let server = Server::start(settings).await.unwrap();
    let mut client = Client::connect(&server).await;

    // Split into two messages, each short enough for the WebSocket.
    let half = "x".repeat(40_000);
    client.send_text(&format!("SEND\ndestination:/topic/a\n\n{half}")).await;
    client.send_text(&format!("{half}\0")).await;

    let error = client.next().await;
    assert_eq!(error.command, Command::Error);
    assert!(String::from_utf8_lossy(&error.body).contains("65536"));
    assert!(client.is_closed().await);
    server.shutdown().await;
}

#[tokio::test]
async fn a_websocket_message_beyond_the_limit_is_answered_too() {
    let (server, _dir) = start().await;
    let mut client = Client::connect(&server).await;

    client.send_text(&"x".repeat(3 * 1024 * 1024)).await;

    let error = client.next().await;
    assert_eq!(error.command, Command::Error);
    assert!(String::from_utf8_lossy(&error.body).contains("too long"));
    server.shutdown().await;
}

#[tokio::test]
async fn a_body_of_megabytes_passes_where_the_limit_allows_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.frame_bytes = 6 * 1024 * 1024;
    let server = Server::start(settings).await.unwrap();
    let (mut sender, mut receiver) =
        (Client::connect(&server).await, Client::connect(&server).await);
    receiver.decodes_up_to(6 * 1024 * 1024);
    receiver.subscribe("t", "/topic/큰것", &[]).await;
    let text = "가".repeat(350_000);
    let bytes: Vec<u8> = (0..4 * 1024 * 1024_u32).map(|n| (n * 31 % 251) as u8).collect();

    sender.send("/topic/큰것", &[], &text).await;
    let send = Frame::new(Command::Send).with_header(header::DESTINATION, "/topic/큰것");
    sender.send_frame(&send.with_body(bytes.clone())).await;

    let is_message = |frame: &Frame| frame.header(header::SUBSCRIPTION) == Some("t");
    assert_eq!(receiver.wait_for(is_message).await.body, text);
    assert!(receiver.was_text);
    assert_eq!(receiver.wait_for(is_message).await.body, bytes);
    assert!(!receiver.was_text);
    server.shutdown().await;
}

#[tokio::test]
async fn messages_of_one_sender_keep_their_order_at_every_subscriber() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.messages_per_second = 0;
    let server = Server::start(settings).await.unwrap();
    let mut sender = Client::connect(&server).await;
    let mut subscribers = Vec::new();
    for pattern in ["/topic/order", "/topic/*", "/topic/**"] {
        let mut client = Client::connect(&server).await;
        client.subscribe("t", pattern, &[]).await;
        subscribers.push(client);
    }

    // First one at a time, then many in one WebSocket message.
    for number in 0..200 {
        sender.send("/topic/order", &[], &number.to_string()).await;
    }
    let many = (200..1000).map(|number| format!("SEND\ndestination:/topic/order\n\n{number}\0"));
    sender.send_text(&many.collect::<String>()).await;

    for client in &mut subscribers {
        for number in 0..1000 {
            assert_eq!(client.message("t").await, number);
        }
    }
    server.shutdown().await;
}

#[tokio::test]
async fn connections_are_limited_per_address() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.connections_per_address = 1;
    let server = Server::start(settings).await.unwrap();
    let _first = Client::connect(&server).await;

    let mut second = Client::open(&server).await;

    assert_eq!(second.next().await.header(header::MESSAGE), Some("too many connections"));
    assert!(second.is_closed().await);
    server.shutdown().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.frame_bytes = 256 * 1024;
    settings.limits.outbox_bytes = 512 * 1024;
    settings.limits.messages_per_second = 0;
    let server = Server::start(settings).await.unwrap();
    let mut slow = Client::connect(&server).await;
    slow.subscribe("t", "/topic/flood", &[]).await;
    let mut other = Client::connect(&server).await;
    other.subscribe("echo", "/topic/echo", &[]).await;

    let body = format!("\"{}\"", "x".repeat(200_000));
    while metric(&server, r#"slow_consumers_total{policy="disconnect"}"#).await == "0" {
        other.send("/topic/flood", &[], &body).await;
        other.send("/topic/echo", &[], "\"on\"").await;
        assert_eq!(other.message("echo").await, "on");
    }

    assert!(slow.is_closed().await);
    server.shutdown().await;
}

#[tokio::test]
async fn shutdown_says_goodbye() {
    let (server, _dir) = start().await;
    let mut client = Client::connect(&server).await;

    server.shutdown().await;

    let error = client.next().await;
    assert_eq!(error.header(header::MESSAGE), Some("the server is shutting down"));
    assert!(client.is_closed().await);
}

/// The metrics page, which counts the sessions that ended with an ERROR.
async fn server_stats(server: &Server) -> String {
    metric(server, "protocol_errors").await
}

/// The value of the control plane's metric whose name contains this text.
async fn metric(server: &Server, name: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut stream = tokio::net::TcpStream::connect(server.http_addr()).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    let line = page.lines().find(|line| !line.starts_with('#') && line.contains(name));
    line.unwrap_or_else(|| panic!("{name} in {page}")).rsplit(' ').next().unwrap().to_owned()
}
