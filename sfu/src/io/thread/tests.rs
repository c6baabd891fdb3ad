//! Engines with real threads and sockets.
#![expect(clippy::disallowed_methods, reason = "real sockets are what is tested here")]

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::io::{Config, Engine, Handle};
use crate::worker::tests::camera_of;
use crate::worker::tests::client::{Client, World};
use crate::{Mid, OfferError, PeerId, Receivers, RoomId};

/// Rounds of [`RealPeer::exchange`]; only a failing test needs them all.
const PATIENCE: u16 = 1000;

fn config(workers: usize) -> Config {
    let listen = ([127, 0, 0, 1], 0).into();
    Config { workers, peers_per_worker_and_room: 1, ..Config::at(listen) }
}

/// A client with its own socket, connected to an engine.
struct RealPeer {
    client: Client,
    /// Only its clock is used; its worker is idle.
    world: World,
    socket: UdpSocket,
}

impl RealPeer {
    async fn join(handle: &Handle, id: u64, worker: SocketAddr) -> RealPeer {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        socket.connect(worker).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let mut world = World::new();
        world.far = Some(Vec::new());
        let mut client = Client::new(id);
        let offer = client.offer_with_slots(3, 1);
        let answer =
            handle.offer(RoomId(1), PeerId(id), offer, Receivers::default()).await.unwrap();
        client.learn(&answer.sdp);
        world.connect(&mut client);
        let mut peer = RealPeer { client, world, socket };
        assert!(peer.exchange_until(|client| client.is_connected()), "DTLS connects");
        peer
    }

    /// Sends the client's datagrams, and lets it read one.
    fn exchange(&mut self) {
        for datagram in self.world.far.iter_mut().flat_map(std::mem::take) {
            self.socket.send(&datagram).unwrap();
        }
        let mut buffer = [0; 2048];
        if let Ok(length) = self.socket.recv(&mut buffer) {
            self.client.receive(&mut self.world, buffer[..length].to_vec());
        }
    }

    fn exchange_until(&mut self, done: impl Fn(&Client) -> bool) -> bool {
        (0..PATIENCE).any(|_| {
            self.exchange();
            done(&self.client)
        })
    }
}

/// More than one turn of the loop has, and more than there are places for reading them.
#[tokio::test]
async fn offers_that_come_together_are_all_answered() {
    let (engine, handle, _events) = Engine::start(config(1), Box::new(|_| {})).unwrap();
    let offers: Vec<_> = (1..=40)
        .map(|id| {
            let (handle, sdp) = (handle.clone(), Client::new(id).offer_with_slots(3, 40));
            let (room, peer) = (RoomId(id % 3), PeerId(id));
            tokio::spawn(async move { handle.offer(room, peer, sdp, Receivers::default()).await })
        })
        .collect();
    for (id, offer) in (1..).zip(offers) {
        let answer = offer.await.unwrap().unwrap();
        assert_eq!((answer.peer, answer.slots.len()), (PeerId(id), 43));
        handle.assign(PeerId(id), Mid::new("4"), camera_of(1)).await;
        handle.remove(PeerId(id)).await;
    }

    engine.shutdown().await;
}

#[tokio::test]
async fn an_offer_that_cannot_be_read_does_not_reach_a_worker() {
    let (engine, handle, _events) = Engine::start(config(1), Box::new(|_| {})).unwrap();

    let refused = handle.offer(RoomId(1), PeerId(1), "garbage".into(), Receivers::default()).await;

    assert!(matches!(refused, Err(OfferError::BadSdp(_))));
    assert_eq!(handle.placement.worker_of(PeerId(1)), None);
    engine.shutdown().await;
}

#[tokio::test]
async fn audio_and_video_cross_between_two_workers() {
    let (engine, handle, _events) = Engine::start(config(2), Box::new(|_| {})).unwrap();
    let workers = engine.media_addresses().to_vec();
    let mut a = RealPeer::join(&handle, 1, workers[0]).await;
    let mut b = RealPeer::join(&handle, 2, workers[1]).await;
    handle.assign(PeerId(2), Mid::new("4"), camera_of(1)).await;
    assert!(
        a.exchange_until(|client| client.plis > 0),
        "the key frame request reaches the other worker's publisher"
    );

    a.client.send_video(&mut a.world, 1, true);
    a.client.send_audio(&mut a.world, 1);
    b.client.send_audio(&mut b.world, 1);
    a.exchange();
    let (seen, heard) = (b.client.slot_ssrc("4"), b.client.slot_ssrc("2"));
    assert!(b.exchange_until(|client| {
        [seen, heard].iter().all(|ssrc| client.received.iter().any(|packet| packet.ssrc == *ssrc))
    }));
    assert!(a.exchange_until(|client| !client.received.is_empty()));

    engine.shutdown().await;
}
