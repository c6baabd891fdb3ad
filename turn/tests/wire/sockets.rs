//! The shell with real sockets on loopback: from a client to an echoing media engine and back.
#![expect(clippy::disallowed_methods, reason = "these tests are about real sockets and real time")]

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use madang_turn::{Datagram, Server, credentials, mailbox, run};
use stun_types::message::BINDING;
use tokio::net::UdpSocket;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::world::{
    Ask, Login, MEDIA, allocate, bind, channel_data, code, config, indication, relayed,
};

#[tokio::test]
async fn a_datagram_goes_to_media_and_back() {
    let (handle, mailbox) = mailbox();
    let echo = handle.clone();
    let shutdown = CancellationToken::new();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server_addr = socket.local_addr().unwrap();
    let server = tokio::spawn(run(
        socket,
        Server::new(&config(), 1).unwrap(),
        mailbox,
        move |datagram| echo.deliver(datagram),
        shutdown.clone(),
    ));
    let client = Client::new(server_addr).await;

    let login = Login::new(client.credentials(), &client.ask(&allocate().unsigned()).await);
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
    // The counters are published after the wake-up that changed them; one more answer proves that it is over.
    client.ask(&Ask::request(BINDING).unsigned()).await;
    let stats = handle.stats();
    assert_eq!((stats.to_media_packets, stats.to_media_bytes), (2, 1203));
    assert_eq!((stats.to_client_packets, stats.to_client_bytes), (3, 1208));
    assert_eq!((stats.allocations, stats.send_refused), (1, 0));
    shutdown.cancel();
    server.await.unwrap().unwrap();
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

struct Client {
    socket: UdpSocket,
}

impl Client {
    async fn new(server: SocketAddr) -> Client {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(server).await.unwrap();
        Client { socket }
    }

    fn credentials(&self) -> madang_turn::Credentials {
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        credentials(&config().secret, "alice", since_1970.as_secs(), 60)
    }

    async fn ask(&self, datagram: &[u8]) -> Vec<u8> {
        self.socket.send(datagram).await.unwrap();
        self.receive().await
    }

    async fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 2000];
        let length = timeout(Duration::from_secs(20), self.socket.recv(&mut buffer))
            .await
            .expect("the server answers")
            .unwrap();
        buffer.truncate(length);
        buffer
    }
}
