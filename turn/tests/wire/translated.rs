//! Relayed addresses that this machine does not have, because it is behind a NAT. The test has no NAT: peers see this
//! machine's own address and reach it there.
#![expect(clippy::disallowed_methods, reason = "these tests are about real sockets and real time")]

use std::net::{IpAddr, SocketAddr};

use madang_turn::Config;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use turn_types::AddressFamily;
use turn_types::attribute::RequestedAddressFamily;
use turn_types::message::CONNECT;

use crate::sockets::{PATIENCE, Running, Stream, loopback_peers, my_credentials};
use crate::tcp_rules::{allocate_tcp, number};
use crate::world::{Ask, Login, code, permission, relayed};

#[tokio::test]
async fn connections_go_out_from_the_port_and_come_in_to_it() {
    for (ip, public) in [("127.0.0.1", "203.0.113.7"), ("::1", "2001:db8::7")] {
        let running = Running::start_with(translated()).await;
        let local: IpAddr = ip.parse().unwrap();
        let family = if local.is_ipv4() { AddressFamily::IPV4 } else { AddressFamily::IPV6 };
        let allocate = || allocate_tcp().with(&RequestedAddressFamily::new(family));
        let listener = TcpListener::bind((local, 0)).await.unwrap();
        let peer = listener.local_addr().unwrap().to_string();
        let mut control = Stream(TcpStream::connect(running.tcp).await.unwrap());

        let login = Login::new(my_credentials(), &control.ask(&allocate().unsigned()).await);
        let allocated = control.ask(&allocate().signed(&login)).await;
        let relayed = relayed(&allocated);
        let at_home = SocketAddr::new(local, relayed.port());
        let connect = Ask::request(CONNECT).peer(&peer);
        let connected = control.ask(&connect.signed(&login)).await;
        let (_called, from) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        let permitted = control.ask(&permission(&peer).signed(&login)).await;
        let _comes = TcpStream::connect(at_home).await.unwrap();
        let attempt = control.receive().await;

        assert_eq!(relayed.ip(), public.parse::<IpAddr>().unwrap());
        assert_eq!((code(&connected), from), (0, at_home));
        assert_eq!(code(&permitted), 0);
        assert_ne!(number(&attempt), number(&connected));
        running.stop().await;
    }
}

/// The same port of IPv4 may belong to another client or program.
#[tokio::test]
async fn a_port_of_ipv6_is_none_of_ipv4() {
    let somebody = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = somebody.local_addr().unwrap().port();
    let running = Running::start_with(Config { relay_ports: port..=port, ..translated() }).await;
    let family = RequestedAddressFamily::new(AddressFamily::IPV6);
    let mut control = Stream(TcpStream::connect(running.tcp).await.unwrap());

    let login = Login::new(my_credentials(), &control.ask(&allocate_tcp().unsigned()).await);
    let allocated = control.ask(&allocate_tcp().with(&family).signed(&login)).await;

    assert_eq!((code(&allocated), relayed(&allocated).port()), (0, port));
    running.stop().await;
}

/// Documentation addresses (RFC 5737, RFC 3849), which no machine has.
fn translated() -> Config {
    let relay_ips = ["203.0.113.7", "2001:db8::7"].map(|ip| ip.parse().unwrap());
    Config { relay_ips: relay_ips.to_vec(), ..loopback_peers() }
}
