//! HTTP on a whole server.
#![expect(clippy::disallowed_methods, reason = "these tests use real sockets and real time")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

use std::net::SocketAddr;
use std::time::Duration;

use madang::cli::healthcheck;
use madang::{Server, Settings};
use madang_wire::Secret;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};

#[tokio::test]
async fn a_fresh_server_is_well_and_ready() {
    let (server, _dir) = start().await;

    let health = get(&server, "/healthz", &[]).await;
    let readiness = get(&server, "/readyz", &[]).await;

    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    assert_eq!((readiness.status, readiness.body.as_str()), (200, "ready\n"));
    healthcheck::ask(server.http_addr()).await.unwrap();
    server.shutdown().await;
}

#[tokio::test]
async fn a_draining_server_is_well_but_takes_no_more_work() {
    let (server, _dir) = start().await;

    server.drain().await;
    let health = get(&server, "/healthz", &[]).await;
    let readiness = get(&server, "/readyz", &[]).await;
    let websocket = handshake(&server, None, None).await;

    assert_eq!(health.status, 200);
    assert_eq!((readiness.status, readiness.body.as_str()), (503, "draining\n"));
    assert_eq!(websocket, Err((503, "draining\n".to_owned())));
    server.shutdown().await;
}

#[tokio::test]
async fn a_server_that_is_gone_is_not_well() {
    let (server, _dir) = start().await;
    let addr = server.http_addr();
    server.shutdown().await;

    let error = healthcheck::ask(addr).await.unwrap_err().to_string();

    assert!(error.contains(&addr.to_string()), "{error}");
}

#[tokio::test]
async fn the_metrics_page_has_all_parts() {
    let (server, _dir) = start().await;

    let page = get(&server, "/metrics", &[]).await;

    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/plain; version=0.0.4"), "{page:?}");
    for family in
        ["madang_build_info", "madang_sfu_peers", "madang_turn_allocations", "madang_control_rooms"]
    {
        assert!(
            page.body.contains(&format!("# HELP {family} ")),
            "{family} is missing in\n{}",
            page.body
        );
    }
    server.shutdown().await;
}

#[tokio::test]
async fn metrics_with_a_token_are_for_monitoring_alone() {
    let token = "x8Qv3m0Lr5Wn2Ud7Sg1Pa6Ef9Yt4Kc".repeat(2);
    let dir = tempfile::tempdir().unwrap();
    let mut with_token = settings(&dir);
    with_token.metrics.token = Some(Secret::new(token.clone()));
    let server = Server::start(with_token).await.unwrap();

    for headers in
        [vec![], vec![("Authorization", "Bearer wrong")], vec![("Authorization", token.as_str())]]
    {
        let refused = get(&server, "/metrics", &headers).await;
        assert_eq!(refused.status, 401, "{headers:?}");
        assert!(!refused.body.contains("madang_"), "{}", refused.body);
    }
    let bearer = format!("bearer {token}");
    let page = get(&server, "/metrics", &[("Authorization", &bearer)]).await;
    assert!(page.body.contains("process_resident_memory_bytes"), "{}", page.body);
    assert_eq!(get(&server, "/readyz", &[]).await.body, "ready\n");
    server.shutdown().await;
}

#[tokio::test]
async fn the_client_is_at_the_start_and_at_every_room() {
    let (server, _dir) = start().await;

    let start = get(&server, "/", &[]).await;
    assert_eq!(start.status, 200);
    assert_eq!(start.header("content-type"), "text/html; charset=utf-8");
    for path in ["/rooms/team-1", "/rooms/%EB%A7%88%EB%8B%B9"] {
        assert_eq!(get(&server, path, &[]).await.body, start.body, "{path}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn the_page_loads_what_it_names_and_may_cache_it() {
    let (server, _dir) = start().await;
    let page = get(&server, "/", &[]).await;
    let script = page.body.split('"').find(|text| text.ends_with(".js")).unwrap().to_owned();

    let script = get(&server, &script, &[]).await;
    let again = get(&server, "/", &[("If-None-Match", page.header("etag"))]).await;

    assert_eq!(script.status, 200);
    assert!(script.header("content-type").starts_with("text/javascript"), "{script:?}");
    assert!(script.header("cache-control").contains("immutable"), "{script:?}");
    assert_eq!(page.header("cache-control"), "no-cache");
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    server.shutdown().await;
}

#[tokio::test]
async fn every_answer_carries_security_headers() {
    let (server, _dir) = start().await;

    for path in ["/", "/healthz", "/nothing"] {
        let answer = get(&server, path, &[]).await;
        assert!(answer.header("content-security-policy").contains("script-src 'self'"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_plainly() {
    let (server, _dir) = start().await;

    for (path, expected) in [
        ("/nothing", "nothing at this address"),
        ("/../etc/passwd", "nothing at this address"),
        ("/rooms/", "nothing at this address"),
        ("/rooms/a%20b", "1 to 64 characters"),
        ("/rooms/%FF", "1 to 64 characters"),
        ("/rooms/%3Cscript%3E", "1 to 64 characters"),
    ] {
        let line = get(&server, path, &[]).await;
        let page = get(&server, path, &[("Accept", "text/html")]).await;
        assert_eq!((line.status, page.status), (404, 404), "{path}");
        assert!(line.body.contains(expected), "{path}: {}", line.body);
        assert!(
            page.body.contains(expected) && page.body.contains("<h1>"),
            "{path}: {}",
            page.body
        );
        assert!(!page.body.contains("<script"), "{path}: {}", page.body);
    }
    let posted = request(&server, "POST", "/", &[]).await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET, HEAD"));
    server.shutdown().await;
}

#[tokio::test]
async fn without_an_upgrade_the_websocket_path_greets() {
    let (server, _dir) = start().await;

    let greeting = get(&server, "/ws", &[]).await;

    assert_eq!((greeting.status, greeting.body.as_str()), (200, "Welcome to SockJS!\n"));
    server.shutdown().await;
}

#[tokio::test]
async fn a_websocket_gets_the_best_subprotocol_that_it_offered_or_none() {
    let (server, _dir) = start().await;

    for (offered, chosen) in [
        (Some("v10.stomp, v11.stomp, v12.stomp"), Some("v12.stomp")),
        (Some("v10.stomp"), Some("v10.stomp")),
        (Some("wamp"), None),
        (None, None),
    ] {
        let answer = handshake(&server, offered, None).await.unwrap();
        assert_eq!(answer.as_deref(), chosen, "{offered:?}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn foreign_pages_may_not_open_a_websocket() {
    let (server, _dir) = start().await;
    let own = format!("http://{}", server.http_addr());

    let foreign = handshake(&server, None, Some("https://evil.example")).await.unwrap_err();
    let own = handshake(&server, None, Some(&own)).await;

    assert_eq!(foreign.0, 403);
    assert!(foreign.1.contains("http.allowed_origins"), "{}", foreign.1);
    assert!(own.is_ok());
    server.shutdown().await;
}

#[tokio::test]
async fn pages_that_the_operator_named_may_open_a_websocket() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.http.allowed_origins = vec!["https://app.example".to_owned()];
    let server = Server::start(settings).await.unwrap();

    let named = handshake(&server, None, Some("https://app.example")).await;
    let other = handshake(&server, None, Some("https://evil.example")).await;

    assert!(named.is_ok());
    assert!(other.is_err());
    server.shutdown().await;
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_ways_to_change_it() {
    let (server, _dir) = start().await;
    let other = tempfile::tempdir().unwrap();

    let http = Settings {
        http: madang::config::Http { listen: server.http_addr(), ..Settings::default().http },
        ..settings(&other)
    };
    let mut turn = settings(&other);
    turn.turn.listen = server.turn_addr();
    let mut media = settings(&other);
    media.media.udp_port = server.media_addresses()[0].port();
    // The TCP port is free, so that the UDP port is the one that is refused.
    media.media.tcp_port = Some(0);
    let mut media_tcp = settings(&other);
    media_tcp.media.tcp_port = Some(server.media_tcp_addresses()[0].port());

    for (settings, addr, key, variable) in [
        (http, server.http_addr(), "http.listen", "MADANG_HTTP__LISTEN"),
        (turn, server.turn_addr().unwrap(), "turn.listen", "MADANG_TURN__LISTEN"),
        (media, server.media_addresses()[0], "media.udp_port", "MADANG_MEDIA__UDP_PORT"),
        (media_tcp, server.media_tcp_addresses()[0], "media.tcp_port", "MADANG_MEDIA__TCP_PORT"),
    ] {
        let error = refusal(settings).await;
        for expected in [&addr.to_string(), key, variable, "another program uses that port"] {
            assert!(error.contains(expected), "{expected} is missing in: {error}");
        }
    }
    server.shutdown().await;
}

#[tokio::test]
async fn an_address_that_others_can_reach_needs_consent() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.http.listen = "0.0.0.0:0".parse().unwrap();

    let error = refusal(settings.clone()).await;
    assert!(error.contains("--insecure") && error.contains("authentication is off"), "{error}");

    settings.insecure = true;
    settings.media.public_ip = vec!["127.0.0.1".parse().unwrap()];
    let server = Server::start(settings).await.unwrap();
    assert!(server.summary().contains("Authentication is off"), "{}", server.summary());
    assert_eq!(server.url(), format!("http://127.0.0.1:{}/", server.http_addr().port()));
    server.shutdown().await;
}

#[tokio::test]
async fn the_summary_names_all_that_is_open() {
    let (server, dir) = start().await;

    let summary = server.summary();

    for expected in [
        env!("CARGO_PKG_VERSION").to_owned(),
        dir.path().display().to_string(),
        server.http_addr().to_string(),
        server.turn_addr().unwrap().to_string(),
        format!("{}/udp", server.media_addresses()[0]),
        format!("{}/tcp", server.media_tcp_addresses()[0]),
    ] {
        assert!(summary.contains(&expected), "{expected} is missing in\n{summary}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn the_summary_says_what_the_port_of_https_takes() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    for (has_turn, expected) in [(true, "(TLS; also TURN and media)"), (false, "(TLS; also media)")]
    {
        let mut settings = settings(&dir);
        settings.http.tls =
            madang::config::HttpTls { cert: Some(cert.clone()), key: Some(key.clone()) };
        settings.turn.enabled = has_turn;

        let server = Server::start(settings).await.unwrap();

        let (summary, http) = (server.summary(), server.http_addr());
        assert!(summary.contains(&format!("http   {http}/tcp {expected}")), "{summary}");
        server.shutdown().await;
    }
}

#[tokio::test]
async fn a_server_without_turn_starts() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.turn.enabled = false;

    let server = Server::start(settings).await.unwrap();

    assert_eq!(server.turn_addr(), None);
    assert!(!get(&server, "/metrics", &[]).await.body.contains("madang_turn_"));
    server.shutdown().await;
}

#[tokio::test]
async fn shutdown_ends_even_while_clients_are_connected() {
    let (server, _dir) = start().await;
    let url = format!("ws://{}/ws", server.http_addr());
    let (_websocket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let _idle = TcpStream::connect(server.http_addr()).await.unwrap();

    let ended = tokio::time::timeout(Duration::from_secs(30), server.shutdown()).await;

    assert!(ended.is_ok());
}

#[tokio::test]
async fn a_message_without_end_is_not_collected() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.frame_bytes = 1000;
    let server = Server::start(settings).await.unwrap();
    let url = format!("ws://{}/ws", server.http_addr());
    let (mut websocket, _) = tokio_tungstenite::connect_async(url).await.unwrap();

    // The connection may close during or after this write.
    let huge = Message::Binary(vec![b'a'; 1024 * 1024].into());
    let _ = futures_util::SinkExt::send(&mut websocket, huge).await;
    let mut frames = 0;
    while let Some(Ok(_)) = futures_util::StreamExt::next(&mut websocket).await {
        frames += 1;
    }

    assert!(frames <= 2, "an ERROR and a close frame at most");
    server.shutdown().await;
}

async fn start() -> (Server, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(settings(&dir)).await.unwrap();
    (server, dir)
}

fn settings(dir: &TempDir) -> Settings {
    let mut settings = Settings::default();
    settings.http.listen = "127.0.0.1:0".parse().unwrap();
    settings.data_dir = dir.path().to_owned();
    settings.media.udp_port = 0;
    settings.media.workers = 1;
    settings.turn.listen = "127.0.0.1:0".parse().ok();
    settings
}

/// The error that stops a server with these settings from starting.
async fn refusal(settings: Settings) -> String {
    match Server::start(settings).await {
        Ok(server) => panic!("started at {}", server.url()),
        Err(error) => format!("{error:#}"),
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }
}

async fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(server, "GET", path, headers).await
}

/// Sends the path verbatim: an HTTP library would normalize it.
async fn request(server: &Server, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let addr: SocketAddr = server.http_addr();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// The subprotocol that the server chose, or the status and text of its refusal.
async fn handshake(
    server: &Server,
    subprotocols: Option<&str>,
    origin: Option<&str>,
) -> Result<Option<String>, (u16, String)> {
    let mut request = format!("ws://{}/ws", server.http_addr()).into_client_request().unwrap();
    for (name, value) in [("Sec-WebSocket-Protocol", subprotocols), ("Origin", origin)] {
        if let Some(value) = value {
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok((_, response)) => Ok(chosen(response.headers().get("Sec-WebSocket-Protocol"))),
        // A server that supports no offered subprotocol names none in its answer; the client library calls that an
        // error.
        Err(Error::Protocol(error)) if error.to_string().contains("SubProtocol") => Ok(None),
        Err(Error::Http(response)) => {
            let text = response.body().as_deref().unwrap_or_default();
            Err((response.status().as_u16(), String::from_utf8_lossy(text).into_owned()))
        }
        Err(error) => panic!("{error}"),
    }
}

fn chosen(header: Option<&HeaderValue>) -> Option<String> {
    header.map(|value| value.to_str().unwrap().to_owned())
}
