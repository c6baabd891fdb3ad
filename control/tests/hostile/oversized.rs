//! Too much of everything.

use madang::Server;

use crate::raw::{BINARY, Raw, TEXT, UPGRADE, frame};
use crate::{Bystander, stomp_client};

/// Of a STOMP frame. A WebSocket message may have 64 KiB more, see `http::MESSAGE_SLACK`.
const LIMIT: usize = 10_000;

#[tokio::test]
async fn urls_and_heads_of_requests() {
    let (server, _dir) = limited().await;
    let mut bystander = Bystander::connect(&server).await;
    let close = ("Connection", "close");
    let long = "x".repeat(70_000);
    let longer = "x".repeat(500_000);
    let names: Vec<String> = (0..200).map(|number| format!("X-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();

    for (what, path, headers, status) in [
        ("a URL", format!("/{long}"), vec![close], 414),
        ("a URL's query", format!("/ws/info?{long}"), vec![close], 414),
        ("a header", "/ws".to_owned(), vec![close, ("X-Long", longer.as_str())], 431),
        ("many headers", "/ws".to_owned(), many, 431),
        ("the name of a session", format!("/ws/000/{}/xhr", "x".repeat(300)), vec![close], 404),
        ("the name of a room", format!("/rooms/{}", "x".repeat(65)), vec![close], 404),
    ] {
        let mut raw = Raw::connect(server.http_addr()).await;
        raw.request("GET", &path, &headers, "").await;
        assert_eq!(raw.answer().await.status, status, "{what}");
    }
    bystander.goes_on().await;
    server.shutdown().await;
}

#[tokio::test]
async fn websocket_messages_of_every_kind_of_websocket() {
    let (server, _dir) = limited().await;
    let mut bystander = Bystander::connect(&server).await;
    let message = vec![b'x'; 200_000];
    let piece = &message[..60_000];
    let in_pieces =
        [frame(0x01, true, piece), frame(0x00, true, piece), frame(0x80, true, piece)].concat();

    for path in ["/ws", "/ws/websocket", "/ws/000/any/websocket"] {
        for (what, bytes) in [
            ("text", frame(TEXT, true, &message)),
            ("bytes", frame(BINARY, true, &message)),
            ("text in pieces", in_pieces.clone()),
        ] {
            let mut raw = Raw::upgrade(server.http_addr(), path).await;
            raw.send(&bytes).await;
            let (said, code) = raw.until_closed().await;
            assert!(said.contains("unreadable message"), "{path}, {what}: {said}");
            assert!(said.contains("too long"), "{path}, {what}: {said}");
            assert_eq!(code, Some(1009), "{path}, {what}");
        }
    }
    bystander.goes_on().await;
    server.shutdown().await;
}

#[tokio::test]
async fn frames_that_other_transports_carry() {
    let (server, _dir) = limited().await;
    let mut bystander = Bystander::connect(&server).await;
    let close = [("Connection", "close")];
    let too_long = format!("SEND\ndestination:/topic/a\n\n{}", "x".repeat(LIMIT));
    let limit = format!("frame_bytes = {LIMIT}");
    let ask = async |path: &str, body: &str| {
        let mut raw = Raw::connect(server.http_addr()).await;
        raw.request("POST", path, &close, body).await;
        raw.answer().await
    };

    let mut tcp = Raw::connect(server.stomp_addr().unwrap()).await;
    tcp.send(format!("CONNECT\naccept-version:1.2\nhost:x\n\n\0{too_long}").as_bytes()).await;
    let said = String::from_utf8_lossy(&tcp.rest().await).into_owned();
    assert!(said.contains("ERROR\nmessage:malformed frame\n") && said.contains(&limit), "{said}");

    ask("/ws/000/long/xhr", "").await;
    let connect = "CONNECT\naccept-version:1.2\nhost:x\n\n\0";
    let payload = serde_json::to_string(&[connect, &too_long]).unwrap();
    assert_eq!(ask("/ws/000/long/xhr_send", &payload).await.status, 204);
    let mut said = String::new();
    while !said.contains("c[3000") {
        said = said + &ask("/ws/000/long/xhr", "").await.text;
    }
    assert!(said.contains("ERROR\\nmessage:malformed frame\\n") && said.contains(&limit), "{said}");

    ask("/ws/000/body/xhr", "").await;
    let body = format!("[\"{}\"]", "x".repeat(400_000));
    let refused = ask("/ws/000/body/xhr_send", &body).await;
    assert_eq!(refused.status, 413);
    assert!(refused.text.contains("The payload is too large."), "{refused:?}");
    bystander.goes_on().await;
    server.shutdown().await;
}

#[tokio::test]
async fn connections() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = stomp_client::settings(&dir);
    settings.limits.connections = 1;
    let server = Server::start(settings).await.unwrap();
    let mut bystander = Bystander::connect(&server).await;

    for path in ["/ws", "/ws/websocket", "/ws/000/any/websocket"] {
        let (said, code) = Raw::upgrade(server.http_addr(), path).await.until_closed().await;
        assert!(said.contains("too many connections"), "{path}: {said}");
        assert_eq!(code, Some(1013), "{path}");
    }
    bystander.goes_on().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_response_that_is_not_a_websocket_costs_nothing_to_the_next() {
    let (server, _dir) = limited().await;
    let mut raw = Raw::connect(server.http_addr()).await;

    // On one connection: refused, refused, and then a proper one.
    raw.request("GET", "/ws/nothing", &[], "").await;
    assert_eq!(raw.answer().await.status, 404);
    raw.request("DELETE", "/ws", &[], "").await;
    assert_eq!(raw.answer().await.status, 405);
    raw.request("GET", "/ws", &UPGRADE, "").await;

    assert!(raw.head().await.starts_with("HTTP/1.1 101 "));
    server.shutdown().await;
}

async fn limited() -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = stomp_client::settings(&dir);
    settings.limits.frame_bytes = LIMIT;
    settings.stomp.tcp_listen = "127.0.0.1:0".parse().ok();
    (Server::start(settings).await.unwrap(), dir)
}
