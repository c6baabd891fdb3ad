//! A host with several addresses: a check is answered from the address it was sent to (RFC 8445 §7.2.5.2.1).

use std::net::{SocketAddr, UdpSocket};

use crate::peer::{PATIENCE, Peer, config, mapped_address, start};

/// Another address of every Linux machine, which the system would not choose for answering 127.0.0.1.
const SECOND: &str = "127.0.0.2";

/// A socket that only accepts datagrams from the server's address, as a NAT does.
fn client_of(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn check(client: &UdpSocket, peer: &Peer) -> SocketAddr {
    client.send(&peer.check()).unwrap();
    let mut buffer = [0; 1500];
    let length = client
        .recv(&mut buffer)
        .expect("the response comes from the address that the check was sent to");
    mapped_address(&buffer[..length])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_answered_from_the_address_that_it_came_to() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let (engine, handle) = start(config(listen, &[SECOND]));
        let peer = Peer::join(&handle).await;
        let client = client_of(peer.candidates[0].address);

        let seen = check(&client, &peer);

        assert_eq!(seen, client.local_addr().unwrap(), "{listen}");
        engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_is_answered_from_each_address_that_it_tries() {
    let (engine, handle) = start(config("0.0.0.0:0", &["127.0.0.1", SECOND]));
    let peer = Peer::join(&handle).await;
    let udp = peer.candidates.iter().filter(|candidate| candidate.transport == "udp");
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();

    let mut answered = Vec::new();
    for candidate in udp.clone().chain(udp.clone()) {
        client.send_to(&peer.check(), candidate.address).unwrap();
        answered.push(client.recv_from(&mut [0; 1500]).unwrap().1);
    }

    let tried: Vec<SocketAddr> = udp.clone().chain(udp).map(|tried| tried.address).collect();
    assert_eq!(answered, tried);
    engine.shutdown().await;
}
