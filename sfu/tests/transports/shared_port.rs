//! Connections that another listener has accepted, such as HTTPS on the same port.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use madang_sfu::io::{Config, Handle};
use madang_sfu::{PeerId, Stats};
use tokio::net::TcpListener;

use crate::peer::{Peer, config, connect, framed, is_closed, mapped_address, read_frame, start};

/// Longer than any first check.
const FIRST: usize = 1024;

/// Binds the shared port, and configures the engine for it.
async fn shared(config: Config) -> (TcpListener, Config) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shared_tcp = vec![listener.local_addr().unwrap()];
    (listener, Config { shared_tcp, ..config })
}

/// Hands connections over once they have received something.
fn serve(listener: TcpListener, handle: Handle) {
    tokio::spawn(async move {
        while let Ok((stream, remote)) = listener.accept().await {
            let mut first = [0; FIRST];
            let length = stream.peek(&mut first).await.unwrap();
            handle.accept_tcp(stream, remote, &first[..length]).await;
        }
    });
}

fn check_over(stream: &mut TcpStream, peer: &Peer) {
    stream.write_all(&framed(&peer.check())).unwrap();
    assert_eq!(mapped_address(&read_frame(stream)), stream.local_addr().unwrap());
}

/// Polls the counters until they match; they are published some time after they change.
async fn stats_until(handle: &Handle, wished: impl Fn(&[Stats]) -> bool) {
    for _ in 0..2000 {
        if wished(&handle.stats()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the counters never match: {:?}", handle.stats());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shared_port_is_the_last_candidate_of_all() {
    let (listener, config) = shared(config("127.0.0.1:0", &[])).await;
    let port = listener.local_addr().unwrap();
    let (engine, handle) = start(config);

    let peer = Peer::join(&handle).await;

    let last = peer.candidates.last().unwrap();
    assert_eq!((last.transport.as_str(), last.is_passive, last.address), ("tcp", true, port));
    assert_eq!(peer.candidates.len(), 3);
    assert!(peer.candidates.is_sorted_by(|a, b| a.priority > b.priority));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_connection_comes_to_the_worker_of_its_peer() {
    let config = Config { workers: 3, peers_per_worker_and_room: 1, ..config("127.0.0.1:0", &[]) };
    let (listener, config) = shared(config).await;
    let at = listener.local_addr().unwrap();
    let (engine, handle) = start(config);
    serve(listener, handle.clone());

    let mut streams = Vec::new();
    for id in 1..=3 {
        let peer = Peer::join_as(&handle, PeerId(id)).await;
        let mut stream = connect(at);
        check_over(&mut stream, &peer);
        // More data follows on the same connection, in pieces.
        let more = framed(&peer.check());
        let (begin, rest) = more.split_at(5);
        stream.write_all(begin).unwrap();
        stream.write_all(rest).unwrap();
        mapped_address(&read_frame(&mut stream));
        streams.push(stream);
    }

    stats_until(&handle, |stats| stats.iter().all(|stats| stats.tcp_connections == 1)).await;
    handle.remove(PeerId(2)).await;
    assert!(is_closed(&mut streams[1]), "the connection ends with its peer");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_first_datagram_names_no_worker_is_closed() {
    let (listener, config) = shared(config("127.0.0.1:0", &[])).await;
    let at = listener.local_addr().unwrap();
    let (engine, handle) = start(config);
    serve(listener, handle.clone());
    let peer = Peer::join(&handle).await;
    let with = |username: &str| {
        let stranger =
            Peer { username: username.into(), password: "x".repeat(24), candidates: vec![] };
        framed(&stranger.check())
    };
    let good = framed(&peer.check());
    let openings: [&[u8]; 6] = [
        &with("//////////////:a"),
        &with("AAB12345678:a"),
        &with("-:a"),
        &framed(b"\0\x01\0\0"),
        b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
        // Incomplete: the caller did not wait for the whole check.
        &good[..good.len() - 1],
    ];

    for opening in openings {
        let mut stream = connect(at);
        stream.write_all(opening).unwrap();
        assert!(is_closed(&mut stream), "{opening:?}");
    }

    check_over(&mut connect(at), &peer);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_a_valid_check_are_bounded_there_too() {
    let (listener, config) = shared(config("127.0.0.1:0", &[])).await;
    let at: SocketAddr = listener.local_addr().unwrap();
    let (engine, handle) = start(config);
    serve(listener, handle.clone());
    let peer = Peer::join(&handle).await;
    let username = peer.username.clone();
    let stranger = Peer { username, password: "x".repeat(24), candidates: vec![] };
    let ask = |_| {
        let mut stream = connect(at);
        stream.write_all(&framed(&stranger.check())).unwrap();
        stream
    };

    let silent: Vec<TcpStream> = (0..64).map(ask).collect();
    stats_until(&handle, |stats| stats[0].tcp_connections == 64).await;
    assert!(is_closed(&mut ask(64)), "guessing passwords gets no more connections");

    drop(silent);
    stats_until(&handle, |stats| stats[0].tcp_connections == 0).await;
    let mut stream = connect(at);
    check_over(&mut stream, &peer);
    engine.shutdown().await;
    let mut rest = Vec::new();
    assert!(stream.read_to_end(&mut rest).is_ok(), "the connection ends with the engine");
}
