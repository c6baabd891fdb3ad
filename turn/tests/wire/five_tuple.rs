//! A client is identified by its 5-tuple (RFC 8656 §3.2): answers come from the address to which it sends, and at
//! another port of the server it is another client.

use std::net::SocketAddr;

use madang_turn::ClientAddr;
use stun_types::message::BINDING;

use crate::sockets::{Client, Running, Stream, my_credentials};
use crate::world::{Ask, Login, MEDIA, allocate, bind, channel_data, code, config, refresh};

#[tokio::test]
async fn answers_and_data_come_from_where_the_client_sends_to() {
    for (listen, asked) in [
        ("0.0.0.0", "127.0.0.2"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.2"),
        ("::", "::1"),
        ("127.0.0.3", "127.0.0.3"),
    ] {
        let running = Running::start_at(listen, config()).await;
        // A connected socket, which receives from this address only.
        let asked = SocketAddr::new(asked.parse().unwrap(), running.udp.port());
        let client = Client::new(asked).await;

        let login = Login::new(my_credentials(), &client.ask(&allocate().unsigned()).await);
        assert_eq!(code(&client.ask(&allocate().signed(&login)).await), 0);
        assert_eq!(code(&client.ask(&bind(0x4000, MEDIA).signed(&login)).await), 0);
        for length in [1200, 1200, 7] {
            let data = channel_data(0x4000, &vec![1; length]);
            assert_eq!(client.ask(&data).await, data, "{listen}");
        }
        running.stop().await;
    }
}

#[tokio::test]
async fn one_address_of_a_client_at_two_ports_of_the_server_is_two_clients() {
    let running = Running::start().await;
    let from = ClientAddr::tls("203.0.113.9:40000".parse().unwrap());
    let mut clients = Vec::new();
    for port in [443, 5349] {
        let (ours, theirs) = tokio::io::duplex(4000);
        let to = SocketAddr::from(([198, 51, 100, 1], port));
        running.handle.accept(theirs, from.at(to)).await;
        let mut client = Stream(ours);
        let login = Login::new(my_credentials(), &client.ask(&allocate().unsigned()).await);
        assert_eq!(code(&client.ask(&allocate().signed(&login)).await), 0);
        clients.push((client, login));
    }

    for (client, login) in &mut clients {
        assert_eq!(code(&client.ask(&refresh(600).signed(login)).await), 0);
    }
    let (first, _) = clients.remove(0);
    drop(first);
    let (second, login) = &mut clients[0];
    while running.handle.stats().allocations_closed == 0 {
        second.ask(&Ask::request(BINDING).unsigned()).await;
    }

    assert_eq!(code(&second.ask(&refresh(600).signed(login)).await), 0);
    running.stop().await;
}

#[tokio::test]
async fn a_nonce_of_one_port_is_stale_at_another() {
    let running = Running::start().await;
    let from = ClientAddr::tls("203.0.113.9:40000".parse().unwrap());
    let open = async |port| {
        let (ours, theirs) = tokio::io::duplex(4000);
        running.handle.accept(theirs, from.at(([198, 51, 100, 1], port).into())).await;
        Stream(ours)
    };
    let (mut first, mut second) = (open(443).await, open(5349).await);
    let login = Login::new(my_credentials(), &first.ask(&allocate().unsigned()).await);

    assert_eq!(code(&second.ask(&allocate().signed(&login)).await), 438);
    assert_eq!(code(&first.ask(&allocate().signed(&login)).await), 0);
    running.stop().await;
}
