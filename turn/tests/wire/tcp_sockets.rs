//! Relayed TCP connections (RFC 6062) with real sockets on loopback: no data is lost, queues are bounded, connections
//! end.
#![expect(clippy::disallowed_methods, reason = "these tests are about real sockets and real time")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use madang_turn::{ClientAddr, Config};
use stun_types::message::BINDING;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use turn_types::message::CONNECT;

use crate::sockets::{PATIENCE, Running, Stream, loopback_peers, my_credentials};
use crate::tcp_rules::{allocate_tcp, claiming, number};
use crate::world::{Ask, Login, code, permission, refresh, relayed};

const MEGABYTE: usize = 1_000_000;

#[tokio::test]
async fn megabytes_go_both_ways_at_the_same_time() {
    for ip in ["127.0.0.1", "::1"] {
        let running = Running::start_with(loopback_peers()).await;
        let mut control = Control::start(&running, ip).await;
        let (client, peer, from) = control.connected(&running, ip).await;
        assert_eq!(from, control.relayed);

        let (client_reads, client_writes) = client.into_split();
        let (peer_reads, peer_writes) = peer.into_split();
        let up = tokio::spawn(write(client_writes, bytes(1, 5 * MEGABYTE)));
        let down = tokio::spawn(write(peer_writes, bytes(2, 7 * MEGABYTE)));
        let at_peer = tokio::spawn(read_all(peer_reads));
        let at_client = read_all(client_reads).await;

        assert!(at_client == bytes(2, 7 * MEGABYTE));
        assert!(at_peer.await.unwrap() == bytes(1, 5 * MEGABYTE));
        up.await.unwrap();
        down.await.unwrap();
        let stats = control.stats(&running).await;
        let megabytes = [stats.to_peer_bytes, stats.from_peer_bytes].map(|b| b / MEGABYTE as u64);
        assert_eq!((megabytes, stats.to_peer_packets, stats.from_peer_packets), ([5, 7], 0, 0));
        running.stop().await;
    }
}

#[tokio::test]
async fn who_has_said_all_still_hears_the_answer() {
    let running = Running::start_with(loopback_peers()).await;
    let mut control = Control::start(&running, "127.0.0.1").await;
    let (mut client, mut peer, _) = control.connected(&running, "127.0.0.1").await;

    client.write_all(b"a question").await.unwrap();
    client.shutdown().await.unwrap();
    let question = read_all(&mut peer).await;
    let answer = tokio::spawn(write(peer, bytes(3, MEGABYTE)));
    let heard = read_all(&mut client).await;

    assert_eq!(question, b"a question");
    assert!(heard == bytes(3, MEGABYTE));
    answer.await.unwrap();
    control.until_no_connection_is_left(&running).await;
    running.stop().await;
}

/// The client can send only as much as the kernel's buffers hold while the peer doesn't read (back-pressure); the
/// server keeps serving others.
#[tokio::test]
async fn a_peer_that_does_not_read_stops_its_client_and_nobody_else() {
    let running = Running::start_with(loopback_peers()).await;
    let mut control = Control::start(&running, "127.0.0.1").await;
    let (client, peer, _) = control.connected(&running, "127.0.0.1").await;

    let writing = tokio::spawn(write(client, bytes(4, 32 * MEGABYTE)));
    let mut other = Control::start(&running, "127.0.0.1").await;
    let (mut client, mut other_peer, _) = other.connected(&running, "127.0.0.1").await;
    client.write_all(&bytes(5, MEGABYTE)).await.unwrap();
    let mut heard = vec![0; MEGABYTE];
    timeout(PATIENCE, other_peer.read_exact(&mut heard)).await.unwrap().unwrap();

    assert!(heard == bytes(5, MEGABYTE));
    assert!(!writing.is_finished());
    assert!(read_all(peer).await == bytes(4, 32 * MEGABYTE));
    writing.await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_peer_comes_and_is_heard_from_its_first_byte() {
    let running = Running::start_with(loopback_peers()).await;
    let mut control = Control::start(&running, "127.0.0.1").await;

    let mut stranger = TcpStream::connect(control.relayed).await.unwrap();
    assert_eq!(read_to_the_end(&mut stranger).await, b"", "closed at once");
    control.ask(permission("127.0.0.1:9")).await;
    let mut peer = TcpStream::connect(control.relayed).await.unwrap();
    peer.write_all(b"hello, ").await.unwrap();
    let attempt = control.stream.receive().await;
    let mut client = control.claim(&running, number(&attempt)).await;
    peer.write_all(b"client").await.unwrap();
    peer.shutdown().await.unwrap();
    let heard = read_all(&mut client).await;
    client.write_all(b"hello, peer").await.unwrap();
    client.shutdown().await.unwrap();

    assert_eq!(heard, b"hello, client");
    assert_eq!(read_all(peer).await, b"hello, peer");
    let stats = control.stats(&running).await;
    assert_eq!((stats.peer_connections_accepted, stats.peer_connections_refused), (1, 1));
    running.stop().await;
}

#[tokio::test]
async fn data_behind_a_claim_belongs_to_the_peer() {
    let running = Running::start_with(loopback_peers()).await;
    let mut control = Control::start(&running, "127.0.0.1").await;
    let (number, mut peer, _) = control.called("127.0.0.1").await;
    let mut data = Stream(TcpStream::connect(running.tcp).await.unwrap());

    let challenge = data.ask(&claiming(number).unsigned()).await;
    let login = Login::new(my_credentials(), &challenge);
    let wrong = data.ask(&claiming(number ^ 1).signed(&login)).await;
    let still_messages = data.ask(&Ask::request(BINDING).unsigned()).await;
    // The first bytes look like a ChannelData message, but are data now.
    let data_behind = [&[0x40, 0, 0, 4, 1, 2, 3, 4][..], &bytes(6, MEGABYTE)].concat();
    let both = [&claiming(number).signed(&login)[..], &data_behind].concat();
    let writing = async {
        data.0.write_all(&both).await.unwrap();
        data.receive().await
    };
    let mut heard = vec![0; data_behind.len()];
    let (answer, read) = tokio::join!(writing, peer.read_exact(&mut heard));

    assert_eq!((code(&wrong), code(&still_messages), code(&answer)), (400, 0, 0));
    read.unwrap();
    assert!(heard == data_behind);
    running.stop().await;
}

#[tokio::test]
async fn data_connections_end_with_the_allocation() {
    let running = Running::start_with(loopback_peers()).await;

    let mut control = Control::start(&running, "127.0.0.1").await;
    let (mut client, mut peer, _) = control.connected(&running, "127.0.0.1").await;
    control.ask(refresh(0)).await;
    let deleted = (read_to_the_end(&mut client).await, read_to_the_end(&mut peer).await);
    let mut control = Control::start(&running, "127.0.0.1").await;
    let (mut client, mut peer, _) = control.connected(&running, "127.0.0.1").await;
    drop(control);
    let closed = (read_to_the_end(&mut client).await, read_to_the_end(&mut peer).await);

    assert_eq!((deleted, closed), Default::default());
    running.stop().await;
}

#[tokio::test]
async fn who_closes_closes_for_the_other() {
    let running = Running::start_with(loopback_peers()).await;
    let mut control = Control::start(&running, "127.0.0.1").await;

    let (client, mut peer, _) = control.connected(&running, "127.0.0.1").await;
    drop(client);
    assert_eq!(read_to_the_end(&mut peer).await, b"");
    drop(peer);
    let (mut client, peer, _) = control.connected(&running, "127.0.0.1").await;
    drop(peer);
    assert_eq!(read_to_the_end(&mut client).await, b"");
    drop(client);

    control.until_no_connection_is_left(&running).await;
    running.stop().await;
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_answered_with_447() {
    let running = Running::start_with(loopback_peers()).await;
    let mut control = Control::start(&running, "127.0.0.1").await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();

    let refused = control.ask(Ask::request(CONNECT).peer(&gone.to_string())).await;
    let again = control.ask(Ask::request(CONNECT).peer(&gone.to_string())).await;

    assert_eq!((code(&refused), code(&again)), (447, 447));
    assert_eq!(control.stats(&running).await.peer_connections_failed, 2);
    running.stop().await;
}

#[tokio::test]
async fn a_limited_rate_delays_and_loses_nothing() {
    let rate = 8 * 2 * MEGABYTE as u64;
    let config = Config { bits_per_second: rate, ..loopback_peers() };
    let running = Running::start_with(config).await;
    let mut control = Control::start(&running, "127.0.0.1").await;
    let (client, peer, _) = control.connected(&running, "127.0.0.1").await;

    let start = Instant::now();
    let writing = tokio::spawn(write(client, bytes(7, 3 * MEGABYTE)));
    let heard = read_all(peer).await;
    let elapsed = start.elapsed();

    assert!(heard == bytes(7, 3 * MEGABYTE));
    // Two megabytes pass at once; the third takes half a second, or longer on a busy machine.
    assert!(elapsed >= Duration::from_millis(400), "{elapsed:?}");
    writing.await.unwrap();
    running.stop().await;
}

/// A connection accepted elsewhere, as for TLS, carries data as well.
#[tokio::test]
async fn a_connection_that_was_handed_in_carries_data() {
    let running = Running::start_with(loopback_peers()).await;
    let mut control = Control::start(&running, "127.0.0.1").await;
    let (number, peer, _) = control.called("127.0.0.1").await;
    let (mut client, theirs) = tokio::io::duplex(1000);
    running.handle.accept(theirs, ClientAddr::tls("203.0.113.9:1".parse().unwrap())).await;

    client.write_all(&claiming(number).unsigned()).await.unwrap();
    let login = Login::new(my_credentials(), &receive(&mut client).await);
    client.write_all(&claiming(number).signed(&login)).await.unwrap();
    let answer = receive(&mut client).await;
    let (reads, writes) = tokio::io::split(client);
    let up = tokio::spawn(write(writes, bytes(8, MEGABYTE)));
    let (peer_reads, peer_writes) = peer.into_split();
    let down = tokio::spawn(write(peer_writes, bytes(9, MEGABYTE)));
    let at_client = tokio::spawn(read_all(reads));

    assert_eq!(code(&answer), 0);
    assert!(read_all(peer_reads).await == bytes(8, MEGABYTE));
    assert!(at_client.await.unwrap() == bytes(9, MEGABYTE));
    up.await.unwrap();
    down.await.unwrap();
    running.stop().await;
}

/// Alice's control connection, with an allocation for TCP.
struct Control {
    stream: Stream,
    login: Login,
    relayed: SocketAddr,
}

impl Control {
    async fn start(running: &Running, ip: &str) -> Control {
        let mut stream = Stream(TcpStream::connect(running.tcp).await.unwrap());
        let challenge = stream.ask(&allocate_of(ip).unsigned()).await;
        let login = Login::new(my_credentials(), &challenge);
        let relayed = relayed(&stream.ask(&allocate_of(ip).signed(&login)).await);
        Control { stream, login, relayed }
    }

    async fn ask(&mut self, request: Ask) -> Vec<u8> {
        self.stream.ask(&request.signed(&self.login)).await
    }

    /// Connects to a listening peer; returns the connection's id, the peer's end, and the source address that the peer
    /// sees.
    async fn called(&mut self, ip: &str) -> (u32, TcpStream, SocketAddr) {
        let socket = match ip {
            "::1" => TcpSocket::new_v6().unwrap(),
            _ => TcpSocket::new_v4().unwrap(),
        };
        // A small buffer limits the data in flight while the peer doesn't read.
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        socket.bind(SocketAddr::new(ip.parse().unwrap(), 0)).unwrap();
        let listener = socket.listen(1).unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let answer = self.ask(Ask::request(CONNECT).peer(&addr)).await;
        let (peer, from) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        (number(&answer), peer, from)
    }

    /// Opens and binds a data connection.
    async fn claim(&self, running: &Running, number: u32) -> TcpStream {
        let mut data = Stream(TcpStream::connect(running.tcp).await.unwrap());
        let login = Login::new(my_credentials(), &data.ask(&claiming(number).unsigned()).await);
        assert_eq!(code(&data.ask(&claiming(number).signed(&login)).await), 0);
        data.0
    }

    /// Returns the client's end, the peer's end, and the source address that the peer sees.
    async fn connected(
        &mut self,
        running: &Running,
        ip: &str,
    ) -> (TcpStream, TcpStream, SocketAddr) {
        let (number, peer, from) = self.called(ip).await;
        (self.claim(running, number).await, peer, from)
    }

    /// The counters are published after the wake-up that changed them; another answer proves that this wake-up is over.
    async fn stats(&mut self, running: &Running) -> madang_turn::Stats {
        self.stream.ask(&Ask::request(BINDING).unsigned()).await;
        self.stream.ask(&Ask::request(BINDING).unsigned()).await;
        running.handle.stats()
    }

    async fn until_no_connection_is_left(&mut self, running: &Running) {
        let ended = async { while self.stats(running).await.peer_connections > 0 {} };
        timeout(PATIENCE, ended).await.unwrap();
    }
}

fn allocate_of(ip: &str) -> Ask {
    use turn_types::AddressFamily;
    use turn_types::attribute::RequestedAddressFamily;
    let family = if ip == "::1" { AddressFamily::IPV6 } else { AddressFamily::IPV4 };
    allocate_tcp().with(&RequestedAddressFamily::new(family))
}

/// Bytes that depend on the position and the seed.
fn bytes(seed: u32, count: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Writes all bytes and closes the direction.
async fn write(mut to: impl AsyncWrite + Unpin, bytes: Vec<u8>) {
    to.write_all(&bytes).await.unwrap();
    to.shutdown().await.unwrap();
}

/// Reads until the other side closes its direction.
async fn read_all(mut from: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    timeout(PATIENCE, from.read_to_end(&mut bytes)).await.unwrap().unwrap();
    bytes
}

/// Reads until the connection ends, in whatever way.
async fn read_to_the_end(from: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, from.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

async fn receive(from: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut message = vec![0; 20];
    timeout(PATIENCE, from.read_exact(&mut message)).await.unwrap().unwrap();
    let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
    message.resize(20 + length, 0);
    timeout(PATIENCE, from.read_exact(&mut message[20..])).await.unwrap().unwrap();
    message
}
