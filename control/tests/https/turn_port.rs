//! TURN over TLS and DTLS at a port of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dimpl::certificate::generate_self_signed_certificate;
use dimpl::{Dtls, Output};
use madang::{Server, Settings};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use serde_json::{Value, json};
use stun_types::attribute::{Nonce, RawAttribute, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageWrite,
    MessageWriteExt, MessageWriteVec, Method,
};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use super::one_port::{OFFER, Stomp, answer, assert_ends, bind, mapped, stun, with_turn};
use super::{ask, connect, connect_naming, connect_over, settings, start};

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn it_is_spoken_inside_tls_whatever_protocol_the_client_names() {
    let (server, dir) = start(with_turn_port).await;
    let at = server.turn_tls_addr().unwrap();

    for at in [at, server.http_addr()] {
        for protocols in
            [&[][..], &["stun.turn"], &["stun.nat-discovery"], &["http/1.1", "stun.turn"]]
        {
            let stream = TcpStream::connect(at).await.unwrap();
            let mut stream = connect_naming(protocols, stream, dir.path()).await;
            assert_eq!(bind(&mut stream).await, stream.get_ref().0.local_addr().unwrap());
        }
    }

    server.shutdown().await;
}

#[tokio::test]
async fn it_is_spoken_inside_dtls() {
    let (server, dir) = start(with_turn_port).await;

    let mut client = DtlsClient::connect(server.turn_dtls_addr().unwrap()).await;
    let answer = client.ask(&stun(0x0001)).await;
    let challenge = client.ask(&stun_with_transport()).await;

    assert_eq!(mapped(&answer), client.socket.local_addr().unwrap());
    // It asks for credentials (RFC 8489 §9.2.4).
    assert_eq!(challenge[..2], [0x01, 0x13]);
    assert_eq!(client.certificate, std::fs::read(dir.path().join("cert.der")).unwrap());
    server.shutdown().await;
    // It is told that the server has ended.
    client.wait(|client| client.is_closed).await;
}

#[tokio::test]
async fn who_joins_gets_credentials_for_both() {
    let (server, dir) = start(with_turn_port).await;
    let joined = join(&server, dir.path()).await;
    let mut by_dtls = DtlsClient::connect(server.turn_dtls_addr().unwrap()).await;
    let stream = TcpStream::connect(server.turn_tls_addr().unwrap()).await.unwrap();
    let mut by_tls = connect_over(stream, dir.path()).await;

    let challenge = by_dtls.ask(&stun_with_transport()).await;
    let allocated_by_dtls = by_dtls.ask(&allocate(&joined, &challenge)).await;
    by_tls.write_all(&stun_with_transport()).await.unwrap();
    let challenge = answer(&mut by_tls).await;
    by_tls.write_all(&allocate(&joined, &challenge)).await.unwrap();
    let allocated_by_tls = answer(&mut by_tls).await;

    for allocated in [allocated_by_dtls, allocated_by_tls] {
        let message = Message::from_bytes(&allocated).unwrap();
        assert!(message.has_class(MessageClass::Success), "{message}");
    }
    metrics_say(&server, dir.path(), &[("tls", 1), ("dtls", 1)]).await;
    // Both end with their goodbye.
    by_tls.shutdown().await.unwrap();
    by_dtls.dtls.close().unwrap();
    by_dtls.poll().await;
    metrics_say(&server, dir.path(), &[("tls", 0), ("dtls", 0)]).await;
    server.shutdown().await;
}

#[tokio::test]
async fn who_has_not_joined_gets_short_lived_credentials_on_request() {
    let (server, dir) = start(with_turn_port).await;
    let stream = TcpStream::connect(server.http_addr()).await.unwrap();
    let mut stomp = Stomp::connect(stream, dir.path()).await;
    let mut by_dtls = DtlsClient::connect(server.turn_dtls_addr().unwrap()).await;

    stomp.send_to("/app/ice_servers", &json!({})).await;
    let told = stomp.next().await;
    let challenge = by_dtls.ask(&stun_with_transport()).await;
    let allocated = by_dtls.ask(&allocate(&told, &challenge)).await;

    assert_eq!((&told["type"], &told["ttl"]), (&json!("ice_servers"), &json!(600)));
    let message = Message::from_bytes(&allocated).unwrap();
    assert!(message.has_class(MessageClass::Success), "{message}");
    let joined = join(&server, dir.path()).await;
    let user = |answer: &Value| answer["ice_servers"][1]["username"].as_str().unwrap().to_owned();
    let expiry = |name: String| name.split_once(':').unwrap().0.parse::<u64>().unwrap();
    let later = expiry(user(&joined)) - expiry(user(&told));
    assert!(later > 11 * 60 * 60, "a participant's are valid for longer: {later} s");
    server.shutdown().await;
}

#[tokio::test]
async fn clients_are_told_of_it() {
    let (server, dir) = start(|settings| {
        with_turn_port(settings);
        settings.turn.tls_host = Some("meet.example".to_owned());
    })
    .await;
    let port = |addr: Option<SocketAddr>| addr.unwrap().port();
    let (tls, dtls) = (port(server.turn_tls_addr()), port(server.turn_dtls_addr()));
    let https = server.http_addr().port();

    let urls = urls(&server, dir.path()).await;

    let expected = [
        format!("turns:meet.example:{dtls}?transport=udp"),
        format!("turns:meet.example:{tls}?transport=tcp"),
        format!("turns:meet.example:{https}?transport=tcp"),
    ];
    assert_eq!(urls, expected);
    let summary = server.summary();
    for at in [format!(":{tls}/tcp (TLS)"), format!(":{dtls}/udp (DTLS)")] {
        assert!(summary.contains(&at), "{summary}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_port_mapping_is_told() {
    let (server, dir) = start(|settings| {
        with_turn_port(settings);
        settings.turn.tls_public_port = Some(5349);
        settings.http.public_port = Some(443);
    })
    .await;

    let expected = [
        "turns:localhost:5349?transport=udp",
        "turns:localhost:5349?transport=tcp",
        "turns:localhost:443?transport=tcp",
    ];
    assert_eq!(urls(&server, dir.path()).await, expected);
    server.shutdown().await;
}

#[tokio::test]
async fn without_a_key_for_dtls_there_is_tls_alone() {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let cert = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(dir.path().join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(dir.path().join("cert.der"), cert.der()).unwrap();
    std::fs::write(dir.path().join("key.pem"), key.serialize_pem()).unwrap();
    let mut settings = settings(dir.path());
    with_turn_port(&mut settings);
    let server = Server::start(settings).await.unwrap();

    assert_eq!(server.turn_dtls_addr(), None);
    assert!(!server.summary().contains("DTLS"), "{}", server.summary());
    assert!(urls(&server, dir.path()).await.iter().all(|url| url.ends_with("=tcp")));
    let stream = TcpStream::connect(server.turn_tls_addr().unwrap()).await.unwrap();
    bind(&mut connect_over(stream, dir.path()).await).await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_key() {
    let (first, dir) = start(with_turn_port).await;
    let second = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
    with_turn_port(&mut settings);
    settings.data_dir = second.path().to_owned();
    settings.turn.tls_listen = first.turn_tls_addr();

    let error = Server::start(settings).await.err().unwrap().to_string();

    assert!(error.contains("another program uses that port"), "{error}");
    assert!(error.contains("turn.tls_listen"), "{error}");
    first.shutdown().await;
}

#[tokio::test]
async fn rubbish_is_closed_and_others_notice_nothing() {
    let (server, dir) = start(with_turn_port).await;
    let at = server.turn_tls_addr().unwrap();
    let stream = TcpStream::connect(at).await.unwrap();
    let mut good = connect_over(stream, dir.path()).await;
    let openings: [&[u8]; 4] = [
        &stun(0x0001),
        &[0xff; 2000],
        b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
        // The beginning of a ClientHello. It may take as long as a handshake.
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    ];

    let mut streams = Vec::new();
    for opening in openings {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(opening).await.unwrap();
        streams.push((stream, opening));
    }
    for (mut stream, opening) in streams {
        assert_ends(&mut stream, &format!("{opening:02x?}")).await;
    }

    bind(&mut good).await;
    server.shutdown().await;
}

fn with_turn_port(settings: &mut Settings) {
    with_turn(settings);
    settings.turn.tls_listen = "127.0.0.1:0".parse().ok();
}

/// What somebody learns by joining.
async fn join(server: &Server, dir: &Path) -> Value {
    let stream = TcpStream::connect(server.http_addr()).await.unwrap();
    let mut stomp = Stomp::connect(stream, dir).await;
    stomp.send("join", &json!({ "name": "김하나", "sdp": OFFER })).await;
    stomp.next().await
}

/// Waits until so many allocations are by these transports.
async fn metrics_say(server: &Server, dir: &Path, expected: &[(&str, u64)]) {
    let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let lines: Vec<String> = expected
        .iter()
        .map(|(by, count)| format!("\nmadang_turn_allocations{{transport=\"{by}\"}} {count}\n"))
        .collect();
    let all_there = async {
        loop {
            let page = ask(&mut connect(server, dir).await, request).await;
            if lines.iter().all(|line| page.contains(line)) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, all_there).await.unwrap();
}

/// An Allocate with the credentials that came with joining, and the realm and nonce of a 401.
fn allocate(joined: &Value, challenge: &[u8]) -> Vec<u8> {
    let credentials = &joined["ice_servers"][1];
    let text = |key: &str| credentials[key].as_str().unwrap();
    let challenge = Message::from_bytes(challenge).unwrap();
    let realm = challenge.attribute::<Realm>().unwrap();
    let mut request = Message::builder_request(Method::new(0x0003), MessageWriteVec::new());
    request.add_attribute(&RawAttribute::new(0x0019.into(), &[17, 0, 0, 0])).unwrap();
    request.add_attribute(&Username::new(text("username")).unwrap()).unwrap();
    request.add_attribute(&realm).unwrap();
    request.add_attribute(&challenge.attribute::<Nonce>().unwrap()).unwrap();
    let key = LongTermKeyCredentials::new(
        text("username").to_owned(),
        text("credential").to_owned(),
        realm.realm().to_owned(),
    );
    request.add_message_integrity(&key.into(), IntegrityAlgorithm::Sha1).unwrap();
    request.finish()
}

/// The `turns:` addresses that somebody is told who joins.
async fn urls(server: &Server, dir: &Path) -> Vec<String> {
    let joined = join(server, dir).await;
    let servers = joined["ice_servers"].as_array().unwrap_or_else(|| panic!("{joined}"));
    let all = servers.iter().flat_map(|server| server["urls"].as_array().unwrap());
    let texts = all.map(|url: &Value| url.as_str().unwrap().to_owned());
    texts.filter(|url| url.starts_with("turns:")).collect()
}

/// An Allocate with REQUESTED-TRANSPORT.
fn stun_with_transport() -> Vec<u8> {
    let mut message = stun(0x0003);
    message[3] = 8;
    message.extend([0, 0x19, 0, 4, 17, 0, 0, 0]);
    message
}

/// A client. Those of OpenSSL's make are in the tests with coturn's clients.
struct DtlsClient {
    socket: UdpSocket,
    dtls: Dtls,
    is_connected: bool,
    is_closed: bool,
    certificate: Vec<u8>,
    heard: Vec<Vec<u8>>,
    wake_at: Instant,
}

impl DtlsClient {
    async fn connect(server: SocketAddr) -> DtlsClient {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(server).await.unwrap();
        let config = dimpl::Config::builder().build().unwrap();
        let certificate = generate_self_signed_certificate().unwrap();
        let now = Instant::now();
        let mut dtls = Dtls::new_12(Arc::new(config), certificate, now.into_std());
        dtls.set_active(true);
        let mut client = DtlsClient {
            socket,
            dtls,
            is_connected: false,
            is_closed: false,
            certificate: Vec::new(),
            heard: Vec::new(),
            wake_at: now,
        };
        client.wait(|client| client.is_connected).await;
        client
    }

    async fn ask(&mut self, message: &[u8]) -> Vec<u8> {
        self.dtls.send_application_data(message).unwrap();
        self.wait(|client| !client.heard.is_empty()).await;
        self.heard.remove(0)
    }

    async fn wait(&mut self, is_over: impl Fn(&DtlsClient) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut datagram = [0; 2048];
        self.dtls.handle_timeout(Instant::now().into_std()).unwrap();
        self.poll().await;
        while !is_over(self) {
            assert!(Instant::now() < end, "the server doesn't answer");
            let received = timeout_at(self.wake_at.min(end), self.socket.recv(&mut datagram)).await;
            self.dtls.handle_timeout(Instant::now().into_std()).unwrap();
            if let Ok(received) = received {
                self.dtls.handle_packet(&datagram[..received.unwrap()]).unwrap();
            }
            self.poll().await;
        }
    }

    async fn poll(&mut self) {
        let mut buffer = [0; 2048];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => _ = self.socket.send(packet).await.unwrap(),
                Output::Timeout(at) => {
                    self.wake_at = at.into();
                    return;
                }
                Output::Connected => self.is_connected = true,
                Output::CloseNotify => self.is_closed = true,
                Output::PeerCert(der) => self.certificate = der.to_vec(),
                Output::ApplicationData(message) => self.heard.push(message.to_vec()),
                _ => {}
            }
        }
    }
}
