//! UDP and TCP, IPv4 and IPv6, with real sockets on loopback.
#![expect(clippy::disallowed_methods, reason = "real sockets are what is tested here")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod peer;
mod several_addresses;
mod shared_port;

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr, TcpStream, UdpSocket};

use madang_sfu::PeerId;
use madang_sfu::io::{Engine, Handle};
use peer::{PATIENCE, Peer, config, connect, framed, is_closed, mapped_address, read_frame};

fn start(listen: &str, public_ips: &[&str]) -> (Engine, Handle) {
    peer::start(config(listen, public_ips))
}

/// Sends a check over each candidate's transport, and verifies the address that the server saw.
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
            assert_eq!(from, at, "the response comes from the candidate's address");
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
        // One socket for both families: the server must not see IPv4 clients under mapped addresses.
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
        // A STUN message that is not a valid check proves nothing.
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

    // A valid check makes room.
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
