//! With an external broker: it may take nothing more either.
#![expect(clippy::disallowed_methods, reason = "the broker's socket is opened here")]

use std::time::Duration;

use madang::Server;
use madang_wire::{Command, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::sender::{Sender, TOPIC, Transport};
use crate::{PATIENCE, slow_consumers, stomp_client};

#[tokio::test]
async fn a_client_and_a_broker_that_both_read_nothing_do_not_wait_for_ever() {
    let broker = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut settings = stomp_client::settings(&dir);
    settings.stomp.tcp_listen = "127.0.0.1:0".parse().ok();
    settings.limits.messages_per_second = 0;
    let address = broker.local_addr().unwrap();
    settings.broker.relay = Some(format!("stomp://madang:secret@{address}/vhost").parse().unwrap());
    let server = Server::start(settings).await.unwrap();
    let servers_own = connected(&broker).await;
    let mut client = Sender::connect(&server, dir.path(), Transport::Tcp).await;
    client.say(&format!("SUBSCRIBE\nid:s\ndestination:{TOPIC}\n\n\0")).await;
    let mut own = connected(&broker).await;
    let body = "x".repeat(64 * 1024);
    let message = format!("MESSAGE\nsubscription:s\ndestination:{TOPIC}\nmessage-id:1\n\n{body}\0");

    let slow = async {
        while slow_consumers(&server) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let stalling = async {
        tokio::select! {
            () = slow => {}
            () = async { loop { client.echo(&body).await } } => {}
            () = async { loop { own.write_all(message.as_bytes()).await.unwrap() } } => {}
        }
    };
    tokio::time::timeout(PATIENCE, stalling).await.expect("both ends wait");

    let last = client.last_frame().await;
    assert_eq!(last.command, Command::Error);
    assert_eq!(last.header(header::MESSAGE), Some("slow consumer"));
    drop((own, servers_own));
    server.shutdown().await;
}

/// The server's next connection to its broker.
async fn connected(broker: &TcpListener) -> TcpStream {
    let (mut stream, _) = broker.accept().await.unwrap();
    while stream.read_u8().await.unwrap() != 0 {}
    stream.write_all(b"CONNECTED\nversion:1.2\n\n\0").await.unwrap();
    stream
}
