//! The page, STOMP, TURN over TLS and without, and media by TCP, all at the port of HTTPS.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use madang::Settings;
use serde_json::{Value, json};
use stun_types::attribute::{Username, XorMappedAddress};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message, MessageClass, MessageWrite, MessageWriteExt,
    MessageWriteVec, ShortTermCredentials,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Socket, ask, connect, connect_over, hear, say, start};

pub(super) const OFFER: &str = include_str!("../../../sfu/src/sdp/fixtures/chromium_156.sdp");

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

const PAGE: &str = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn five_protocols_share_the_port() {
    let (server, dir) = start(with_turn).await;
    let at = server.http_addr();

    let mut stomp = Stomp::connect(TcpStream::connect(at).await.unwrap(), dir.path()).await;
    let peer = stomp.join().await;
    let mut media = TcpStream::connect(at).await.unwrap();
    let mut plain = TcpStream::connect(at).await.unwrap();
    let mut inside = connect(&server, dir.path()).await;
    // All at once, and again on the same connections.
    for _ in 0..2 {
        let seen = check(&mut media, &peer).await;
        assert_eq!(seen, media.local_addr().unwrap());
        let seen = bind(&mut plain).await;
        assert_eq!(seen, plain.local_addr().unwrap());
        let seen = bind(&mut inside).await;
        assert_eq!(seen, inside.get_ref().0.local_addr().unwrap());
        stomp.chat("여기서 다 됩니다").await;
        let page = ask(&mut connect(&server, dir.path()).await, PAGE).await;
        assert!(page.contains("<title>Madang</title>"), "{page}");
    }

    // TURN is whole there: it asks for credentials (RFC 8489 §9.2.4).
    plain.write_all(&stun(0x0003)).await.unwrap();
    assert_eq!(answer(&mut plain).await[..2], [0x01, 0x13]);
    server.shutdown().await;
}

#[tokio::test]
async fn the_port_is_a_candidate_behind_the_media_port() {
    let (server, dir) = start(|_| {}).await;
    let at = server.http_addr();
    let mut stomp = Stomp::connect(TcpStream::connect(at).await.unwrap(), dir.path()).await;

    let peer = stomp.join().await;

    let own = server.media_tcp_addresses()[0];
    let tcp: Vec<SocketAddr> = peer.tcp.iter().map(|(_, address)| *address).collect();
    assert_eq!(tcp, [own, at]);
    assert!(peer.tcp[0].0 > peer.tcp[1].0, "the other one is preferred");
    server.shutdown().await;
}

#[tokio::test]
async fn who_sends_one_byte_at_a_time_is_understood() {
    let (server, dir) = start(with_turn).await;
    let slow = slowly(server.http_addr()).await;

    let mut stomp = Stomp::connect(TcpStream::connect(slow).await.unwrap(), dir.path()).await;
    let peer = stomp.join().await;
    check(&mut TcpStream::connect(slow).await.unwrap(), &peer).await;
    bind(&mut TcpStream::connect(slow).await.unwrap()).await;
    let mut inside = connect_over(TcpStream::connect(slow).await.unwrap(), dir.path()).await;
    bind(&mut inside).await;
    let mut page = connect_over(TcpStream::connect(slow).await.unwrap(), dir.path()).await;
    assert!(ask(&mut page, PAGE).await.contains("<title>Madang</title>"));
    let mut plain = TcpStream::connect(slow).await.unwrap();
    assert!(ask(&mut plain, PAGE).await.starts_with("HTTP/1.1 308 "));
    server.shutdown().await;
}

#[tokio::test]
async fn rubbish_is_closed_and_others_notice_nothing() {
    let (server, dir) = start(|settings| {
        with_turn(settings);
        // A good TLS handshake may not take longer either.
        settings.limits.request_timeout = Duration::from_secs(3);
    })
    .await;
    let at = server.http_addr();
    let mut stomp = Stomp::connect(TcpStream::connect(at).await.unwrap(), dir.path()).await;
    let peer = stomp.join().await;
    let mut media = TcpStream::connect(at).await.unwrap();
    check(&mut media, &peer).await;
    let good = framed(&peer.check());
    let nobody = Peer { username: "AAAnobody123:a".into(), ..peer.clone() };
    let nowhere = Peer { username: "///nobody123:a".into(), ..peer.clone() };
    let late = [&framed(&nobody.check())[..], &framed(&[22; 60])].concat();
    let openings: [&[u8]; 11] = [
        b"",
        b"\0",
        b"\0\x01\0\0\x21\x12\xa4",
        b"\0\x4c\0\x01\0\x38\x21\x12\xa4\x42",
        &good[..good.len() - 1],
        &framed(&nowhere.check()),
        // It proves nothing, and then there is something else than checks.
        &late,
        &[0; 2000],
        &[0xff; 2000],
        b"\0\xc8\x16\xfe\xfd\0\0\0\0\0\0\0\0",
        b"SSH-2.0-somebody\r\n",
    ];

    let mut streams = Vec::new();
    for opening in openings {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(opening).await.unwrap();
        streams.push((stream, opening));
        // Whoever leaves before it is clear what for.
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(opening).await.unwrap();
        drop(stream);
    }
    for (mut stream, opening) in streams {
        assert_ends(&mut stream, &format!("{opening:02x?}")).await;
    }

    check(&mut media, &peer).await;
    stomp.chat("아무 일도 없었어요").await;
    bind(&mut TcpStream::connect(at).await.unwrap()).await;
    server.shutdown().await;
}

#[tokio::test]
async fn who_does_not_go_on_holds_nobody_up() {
    let (server, dir) = start(with_turn).await;
    let at = server.http_addr();
    let beginnings: [&[u8]; 4] = [b"", b"\0", b"\0\x4c\0\x01\0\x38\x21\x12\xa4\x42", b"\x16\x03"];
    let mut idle = Vec::new();
    for beginning in beginnings {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        idle.push(stream);
    }

    let mut stomp = Stomp::connect(TcpStream::connect(at).await.unwrap(), dir.path()).await;
    let peer = stomp.join().await;
    check(&mut TcpStream::connect(at).await.unwrap(), &peer).await;
    bind(&mut TcpStream::connect(at).await.unwrap()).await;
    bind(&mut connect(&server, dir.path()).await).await;
    server.shutdown().await;
    drop(idle);
}

#[tokio::test]
async fn without_turn_its_messages_are_no_http() {
    let (server, _dir) = start(|_| {}).await;
    let mut stream = TcpStream::connect(server.http_addr()).await.unwrap();

    stream.write_all(&stun(0x0001)).await.unwrap();

    assert_ends(&mut stream, "a Binding request").await;
    server.shutdown().await;
}

pub(super) fn with_turn(settings: &mut Settings) {
    settings.turn.enabled = true;
    settings.turn.listen = "127.0.0.1:0".parse().ok();
}

/// A participant's media, as far as ICE goes.
#[derive(Clone)]
struct Peer {
    username: String,
    password: String,
    /// Priority and address of the TCP candidates.
    tcp: Vec<(u32, SocketAddr)>,
}

impl Peer {
    fn new(answer: &str) -> Peer {
        let first = |sdp: &str, key: &str| {
            sdp.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned()
        };
        let mut tcp = Vec::new();
        for line in answer.lines().filter(|line| line.ends_with(" typ host tcptype passive")) {
            let words: Vec<&str> = line.split(' ').collect();
            let address = SocketAddr::new(words[4].parse().unwrap(), words[5].parse().unwrap());
            let candidate = (words[3].parse().unwrap(), address);
            // Each m-line repeats them.
            if !tcp.contains(&candidate) {
                tcp.push(candidate);
            }
        }
        let (ours, theirs) = (first(answer, "a=ice-ufrag:"), first(OFFER, "a=ice-ufrag:"));
        let password = first(answer, "a=ice-pwd:");
        Peer { username: format!("{ours}:{theirs}"), password, tcp }
    }

    fn check(&self) -> Vec<u8> {
        let mut request = Message::builder_request(BINDING, MessageWriteVec::new());
        request.add_attribute(&Username::new(&self.username).unwrap()).unwrap();
        let credentials = ShortTermCredentials::new(self.password.clone()).into();
        request.add_message_integrity(&credentials, IntegrityAlgorithm::Sha1).unwrap();
        request.add_fingerprint().unwrap();
        request.finish()
    }
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    [&(datagram.len() as u16).to_be_bytes(), datagram].concat()
}

/// A STUN message without attributes (RFC 8489 §5).
pub(super) fn stun(kind: u16) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &[0, 0, 0x21, 0x12, 0xA4, 0x42], &[7; 12]].concat()
}

/// A STUN message, by its own length.
pub(super) async fn answer(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut message = vec![0; 20];
    stream.read_exact(&mut message).await.unwrap();
    let length = u16::from_be_bytes([message[2], message[3]]);
    message.resize(20 + usize::from(length), 0);
    stream.read_exact(&mut message[20..]).await.unwrap();
    message
}

/// The address that a success response tells.
pub(super) fn mapped(response: &[u8]) -> SocketAddr {
    let response = Message::from_bytes(response).unwrap();
    assert!(response.has_class(MessageClass::Success), "{response}");
    let mapped = response.attribute::<XorMappedAddress>().unwrap();
    mapped.addr(response.transaction_id())
}

pub(super) async fn bind(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> SocketAddr {
    stream.write_all(&stun(0x0001)).await.unwrap();
    let answer = tokio::time::timeout(PATIENCE, answer(stream)).await;
    mapped(&answer.unwrap())
}

async fn check(stream: &mut TcpStream, peer: &Peer) -> SocketAddr {
    stream.write_all(&framed(&peer.check())).await.unwrap();
    let answer = async {
        assert!(stream.read_u16().await.unwrap() > 0);
        answer(stream).await
    };
    mapped(&tokio::time::timeout(PATIENCE, answer).await.unwrap())
}

/// Waits until the server has closed it, whatever it said before.
pub(super) async fn assert_ends(stream: &mut TcpStream, what: &str) {
    // A reset says the same as an end.
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "{what}");
}

/// A way to the server that takes each byte of a connection's beginning by itself.
async fn slowly(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(server).await.unwrap();
            server.set_nodelay(true).unwrap();
            tokio::spawn(carry(client, server));
        }
    });
    here
}

async fn carry(client: TcpStream, server: TcpStream) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    for _ in 0..300 {
        let Ok(byte) = from_client.read_u8().await else { return };
        if to_server.write_u8(byte).await.is_err() {
            return;
        }
        // So that they do not come together after all.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
}

/// A participant over WSS.
pub(super) struct Stomp(Socket);

impl Stomp {
    pub(super) async fn connect(stream: TcpStream, dir: &Path) -> Stomp {
        let stream = connect_over(stream, dir).await;
        let url = "wss://localhost/ws";
        let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        say(&mut socket, "CONNECT\naccept-version:1.2\nhost:localhost\n\n\0").await;
        assert!(hear(&mut socket).await.starts_with("CONNECTED\n"));
        for destination in ["/user/queue/signal", "/topic/rooms/team/chat"] {
            let subscribe = format!("SUBSCRIBE\nid:{destination}\ndestination:{destination}\n\n\0");
            say(&mut socket, &subscribe).await;
        }
        Stomp(socket)
    }

    /// Joins with media.
    async fn join(&mut self) -> Peer {
        let body = json!({ "name": "김하나", "sdp": OFFER });
        self.send("join", &body).await;
        let joined = self.next().await;
        Peer::new(joined["answer"].as_str().unwrap_or_else(|| panic!("{joined}")))
    }

    /// Says something, and hears it.
    async fn chat(&mut self, text: &str) {
        self.send("chat", &json!({ "text": text })).await;
        while self.next().await["text"] != text {}
    }

    /// Sends a request to the room.
    pub(super) async fn send(&mut self, action: &str, body: &Value) {
        self.send_to(&format!("/app/rooms/team/{action}"), body).await;
    }

    pub(super) async fn send_to(&mut self, destination: &str, body: &Value) {
        say(&mut self.0, &format!("SEND\ndestination:{destination}\n\n{body}\0")).await;
    }

    /// The body of the next message.
    pub(super) async fn next(&mut self) -> Value {
        let frame = hear(&mut self.0).await;
        let (_, body) = frame.split_once("\n\n").unwrap_or_else(|| panic!("{frame}"));
        serde_json::from_str(body.trim_end_matches('\0')).unwrap()
    }
}
