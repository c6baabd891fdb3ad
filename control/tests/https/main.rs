//! A whole server with TLS of its own.
#![expect(clippy::disallowed_methods, reason = "these tests use real sockets and real time")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod one_port;
mod turn_port;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use madang::cli::healthcheck;
use madang::{Server, Settings};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn the_page_comes_over_tls() {
    let (server, dir) = start(|_| {}).await;

    let mut stream = connect(&server, dir.path()).await;
    let answer =
        ask(&mut stream, "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;

    assert!(server.url().starts_with("https://127.0.0.1:"), "{}", server.url());
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("<title>Madang</title>"), "{answer}");
    server.shutdown().await;
}

#[tokio::test]
async fn stomp_goes_over_a_websocket_in_tls() {
    let (server, dir) = start(|_| {}).await;
    let stream = connect(&server, dir.path()).await;
    let (mut socket, _) =
        tokio_tungstenite::client_async("wss://localhost/ws", stream).await.unwrap();
    // Longer than what is copied, than a TLS record, and than the system takes at once.
    let body = "마당에서 만나요. ".repeat(20_000);

    say(&mut socket, "CONNECT\naccept-version:1.2\nhost:localhost\n\n\0").await;
    assert!(hear(&mut socket).await.starts_with("CONNECTED\n"));
    say(&mut socket, "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n\0").await;
    for _ in 0..3 {
        say(&mut socket, &format!("SEND\ndestination:/topic/a\n\n{body}\0")).await;
    }

    for _ in 0..3 {
        let heard = hear(&mut socket).await;
        assert!(heard.starts_with("MESSAGE\n") && heard.trim_end_matches('\0').ends_with(&body));
    }
    server.shutdown().await;
}

#[tokio::test]
async fn who_comes_without_tls_is_sent_to_https_but_for_the_health() {
    let (server, _dir) = start(|_| {}).await;
    // request line and headers, beginning of the answer, what it contains
    let table = [
        (
            "GET /rooms/team?x=1 HTTP/1.1\r\nhost: meet.example:8443\r\n",
            "HTTP/1.1 308 ",
            "location: https://meet.example:8443/rooms/team?x=1\r\n",
        ),
        ("POST /ws HTTP/1.1\r\nhost: a\r\n", "HTTP/1.1 308 ", "location: https://a/ws\r\n"),
        ("GET / HTTP/1.1\r\nhost: a/b@evil\r\n", "HTTP/1.1 400 ", ""),
        ("GET /healthz HTTP/1.1\r\nhost: a\r\n", "HTTP/1.1 200 ", "ok"),
    ];

    for (request, begins, contains) in table {
        let mut stream = TcpStream::connect(server.http_addr()).await.unwrap();
        let answer = ask(&mut stream, &format!("{request}connection: close\r\n\r\n")).await;
        assert!(answer.starts_with(begins) && answer.contains(contains), "{request}\n{answer}");
    }
    healthcheck::ask(server.http_addr()).await.unwrap();
    server.shutdown().await;
}

#[tokio::test]
async fn a_handshake_that_is_never_finished_is_given_up() {
    let (server, dir) =
        start(|settings| settings.limits.request_timeout = Duration::from_secs(3)).await;
    let mut silent = TcpStream::connect(server.http_addr()).await.unwrap();
    let mut half = TcpStream::connect(server.http_addr()).await.unwrap();
    half.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    let mut nonsense = TcpStream::connect(server.http_addr()).await.unwrap();
    nonsense.write_all(&[0x16; 4096]).await.unwrap();

    for (stream, what) in
        [(&mut silent, "silent"), (&mut half, "half"), (&mut nonsense, "nonsense")]
    {
        one_port::assert_ends(stream, what).await;
    }

    let mut good = connect(&server, dir.path()).await;
    let answer =
        ask(&mut good, "GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("ready\n"), "{answer}");
    server.shutdown().await;
}

#[tokio::test]
async fn files_that_are_no_certificate_and_its_key_are_named() {
    let dir = tempfile::tempdir().unwrap();
    make_certificate(dir.path());
    let key = std::fs::read(dir.path().join("key.pem")).unwrap();
    make_certificate(dir.path());
    std::fs::write(dir.path().join("other.pem"), key).unwrap();
    std::fs::write(dir.path().join("empty.pem"), "").unwrap();
    let table = [
        ("missing.pem", "key.pem", "`http.tls.cert`: "),
        ("empty.pem", "key.pem", "it holds no certificate"),
        ("cert.pem", "empty.pem", "`http.tls.key`: "),
        ("cert.pem", "other.pem", "can't be used together"),
    ];

    for (cert, key, expected) in table {
        let mut settings = settings(dir.path());
        settings.http.tls.cert = Some(dir.path().join(cert));
        settings.http.tls.key = Some(dir.path().join(key));
        let error = Server::start(settings).await.err().unwrap().to_string();
        assert!(error.contains(expected), "{cert} {key}: {error}");
    }
}

fn settings(dir: &Path) -> Settings {
    let mut settings = Settings::default();
    settings.http.listen = "127.0.0.1:0".parse().unwrap();
    settings.http.tls.cert = Some(dir.join("cert.pem"));
    settings.http.tls.key = Some(dir.join("key.pem"));
    settings.media.udp_port = 0;
    settings.media.workers = 1;
    settings.turn.enabled = false;
    settings.data_dir = dir.to_owned();
    settings
}

async fn start(change: impl FnOnce(&mut Settings)) -> (Server, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    make_certificate(dir.path());
    let mut settings = settings(dir.path());
    change(&mut settings);
    (Server::start(settings).await.unwrap(), dir)
}

fn make_certificate(dir: &Path) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(dir.join("cert.der"), cert.der()).unwrap();
    std::fs::write(dir.join("key.pem"), signing_key.serialize_pem()).unwrap();
}

/// Trusts the certificate of the directory alone.
async fn connect(server: &Server, dir: &Path) -> TlsStream<TcpStream> {
    connect_over(TcpStream::connect(server.http_addr()).await.unwrap(), dir).await
}

async fn connect_over(stream: TcpStream, dir: &Path) -> TlsStream<TcpStream> {
    connect_naming(&[], stream, dir).await
}

/// Offers protocols to be spoken inside (RFC 7301).
async fn connect_naming(protocols: &[&str], stream: TcpStream, dir: &Path) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(std::fs::read(dir.join("cert.der")).unwrap().into()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

async fn ask(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Some ends of TLS are without its farewell; what was read counts.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

type Socket = WebSocketStream<TlsStream<TcpStream>>;

async fn say(socket: &mut Socket, frame: &str) {
    socket.send(Message::text(frame)).await.unwrap();
}

async fn hear(socket: &mut Socket) -> String {
    let message = tokio::time::timeout(Duration::from_secs(20), socket.next()).await;
    message.unwrap().unwrap().unwrap().into_text().unwrap().to_string()
}
