//! SockJS and plain STOMP over TCP on a whole server. The rules are those of sockjs-protocol 0.3.3.
#![expect(clippy::disallowed_methods, reason = "these tests use real sockets and real time")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod stomp_client;

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use madang::Server;
use madang_wire::{Command, Frame, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use stomp_client::{Client, settings, start};

const CONNECT: &str = r#"["CONNECT\naccept-version:1.2\nhost:x\n\n\u0000"]"#;
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_base_greets_and_the_info_informs() {
    let (server, _dir) = start().await;

    for path in ["/ws", "/ws/"] {
        let greeting = ask(&server, "GET", path, &[], "").await;
        assert_eq!((greeting.status, greeting.body.as_str()), (200, "Welcome to SockJS!\n"));
    }
    let info = ask(&server, "GET", "/ws/info", &[], "").await;
    let other = ask(&server, "GET", "/ws/info", &[], "").await;

    assert_eq!(info.header("content-type"), "application/json; charset=UTF-8");
    assert_eq!(info.header("cache-control"), "no-store, no-cache, must-revalidate, max-age=0");
    assert_eq!(info.header("access-control-allow-origin"), "*");
    let said: serde_json::Value = serde_json::from_str(&info.body).unwrap();
    assert_eq!(said["websocket"], true);
    assert_eq!(said["cookie_needed"], false);
    assert_eq!(said["origins"], serde_json::json!(["*:*"]));
    assert!(said["entropy"].as_u64().unwrap() <= u32::MAX.into());
    assert_ne!(info.body, other.body);
    server.shutdown().await;
}

#[tokio::test]
async fn preflights_are_answered_for_pages_that_may_connect_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.http.allowed_origins = vec!["https://app.example".to_owned()];
    let server = Server::start(settings).await.unwrap();
    let ours = [("Origin", "https://app.example"), ("Access-Control-Request-Headers", "a, b")];

    for (path, methods) in [
        ("/ws/info", "OPTIONS, GET"),
        ("/ws/0/preflight/xhr", "OPTIONS, POST"),
        ("/ws/0/preflight/xhr_send", "OPTIONS, POST"),
        ("/ws/0/preflight/xhr_streaming", "OPTIONS, POST"),
    ] {
        let answer = ask(&server, "OPTIONS", path, &ours, "").await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{path}");
        assert_eq!(answer.header("access-control-allow-methods"), methods);
        assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert_eq!(answer.header("access-control-allow-headers"), "a, b");
        assert_eq!(answer.header("access-control-max-age"), "31536000");
        assert!(answer.header("cache-control").contains("public"), "{answer:?}");

        let foreign =
            ask(&server, "OPTIONS", path, &[("Origin", "https://evil.example")], "").await;
        assert_eq!(foreign.status, 403, "{path}");
        assert!(foreign.body.contains("http.allowed_origins"));
        assert_eq!(foreign.header("access-control-allow-origin"), "");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn wrong_methods_and_unknown_paths_are_refused() {
    let (server, _dir) = start().await;

    for (method, path, status) in [
        ("GET", "/ws/0/a/xhr", 405),
        ("GET", "/ws/0/a/xhr_send", 405),
        ("POST", "/ws/0/a/eventsource", 405),
        ("POST", "/ws/0/a/htmlfile", 405),
        ("POST", "/ws/0/a/websocket", 405),
        ("GET", "/ws/0/a/websocket", 400),
        ("GET", "/ws/websocket", 400),
        ("POST", "/ws/a./a/xhr", 404),
        ("POST", "/ws///xhr", 404),
        ("GET", "/ws/a", 404),
    ] {
        let answer = ask(&server, method, path, &[], "").await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("allow").is_empty(), status != 405, "{method} {path}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn the_iframe_page_loads_the_client_from_the_server_and_is_cached() {
    let (server, _dir) = start().await;

    let page = ask(&server, "GET", "/ws/iframe-1.6.1.html?t=1", &[], "").await;
    let again = ask(&server, "GET", "/ws/iframe.html", &[], "").await;
    let known = [("If-None-Match", page.header("etag"))];
    let unchanged = ask(&server, "GET", "/ws/iframe.html", &known, "").await;
    let client = ask(&server, "GET", "/ws/sockjs.min.js", &[], "").await;

    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=UTF-8");
    assert!(page.body.contains(r#"<script src="/ws/sockjs.min.js"></script>"#), "{}", page.body);
    assert!(page.header("cache-control").contains("max-age=31536000"), "{page:?}");
    assert!(page.header("content-security-policy").contains("frame-ancestors 'self'"), "{page:?}");
    assert_eq!(page.header("etag"), again.header("etag"));
    assert_eq!((unchanged.status, unchanged.body.as_str()), (304, ""));
    assert!(client.body.starts_with("/* sockjs-client v1.6.1"), "{:.80}", client.body);
    server.shutdown().await;
}

#[tokio::test]
async fn polling_carries_a_stomp_session() {
    let (server, _dir) = start().await;
    let mut watcher = Client::connect(&server).await;
    watcher.subscribe("t", "/topic/polled", &[]).await;

    let opened = ask(&server, "POST", "/ws/000/polled/xhr", &[], "").await;
    let sent = ask(&server, "POST", "/ws/000/polled/xhr_send", &[], CONNECT).await;
    // The server id in the path is for load balancers.
    let connected = ask(&server, "POST", "/ws/999/polled/xhr", &[], "").await;
    let send = r#"["SEND\ndestination:/topic/polled\n\n\"안녕 😀\"\u0000"]"#;
    ask(&server, "POST", "/ws/000/polled/xhr_send", &[], send).await;

    assert_eq!(opened.body, "o\n");
    assert_eq!(opened.header("content-type"), "application/javascript; charset=UTF-8");
    assert_eq!(opened.header("cache-control"), "no-store, no-cache, must-revalidate, max-age=0");
    assert_eq!((sent.status, sent.body.as_str()), (204, ""));
    assert_eq!(sent.header("content-type"), "text/plain; charset=UTF-8");
    assert!(connected.body.starts_with("a[\"CONNECTED\\nversion:1.2\\n"), "{connected:?}");
    assert!(connected.body.ends_with("\\u0000\"]\n"), "{connected:?}");
    assert_eq!(watcher.message("t").await, "안녕 😀");
    server.shutdown().await;
}

#[tokio::test]
async fn bad_payloads_are_answered_in_the_protocols_words() {
    let (server, _dir) = start().await;

    let unknown = ask(&server, "POST", "/ws/000/nobody/xhr_send", &[], CONNECT).await;
    ask(&server, "POST", "/ws/000/bad/xhr", &[], "").await;
    let broken = ask(&server, "POST", "/ws/000/bad/xhr_send", &[], "[\"x").await;
    let empty = ask(&server, "POST", "/ws/000/bad/xhr_send", &[], "").await;
    let callback = ask(&server, "GET", "/ws/000/bad2/htmlfile", &[], "").await;
    let script = ask(&server, "GET", "/ws/000/bad2/htmlfile?c=alert(1)", &[], "").await;

    assert_eq!(unknown.status, 404);
    assert_eq!((broken.status, broken.body.as_str()), (500, "Broken JSON encoding."));
    assert_eq!((empty.status, empty.body.as_str()), (500, "Payload expected."));
    assert_eq!((callback.status, callback.body.as_str()), (500, "\"callback\" parameter required"));
    assert_eq!((script.status, script.body.as_str()), (500, "invalid \"callback\" parameter"));
    server.shutdown().await;
}

#[tokio::test]
async fn a_payload_without_end_is_not_collected() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.frame_bytes = 1000;
    let server = Server::start(settings).await.unwrap();
    ask(&server, "POST", "/ws/000/huge/xhr", &[], "").await;

    let huge = format!("[\"{}\"]", "x".repeat(1024 * 1024));
    let answer = ask(&server, "POST", "/ws/000/huge/xhr_send", &[], &huge).await;

    assert_eq!(answer.status, 413);
    server.shutdown().await;
}

#[tokio::test]
async fn each_streaming_transport_frames_in_its_way() {
    let (server, _dir) = start().await;
    let connected = r#"a["CONNECTED"#;
    for (method, path, prelude, open, message) in [
        (
            "POST",
            "/ws/0/s1/xhr_streaming",
            format!("{}\n", "h".repeat(2048)),
            "o\n",
            connected.to_owned(),
        ),
        (
            "GET",
            "/ws/0/s2/eventsource",
            "\r\n".to_owned(),
            "data: o\r\n\r\n",
            format!("data: {connected}"),
        ),
        (
            "GET",
            "/ws/0/s3/htmlfile?c=%63allback",
            "var c = parent.callback;\n".to_owned(),
            "<script>\np(\"o\");\n</script>\r\n",
            "p(\"a[\\\"CONNECTED".to_owned(),
        ),
    ] {
        let mut stream = Streaming::open(&server, method, path).await;

        stream.read_until(&prelude).await;
        stream.read_until(open).await;
        let send = path.rsplit_once('/').unwrap().0.to_owned() + "/xhr_send";
        ask(&server, "POST", &send, &[], CONNECT).await;
        stream.read_until(&message).await;
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_full_response_ends_and_the_next_one_goes_on() {
    let (server, _dir) = start().await;
    let mut publisher = Client::connect(&server).await;
    let mut stream = Streaming::open(&server, "POST", "/ws/0/full/xhr_streaming").await;
    stream.read_until("o\n").await;
    let subscribe = r#"["CONNECT\naccept-version:1.2\nhost:x\n\n\u0000","SUBSCRIBE\nid:1\ndestination:/topic/full\nreceipt:r\n\n\u0000"]"#;
    ask(&server, "POST", "/ws/0/full/xhr_send", &[], subscribe).await;
    stream.read_until("RECEIPT").await;

    for index in 0..3 {
        let body = format!("{index}{}", "x".repeat(60 * 1024));
        publisher.send("/topic/full", &[], &body).await;
    }
    let first = stream.read_to_end().await;
    let mut next = Streaming::open(&server, "POST", "/ws/0/full/xhr_streaming").await;
    publisher.send("/topic/full", &[], "last").await;
    next.read_until("last").await;

    assert!(first.len() < 256 * 1024, "{} bytes", first.len());
    server.shutdown().await;
}

#[tokio::test]
async fn a_second_receiver_is_refused_and_a_broken_one_ends_the_session() {
    let (server, _dir) = start().await;
    let mut first = Streaming::open(&server, "POST", "/ws/0/two/xhr_streaming").await;
    first.read_until("o\n").await;

    let second = ask(&server, "POST", "/ws/0/two/xhr", &[], "").await;
    assert_eq!(second.body, "c[2010,\"Another connection still open\"]\n");
    drop(first);
    let mut after = String::new();
    // The answer is unchanged until the server notices that the first client is gone.
    while !after.contains("1002") {
        after = ask(&server, "POST", "/ws/0/two/xhr", &[], "").await.body;
        assert!(
            after.contains("2010") || after == "c[1002,\"Connection interrupted\"]\n",
            "{after}"
        );
    }
    let again = ask(&server, "POST", "/ws/0/two/xhr", &[], "").await;
    assert_eq!(again.body, after);
    server.shutdown().await;
}

#[tokio::test]
async fn the_end_of_the_stomp_session_is_told_as_often_as_asked() {
    let (server, _dir) = start().await;
    ask(&server, "POST", "/ws/0/end/xhr", &[], "").await;

    ask(&server, "POST", "/ws/0/end/xhr_send", &[], r#"["NONSENSE\n\n\u0000"]"#).await;
    let error = ask(&server, "POST", "/ws/0/end/xhr", &[], "").await;

    assert!(error.body.starts_with("a[\"ERROR\\n"), "{error:?}");
    for _ in 0..2 {
        let end = ask(&server, "POST", "/ws/0/end/xhr", &[], "").await;
        assert_eq!(end.body, "c[3000,\"Go away!\"]\n");
    }
    let late = ask(&server, "POST", "/ws/0/end/xhr_send", &[], CONNECT).await;
    assert_eq!(late.status, 404);
    server.shutdown().await;
}

#[tokio::test]
async fn sessions_without_websocket_count_as_connections() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.connections = 2;
    let server = Server::start(settings).await.unwrap();
    for id in ["one", "two"] {
        assert_eq!(ask(&server, "POST", &format!("/ws/0/{id}/xhr"), &[], "").await.status, 200);
    }

    let refused = ask(&server, "POST", "/ws/0/three/xhr", &[], "").await;
    let known = ask(&server, "POST", "/ws/0/one/xhr_send", &[], "[]").await;

    assert_eq!((refused.status, refused.body.as_str()), (503, "too many connections"));
    assert_eq!(known.status, 204);
    server.shutdown().await;
}

#[tokio::test]
async fn the_cookie_of_load_balancers_is_kept_when_the_operator_wants_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.sockjs.cookie = true;
    let server = Server::start(settings).await.unwrap();

    let info = ask(&server, "GET", "/ws/info", &[], "").await;
    let fresh = ask(&server, "POST", "/ws/0/c1/xhr", &[], "").await;
    let known = [("Cookie", "a=b; JSESSIONID=abcdef")];
    let kept = ask(&server, "POST", "/ws/0/c2/xhr", &known, "").await;

    assert!(info.body.contains("\"cookie_needed\":true"));
    assert_eq!(info.header("set-cookie"), "");
    assert_eq!(fresh.header("set-cookie"), "JSESSIONID=dummy; path=/");
    assert_eq!(kept.header("set-cookie"), "JSESSIONID=abcdef; path=/");
    server.shutdown().await;
}

#[tokio::test]
async fn a_websocket_carries_frames_and_broken_ones_end_it() {
    let (server, _dir) = start().await;
    let url = format!("ws://{}/ws/000/same/websocket", server.http_addr());
    let (mut first, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    // The session id is ignored here.
    let (mut second, _) = tokio_tungstenite::connect_async(&url).await.unwrap();

    for socket in [&mut first, &mut second] {
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("o"));
        socket.send(Message::text("")).await.unwrap();
    }
    first.send(Message::text(CONNECT)).await.unwrap();
    let one = CONNECT.trim_start_matches('[').trim_end_matches(']');
    second.send(Message::text(one)).await.unwrap();
    for socket in [&mut first, &mut second] {
        let connected = socket.next().await.unwrap().unwrap().into_text().unwrap();
        assert!(connected.starts_with("a[\"CONNECTED\\n"), "{connected}");
    }
    first.send(Message::text("[\"a")).await.unwrap();
    assert!(!matches!(first.next().await, Some(Ok(Message::Text(_)))));
    second.send(Message::text(r#"["DISCONNECT\nreceipt:bye\n\n\u0000"]"#)).await.unwrap();
    let bye = second.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(bye.contains("RECEIPT"), "{bye}");
    assert_eq!(second.next().await.unwrap().unwrap(), Message::text("c[3000,\"Go away!\"]"));
    server.shutdown().await;
}

#[tokio::test]
async fn a_message_that_is_not_text_is_refused_clearly() {
    let (server, _dir) = start().await;
    let mut publisher = Client::connect(&server).await;
    ask(&server, "POST", "/ws/0/bytes/xhr", &[], "").await;
    let subscribe = r#"["CONNECT\naccept-version:1.2\nhost:x\n\n\u0000","SUBSCRIBE\nid:1\ndestination:/topic/bytes\nreceipt:r\n\n\u0000"]"#;
    ask(&server, "POST", "/ws/0/bytes/xhr_send", &[], subscribe).await;
    while !ask(&server, "POST", "/ws/0/bytes/xhr", &[], "").await.body.contains("RECEIPT") {}

    let send = Frame::new(Command::Send).with_header(header::DESTINATION, "/topic/bytes");
    publisher.send_frame(&send.with_body(vec![0xff_u8, 0xfe])).await;
    let error = ask(&server, "POST", "/ws/0/bytes/xhr", &[], "").await;
    let end = ask(&server, "POST", "/ws/0/bytes/xhr", &[], "").await;

    assert!(error.body.contains("SockJS carries text only"), "{error:?}");
    assert_eq!(end.body, "c[1003,\"SockJS carries text only\"]\n");
    server.shutdown().await;
}

#[tokio::test]
async fn the_raw_websocket_speaks_stomp_as_it_is() {
    let (server, _dir) = start().await;
    let url = format!("ws://{}/ws/websocket", server.http_addr());
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();

    socket.send(Message::text("CONNECT\naccept-version:1.2\nhost:x\n\n\0")).await.unwrap();

    let connected = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(connected.starts_with("CONNECTED\n"), "{connected}");
    server.shutdown().await;
}

#[tokio::test]
async fn a_drained_server_says_farewell_to_who_asks() {
    let (server, _dir) = start().await;
    let mut stream = Streaming::open(&server, "POST", "/ws/0/drained/xhr_streaming").await;
    stream.read_until("o\n").await;

    server.drain().await;
    let rest = stream.read_to_end().await;
    let fresh = ask(&server, "POST", "/ws/0/fresh/xhr", &[], "").await;

    assert!(rest.contains("the server is shutting down"), "{rest}");
    assert!(rest.contains("c[3000,\"Go away!\"]"), "{rest}");
    assert_eq!(fresh.status, 503);
    server.shutdown().await;
}

#[tokio::test]
async fn plain_tcp_speaks_stomp_on_a_port_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.stomp.tcp_listen = "127.0.0.1:0".parse().ok();
    let server = Server::start(settings).await.unwrap();
    let addr = server.stomp_addr().unwrap();
    let mut browser = Client::connect(&server).await;
    browser.subscribe("t", "/topic/tcp", &[]).await;
    let mut stream = Streaming(TcpStream::connect(addr).await.unwrap(), Vec::new());

    stream.0.write_all(b"\n\nCONNECT\naccept-version:1.2\nhost:x\n\n\0").await.unwrap();
    stream.read_until("CONNECTED\n").await;
    // Frame boundaries are independent of TCP segments.
    let bytes = b"SUBSCRIBE\nid:1\ndestination:/topic/tcp\nreceipt:s\n\n\0SEND\ndestination:/topic/tcp\n\n\"tcp\"\0";
    for half in [&bytes[..20], &bytes[20..]] {
        stream.0.write_all(half).await.unwrap();
    }
    stream.read_until("\"tcp\"\0").await;
    assert_eq!(browser.message("t").await, "tcp");
    let send = Frame::new(Command::Send).with_header(header::DESTINATION, "/topic/tcp");
    browser.send_frame(&send.with_body(vec![b'<', 0xff, 0, 0xfe, b'>'])).await;
    stream.read_until("content-length:5\n").await;
    stream.0.write_all(b"DISCONNECT\nreceipt:bye\n\n\0").await.unwrap();
    let rest = stream.read_to_end().await;

    assert!(rest.contains("receipt-id:bye"), "{rest}");
    assert!(server.summary().contains(&format!("stomp  {addr}/tcp")), "{}", server.summary());
    server.shutdown().await;
}

#[tokio::test]
async fn tcp_connections_hear_why_they_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.stomp.tcp_listen = "127.0.0.1:0".parse().ok();
    settings.limits.connections = 1;
    let server = Server::start(settings).await.unwrap();
    let _first = Client::connect(&server).await;

    let stream = TcpStream::connect(server.stomp_addr().unwrap()).await.unwrap();
    let said = Streaming(stream, Vec::new()).read_to_end().await;

    assert!(said.starts_with("ERROR\nmessage:too many connections\n"), "{said}");
    server.shutdown().await;
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

/// Sends a request verbatim and reads the whole response.
async fn ask(
    server: &Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let addr = server.http_addr();
    let stream = TcpStream::connect(addr).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let request = request(addr, method, path, headers, body);
    // A server that refuses a body may close before it has received it all.
    let write = tokio::spawn(async move {
        let _ = writer.write_all(request.as_bytes()).await;
        writer
    });
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, async {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut chunk).await {
            answer.extend_from_slice(&chunk[..count]);
        }
    })
    .await
    .expect("the server does not answer");
    drop(write.await);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { joined(body) } else { body.to_owned() };
    Answer { status, head: head.to_owned(), body }
}

fn request(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

/// Joins the chunks of a body (RFC 9112 §7.1).
fn joined(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((size, rest)) = chunks.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&rest[..size]);
        chunks = rest[size..].trim_start_matches("\r\n");
    }
    body
}

/// A streaming response.
struct Streaming(TcpStream, Vec<u8>);

impl Streaming {
    async fn open(server: &Server, method: &str, path: &str) -> Streaming {
        let addr = server.http_addr();
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(request(addr, method, path, &[], "").as_bytes()).await.unwrap();
        Streaming(stream, Vec::new())
    }

    /// Discards what arrived, up to this text.
    async fn read_until(&mut self, text: &str) {
        loop {
            let found = self.1.windows(text.len()).position(|part| part == text.as_bytes());
            if let Some(start) = found {
                self.1.drain(..start + text.len());
                return;
            }
            assert!(self.read().await > 0, "no {text:?} in {}", String::from_utf8_lossy(&self.1));
        }
    }

    async fn read_to_end(&mut self) -> String {
        while self.read().await > 0 {}
        String::from_utf8_lossy(&self.1).into_owned()
    }

    async fn read(&mut self) -> usize {
        let read = tokio::time::timeout(PATIENCE, self.0.read_buf(&mut self.1));
        read.await.expect("the server says nothing").unwrap_or(0)
    }
}
