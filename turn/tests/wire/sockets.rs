//! The shell with real sockets on loopback: from a client to an echoing media engine and back.
#![expect(clippy::disallowed_methods, reason = "these tests are about real sockets and real time")]

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use madang_turn::{Config, Datagram, Handle, Listeners, Server, credentials, mailbox, run};
use stun_types::message::{BINDING, MessageClass};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use turn_types::AddressFamily;
use turn_types::attribute::{Data, DontFragment, RequestedAddressFamily};
use turn_types::message::SEND;

use crate::world::{
    Ask, Login, MEDIA, allocate, bind, channel_data, code, config, indication, permission, refresh,
    relayed,
};

const IPV4: AddressFamily = AddressFamily::IPV4;
const IPV6: AddressFamily = AddressFamily::IPV6;

#[tokio::test]
async fn a_datagram_goes_to_media_and_back() {
    let running = Running::start().await;
    let handle = &running.handle;
    let client = Client::new(running.udp).await;

    let login = Login::new(my_credentials(), &client.ask(&allocate().unsigned()).await);
    let answer = client.ask(&allocate().signed(&login)).await;
    let relayed = relayed(&answer);
    assert_eq!(code(&client.ask(&bind(0x4000, MEDIA).signed(&login)).await), 0);
    let by_indication = client.ask(&indication(MEDIA, b"one")).await;
    let by_channel = client.ask(&channel_data(0x4000, &[2; 1200])).await;
    handle.deliver(Datagram {
        relayed,
        media: MEDIA.parse().unwrap(),
        payload: Bytes::from_static(b"three"),
    });
    let unasked = client.receive().await;

    assert_eq!(by_indication, channel_data(0x4000, b"one"));
    assert_eq!(by_channel, channel_data(0x4000, &[2; 1200]));
    assert_eq!(unasked, channel_data(0x4000, b"three"));
    // The counters are published after the wake-up that changed them; another answer proves that this wake-up is over.
    client.ask(&Ask::request(BINDING).unsigned()).await;
    let stats = handle.stats();
    assert_eq!((stats.to_media_packets, stats.to_media_bytes), (2, 1203));
    assert_eq!((stats.to_client_packets, stats.to_client_bytes), (3, 1208));
    assert_eq!((stats.allocations, stats.send_refused), (1, 0));
    running.stop().await;
}

#[tokio::test]
async fn messages_in_a_stream_go_to_media_and_back_and_the_allocation_ends_with_the_stream() {
    let running = Running::start().await;
    let mut client = Stream(TcpStream::connect(running.tcp).await.unwrap());

    let challenge = client.ask(&allocate().unsigned()).await;
    let login = Login::new(my_credentials(), &challenge);
    let relayed = relayed(&client.ask(&allocate().signed(&login)).await);
    assert_eq!(code(&client.ask(&bind(0x4000, MEDIA).signed(&login)).await), 0);
    let padded = [&channel_data(0x4000, b"three")[..], &[0; 3]].concat();
    for byte in &padded {
        client.0.write_all(&[*byte]).await.unwrap();
    }
    let echoed = client.receive().await;
    running.handle.deliver(Datagram {
        relayed,
        media: MEDIA.parse().unwrap(),
        payload: Bytes::from_static(&[2; 1200]),
    });
    let unasked = client.receive().await;

    assert_eq!(echoed, padded);
    assert_eq!(unasked, channel_data(0x4000, &[2; 1200]));
    drop(client);
    let client = Client::new(running.udp).await;
    while running.handle.stats().allocations_closed == 0 {
        client.ask(&Ask::request(BINDING).unsigned()).await;
    }
    let stats = running.handle.stats();
    assert_eq!((stats.allocations, stats.connections), (0, 0));
    running.stop().await;
}

#[tokio::test]
async fn a_stream_that_makes_no_sense_is_closed_and_others_go_on() {
    let running = Running::start().await;
    let mut bystander = Stream(TcpStream::connect(running.tcp).await.unwrap());
    bystander.ask(&Ask::request(BINDING).unsigned()).await;

    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 1, 0xff, 0xfc], &[0x40, 0, 0x20, 0]] {
        let mut stream = TcpStream::connect(running.tcp).await.unwrap();
        stream.write_all(nonsense).await.unwrap();
        let end = timeout(PATIENCE, stream.read(&mut [0; 16])).await.expect("it is closed");
        // A connection closed with unread data is reset.
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }

    bystander.ask(&Ask::request(BINDING).unsigned()).await;
    running.stop().await;
}

#[tokio::test]
async fn other_peers_are_reached_through_a_socket_of_each_family() {
    for ip in ["127.0.0.1", "::1"] {
        let Pair { running, client, login, relayed, peer, peer_addr } = Pair::at(ip).await;

        let bound = client.ask(&bind(0x4000, &peer_addr).signed(&login)).await;
        assert_eq!(code(&bound), 0);
        // Different lengths, so that runs start and end.
        let lengths = [1200, 1200, 1200, 700, 1200, 0, 1, 1, 3000, 3000];
        for length in lengths {
            client.socket.send(&channel_data(0x4000, &vec![7; length])).await.unwrap();
        }
        let mut buffer = vec![0; 4000];
        for expected in lengths {
            let (length, from) =
                timeout(PATIENCE, peer.recv_from(&mut buffer)).await.unwrap().unwrap();
            assert_eq!((length, from), (expected, relayed));
            peer.send_to(&buffer[..length], from).await.unwrap();
        }
        for length in lengths {
            assert_eq!(client.receive().await, channel_data(0x4000, &vec![7; length]));
        }

        client.ask(&refresh(0).signed(&login)).await;
        // The port is free again.
        UdpSocket::bind(relayed).await.unwrap();
        running.stop().await;
    }
}

/// RFC 8656 §18.9. On loopback every length fits; here the MTU is 1500 bytes.
#[tokio::test]
#[ignore = "needs a network of its own with an MTU of 1500, as .ci/test makes it"]
async fn long_datagrams_become_fragments_unless_that_is_forbidden() {
    for ip in ["127.0.0.1", "::1"] {
        let Pair { running, client, login, peer, peer_addr, .. } = Pair::at(ip).await;
        assert_eq!(code(&client.ask(&permission(&peer_addr).signed(&login)).await), 0);

        let sent = [(1, 3000, true), (2, 1000, true), (3, 3000, false), (4, 3000, false)];
        for (number, length, is_whole) in sent {
            let sending = Ask::new(MessageClass::Indication, SEND, 1.into()).peer(&peer_addr);
            let sending = if is_whole { sending.with(&DontFragment::new()) } else { sending };
            let payload = vec![number; length];
            client.socket.send(&sending.with(&Data::new(&payload)).unsigned()).await.unwrap();
        }

        let mut buffer = vec![0; 4000];
        for expected in [(2, 1000), (3, 3000), (4, 3000)] {
            let length = timeout(PATIENCE, peer.recv(&mut buffer)).await.unwrap().unwrap();
            assert_eq!((buffer[0], length), expected);
        }
        running.stop().await;
    }
}

#[tokio::test]
async fn a_peer_that_is_not_there_harms_nobody() {
    let running = Running::start_with(loopback_peers()).await;
    let client = Client::new(running.udp).await;
    let (gone, here) = (UdpSocket::bind("127.0.0.1:0"), UdpSocket::bind("127.0.0.1:0"));
    let (gone, here) = (gone.await.unwrap(), here.await.unwrap());
    let login = Login::new(my_credentials(), &client.ask(&allocate().unsigned()).await);
    client.ask(&allocate().signed(&login)).await;
    let (gone_addr, here_addr) = (gone.local_addr().unwrap(), here.local_addr().unwrap());
    client.ask(&bind(0x4000, &gone_addr.to_string()).signed(&login)).await;
    client.ask(&bind(0x4001, &here_addr.to_string()).signed(&login)).await;
    drop(gone);

    // Each one is answered with an ICMP error.
    for _ in 0..10 {
        client.socket.send(&channel_data(0x4000, b"anybody?")).await.unwrap();
        client.socket.send(&channel_data(0x4001, b"somebody!")).await.unwrap();
        let mut buffer = [0; 100];
        let length = timeout(PATIENCE, here.recv(&mut buffer)).await.unwrap().unwrap();
        assert_eq!(&buffer[..length], b"somebody!");
    }
    running.stop().await;
}

/// Lets clients reach peers on this machine.
pub(crate) fn loopback_peers() -> Config {
    Config {
        allow_peers: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        relay_ips: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        ..config()
    }
}

#[tokio::test]
async fn a_full_mailbox_drops_and_counts() {
    let (handle, _mailbox) = mailbox();

    for _ in 0..5000 {
        handle.deliver(Datagram {
            relayed: MEDIA.parse().unwrap(),
            media: MEDIA.parse().unwrap(),
            payload: Bytes::new(),
        });
    }

    assert_eq!(handle.stats().dropped_mailbox_full, 5000 - 4096);
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server whose media engine echoes.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    pub(crate) udp: SocketAddr,
    pub(crate) tcp: SocketAddr,
    shutdown: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

impl Running {
    pub(crate) async fn start() -> Running {
        Running::start_with(config()).await
    }

    pub(crate) async fn start_with(config: Config) -> Running {
        Running::start_at("127.0.0.1", config).await
    }

    /// Listens on one address of this machine, or on all addresses of a family.
    pub(crate) async fn start_at(ip: &str, config: Config) -> Running {
        let (handle, mailbox) = mailbox();
        let echo = handle.clone();
        let shutdown = CancellationToken::new();
        let listeners = Listeners {
            udp: UdpSocket::bind((ip, 0)).await.unwrap(),
            tcp: TcpListener::bind((ip, 0)).await.unwrap(),
            dtls: None,
        };
        let (udp, tcp) = (listeners.udp.local_addr().unwrap(), listeners.tcp.local_addr().unwrap());
        let server = tokio::spawn(run(
            listeners,
            Server::new(&config, 1).unwrap(),
            mailbox,
            move |datagram| echo.deliver(datagram),
            shutdown.clone(),
        ));
        Running { handle, udp, tcp, shutdown, server }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.server.await.unwrap().unwrap();
    }
}

/// A client with an allocation, and a peer of the same family.
struct Pair {
    running: Running,
    client: Client,
    login: Login,
    relayed: SocketAddr,
    peer: UdpSocket,
    peer_addr: String,
}

impl Pair {
    async fn at(ip: &str) -> Pair {
        let running = Running::start_with(loopback_peers()).await;
        let client = Client::new(running.udp).await;
        let peer = UdpSocket::bind((ip, 0)).await.unwrap();
        let peer_addr = peer.local_addr().unwrap().to_string();
        let family = RequestedAddressFamily::new(if ip == "::1" { IPV6 } else { IPV4 });
        let login = Login::new(my_credentials(), &client.ask(&allocate().unsigned()).await);
        let relayed = relayed(&client.ask(&allocate().with(&family).signed(&login)).await);
        Pair { running, client, login, relayed, peer, peer_addr }
    }
}

pub(crate) fn my_credentials() -> madang_turn::Credentials {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    credentials(&config().secret, "alice", since_1970.as_secs(), 60)
}

/// A TCP client, or a client on another byte stream.
pub(crate) struct Stream<S = TcpStream>(pub(crate) S);

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    pub(crate) async fn ask(&mut self, message: &[u8]) -> Vec<u8> {
        self.0.write_all(message).await.unwrap();
        self.receive().await
    }

    /// Receives the next message, with its padding.
    pub(crate) async fn receive(&mut self) -> Vec<u8> {
        let mut message = vec![0; 4];
        self.read(&mut message).await;
        let announced = usize::from(u16::from_be_bytes([message[2], message[3]]));
        let rest = match message[0] {
            0x40.. => announced.next_multiple_of(4),
            _ => 16 + announced,
        };
        message.resize(4 + rest, 0);
        self.read(&mut message[4..]).await;
        message
    }

    async fn read(&mut self, buffer: &mut [u8]) {
        timeout(PATIENCE, self.0.read_exact(buffer)).await.expect("the server answers").unwrap();
    }
}

/// A UDP client.
pub(crate) struct Client {
    socket: UdpSocket,
}

impl Client {
    pub(crate) async fn new(server: SocketAddr) -> Client {
        let loopback = if server.is_ipv4() { "127.0.0.1" } else { "::1" };
        let socket = UdpSocket::bind((loopback, 0)).await.unwrap();
        socket.connect(server).await.unwrap();
        Client { socket }
    }

    pub(crate) async fn ask(&self, datagram: &[u8]) -> Vec<u8> {
        self.socket.send(datagram).await.unwrap();
        self.receive().await
    }

    pub(crate) async fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 4000];
        let length = timeout(PATIENCE, self.socket.recv(&mut buffer))
            .await
            .expect("the server answers")
            .unwrap();
        buffer.truncate(length);
        buffer
    }
}
