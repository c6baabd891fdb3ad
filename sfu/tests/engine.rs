//! The engine with its real threads and sockets, on loopback.
#![expect(clippy::disallowed_methods, reason = "real sockets are what is tested here")]

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use madang_sfu::io::{Config, Engine, Handle};
use madang_sfu::{OfferError, PeerId, Receivers, RoomId, Stats};

fn config(listen: SocketAddr, workers: usize) -> Config {
    Config { workers, peers_per_worker_and_room: 1, ..Config::at(listen) }
}

/// A microphone.
const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\n\
    a=rtpmap:111 opus/48000/2\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:actpass\r\n\
    a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n";

fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// Polls the counters until they match; they are published some time after they change.
async fn stats_until(handle: &Handle, wished: impl Fn(&Stats) -> bool) -> Stats {
    for _ in 0..500 {
        if let Some(stats) = handle.stats().into_iter().find(|stats| wished(stats)) {
            return stats;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the counters never match: {:?}", handle.stats());
}

#[tokio::test]
async fn garbage_on_the_port_is_counted_and_does_not_stop_the_engine() {
    let (engine, handle, _events) =
        Engine::start(config(loopback(0), 1), Box::new(|_| {})).unwrap();
    let media = engine.media_addresses()[0];
    let stranger = UdpSocket::bind(loopback(0)).unwrap();
    for length in 0..200 {
        stranger.send_to(&vec![0xff; length], media).unwrap();
        stranger.send_to(&vec![0x80; length], media).unwrap();
    }
    let seen = |stats: &Stats| stats.dropped_unknown + stats.dropped_unvalidated >= 398;
    stats_until(&handle, seen).await;

    let answer = handle.offer(RoomId(1), PeerId(1), "noise".into(), Receivers::default()).await;
    assert!(matches!(answer, Err(OfferError::BadSdp(_))));
    engine.shutdown().await;
    let late = handle.offer(RoomId(1), PeerId(1), OFFER.into(), Receivers::default()).await;
    assert_eq!(late, Err(OfferError::Overloaded));
}

#[tokio::test]
async fn each_worker_has_a_port_of_its_own() {
    let (engine, _handle, _events) =
        Engine::start(config(loopback(0), 3), Box::new(|_| {})).unwrap();
    let mut ports: Vec<u16> = engine.media_addresses().iter().map(SocketAddr::port).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 3);
    engine.shutdown().await;
}

#[tokio::test]
async fn errors_name_addresses_that_cannot_be_bound_or_reached() {
    let taken = UdpSocket::bind(loopback(0)).unwrap();
    let address = taken.local_addr().unwrap();
    let error = Engine::start(config(address, 1), Box::new(|_| {})).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");

    let everywhere = ([0, 0, 0, 0], 0).into();
    let error = Engine::start(config(everywhere, 1), Box::new(|_| {})).unwrap_err();
    assert!(error.to_string().contains("public address"), "{error}");
}
