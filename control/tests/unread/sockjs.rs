//! SockJS over HTTP requests: one streams to the client, others bring what it sends.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::sender::{TOPIC, Transport, connect};
use crate::{CUT_OFF, PATIENCE, slow_consumers, start, start_with};

#[tokio::test]
async fn a_stream_that_is_read_late_has_all_echoes() {
    let (server, _dir) = start_with(Transport::SockJsWebSocket, |_| {}).await;
    let http = server.http_addr();
    let mut stream = open(http).await;
    let body = "x".repeat(400_000);

    let sending = async {
        for number in 0..7 {
            let frame = format!("SEND\ndestination:{TOPIC}\n\n{number} {body}\0");
            assert_eq!(send(http, &frame).await, 204);
        }
    };
    tokio::time::timeout(PATIENCE, sending).await.expect("both ends wait");

    // A streaming response ends after 128 KiB, and the client asks for the next one.
    let mut heard = String::new();
    let hearing = async {
        for number in 0..7 {
            while !heard.contains(&format!("\\n\\n{number} x")) {
                stream.read_to_string(&mut heard).await.unwrap();
                stream = receive(http).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, hearing).await.expect("echoes are missing");
    server.shutdown().await;
}

#[tokio::test]
async fn a_stream_that_is_never_read_ends_with_the_error() {
    let (server, _dir) = start(Transport::SockJsWebSocket).await;
    let http = server.http_addr();
    let mut stream = open(http).await;
    let frame = format!("SEND\ndestination:{TOPIC}\n\n{}\0", "x".repeat(16 * 1024));

    let until_slow = async {
        while slow_consumers(&server) == 0 {
            send(http, &frame).await;
        }
    };
    tokio::time::timeout(PATIENCE, until_slow).await.expect("both ends wait");

    // The session takes nothing more, and keeps its end for the client.
    let ended = async {
        while send(http, &frame).await != 404 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(CUT_OFF, ended).await.expect("the session goes on");
    let mut heard = String::new();
    let hearing = async {
        while !heard.contains("c[3000,\"Go away!\"]") {
            stream.read_to_string(&mut heard).await.unwrap();
            stream = receive(http).await;
        }
    };
    tokio::time::timeout(PATIENCE, hearing).await.expect("the end is missing");
    assert!(heard.contains("ERROR\\nmessage:slow consumer"), "{:.200}", heard);
    server.shutdown().await;
}

/// A streaming response of a session that is connected and hears what it sends to [`TOPIC`].
async fn open(http: SocketAddr) -> TcpStream {
    let mut stream = receive(http).await;
    read_until(&mut stream, "o\n").await;
    assert_eq!(send(http, "CONNECT\naccept-version:1.2\nhost:x\n\n\0").await, 204);
    let subscribe = format!("SUBSCRIBE\nid:s\ndestination:{TOPIC}\nreceipt:s\n\n\0");
    assert_eq!(send(http, &subscribe).await, 204);
    read_until(&mut stream, "RECEIPT").await;
    stream
}

/// Asks for a streaming response.
async fn receive(http: SocketAddr) -> TcpStream {
    post(connect(http).await, "/ws/000/late/xhr_streaming", "").await
}

/// The status of an `xhr_send`.
async fn send(http: SocketAddr, frame: &str) -> u16 {
    let body = serde_json::to_string(&[frame]).unwrap();
    let mut stream =
        post(TcpStream::connect(http).await.unwrap(), "/ws/000/late/xhr_send", &body).await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

async fn post(mut stream: TcpStream, path: &str, body: &str) -> TcpStream {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).await.unwrap();
    stream
}

async fn read_until(stream: &mut TcpStream, wanted: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(wanted) {
        read.push(stream.read_u8().await.unwrap());
    }
}
