//! UDP and TCP, IPv4 and IPv6, with real sockets on loopback.
#![expect(clippy::disallowed_methods, reason = "real sockets are what is tested here")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use madang_sfu::io::{Config, Engine, Handle};
use madang_sfu::{PeerId, RoomId};
use stun_types::attribute::{Username, XorMappedAddress};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message, MessageWrite, MessageWriteExt, MessageWriteVec,
    ShortTermCredentials,
};

const OFFER: &str = include_str!("../src/sdp/fixtures/chromium_156.sdp");
/// Longer than anything takes; only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

fn start(listen: &str, public_ips: &[&str]) -> (Engine, Handle) {
    let config = Config {
        listen: listen.parse().unwrap(),
        tcp_port: 0,
        public_ips: public_ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        workers: 1,
        peers_per_worker_and_room: Config::PEERS_PER_WORKER_AND_ROOM,
    };
    let (engine, handle, mut events) = Engine::start(config, Box::new(|_| {})).unwrap();
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    (engine, handle)
}

/// A peer of the engine, as far as ICE goes.
struct Peer {
    username: String,
    password: String,
    candidates: Vec<Candidate>,
}

struct Candidate {
    transport: String,
    priority: u32,
    address: SocketAddr,
    is_passive: bool,
}

impl Peer {
    async fn join(handle: &Handle) -> Peer {
        let answer = handle.offer(RoomId(1), PeerId(1), OFFER.to_owned()).await.unwrap().sdp;
        let first = |sdp: &str, key: &str| {
            let line = sdp.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.to_owned()
        };
        let remote = first(OFFER, "a=ice-ufrag:");
        let lines = answer.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
        let mut candidates: Vec<Candidate> = Vec::new();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let address = SocketAddr::new(words[4].parse().unwrap(), words[5].parse().unwrap());
            // Each m-line repeats them.
            if candidates
                .iter()
                .all(|known| known.address != address || known.transport != words[2])
            {
                candidates.push(Candidate {
                    transport: words[2].to_owned(),
                    priority: words[3].parse().unwrap(),
                    address,
                    is_passive: line.ends_with("typ host tcptype passive"),
                });
            }
        }
        Peer {
            username: format!("{}:{remote}", first(&answer, "a=ice-ufrag:")),
            password: first(&answer, "a=ice-pwd:"),
            candidates,
        }
    }

    fn check(&self) -> Vec<u8> {
        let mut request = Message::builder_request(BINDING, MessageWriteVec::new());
        request.add_attribute(&Username::new(&self.username).unwrap()).unwrap();
        let credentials = ShortTermCredentials::new(self.password.clone()).into();
        request.add_message_integrity(&credentials, IntegrityAlgorithm::Sha1).unwrap();
        request.add_fingerprint().unwrap();
        request.finish()
    }

    fn tcp(&self) -> SocketAddr {
        let mut candidates = self.candidates.iter();
        candidates.find(|candidate| candidate.transport == "tcp").unwrap().address
    }
}

fn mapped_address(response: &[u8]) -> SocketAddr {
    let response = Message::from_bytes(response).unwrap();
    let mapped = response.attribute::<XorMappedAddress>().unwrap();
    mapped.addr(response.transaction_id())
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    let mut frame = (datagram.len() as u16).to_be_bytes().to_vec();
    frame.extend(datagram);
    frame
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut frame = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut frame).unwrap();
    frame
}

/// Whether the other end closed it, in order or with a reset because it had not read everything.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 100]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// Sends a check over each candidate's transport, and compares what address the server saw.
fn check_all(peer: &Peer) {
    for candidate in &peer.candidates {
        let at = candidate.address;
        let (seen, own) = if candidate.transport == "udp" {
            let any: IpAddr =
                if at.is_ipv4() { [127, 0, 0, 1].into() } else { Ipv6Addr::LOCALHOST.into() };
            let socket = UdpSocket::bind((any, 0)).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.send_to(&peer.check(), at).unwrap();
            let mut buffer = [0; 1500];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!(from, at, "the answer comes from the candidate's address");
            (mapped_address(&buffer[..length]), socket.local_addr().unwrap())
        } else {
            let mut stream = connect(at);
            stream.write_all(&framed(&peer.check())).unwrap();
            (mapped_address(&read_frame(&mut stream)), stream.local_addr().unwrap())
        };
        assert_eq!(seen, own, "over {} to {at}", candidate.transport);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_are_answered_over_both_transports_and_both_families() {
    let table: [(&str, &[&str], usize); 4] = [
        ("127.0.0.1:0", &[], 2),
        ("[::1]:0", &[], 2),
        ("[::]:0", &["::1"], 2),
        // One socket for both families: IPv4 clients are not seen with mapped addresses.
        ("[::]:0", &["127.0.0.1", "::1"], 4),
    ];
    for (listen, public_ips, candidates) in table {
        let (engine, handle) = start(listen, public_ips);
        let peer = Peer::join(&handle).await;
        assert_eq!(peer.candidates.len(), candidates, "{listen} {public_ips:?}");
        check_all(&peer);
        engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn udp_comes_before_tcp_and_the_addresses_in_the_order_given() {
    let (engine, handle) = start("[::]:0", &["::1", "127.0.0.1"]);
    let peer = Peer::join(&handle).await;

    let order: Vec<(&str, bool, bool)> = peer
        .candidates
        .iter()
        .map(|found| (found.transport.as_str(), found.is_passive, found.address.is_ipv6()))
        .collect();

    let [udp, tcp] = [("udp", false), ("tcp", true)];
    assert_eq!(
        order,
        [(udp.0, udp.1, true), (udp.0, udp.1, false), (tcp.0, tcp.1, true), (tcp.0, tcp.1, false)]
    );
    assert!(peer.candidates.is_sorted_by(|a, b| a.priority > b.priority));
    assert_eq!(engine.media_addresses()[0].ip(), IpAddr::from(Ipv6Addr::LOCALHOST));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_starts_with_anything_but_stun_is_closed() {
    let (engine, handle) = start("127.0.0.1:0", &[]);
    let peer = Peer::join(&handle).await;
    let hello = framed(b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\0");
    let mut late = framed(b"\0\x01\0\0");
    late.extend(&hello);
    let openings: [&[u8]; 4] = [
        &hello,
        b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
        &framed(&[0x80; 100]),
        // What has the form of STUN but is no valid check proves nothing.
        &late,
    ];
    for opening in openings {
        let mut stream = connect(peer.tcp());
        stream.write_all(opening).unwrap();
        assert!(is_closed(&mut stream), "{opening:?}");
    }
    check_all(&peer);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_of_one_address_are_bounded() {
    let (engine, handle) = start("127.0.0.1:0", &[]);
    let peer = Peer::join(&handle).await;

    let mut silent: Vec<TcpStream> = (0..64).map(|_| connect(peer.tcp())).collect();
    let mut refused = connect(peer.tcp());
    assert!(is_closed(&mut refused));

    // Whoever proves itself makes room.
    silent[0].write_all(&framed(&peer.check())).unwrap();
    read_frame(&mut silent[0]);
    let mut stream = connect(peer.tcp());
    stream.write_all(&framed(&peer.check())).unwrap();
    read_frame(&mut stream);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_with_its_peer() {
    let (engine, handle) = start("127.0.0.1:0", &[]);
    let peer = Peer::join(&handle).await;
    let mut stream = connect(peer.tcp());
    stream.write_all(&framed(&peer.check())).unwrap();
    read_frame(&mut stream);

    handle.remove(PeerId(1)).await;

    assert!(is_closed(&mut stream));
    engine.shutdown().await;
}
