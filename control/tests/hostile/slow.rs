//! Clients that take their time (a "slow loris").

use std::time::Duration;

use madang::Server;
use tokio::io::AsyncWriteExt;

use crate::raw::{PATIENCE, Raw, TEXT};
use crate::{Bystander, stomp_client};

const LIMIT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn who_sends_a_connect_byte_by_byte_is_told_that_the_time_is_over() {
    let (server, _dir) = hurried().await;
    let mut bystander = Bystander::connect(&server).await;
    let mut raw = Raw::upgrade(server.http_addr(), "/ws").await;

    for byte in b"CONNECT\naccept-version:1.2\nhost:x\n\n\0" {
        raw.send_frame(TEXT, &[*byte]).await;
        if tokio::time::timeout(Duration::from_millis(300), raw.0.readable()).await.is_ok() {
            break;
        }
    }
    let (said, code) = raw.until_closed().await;

    assert!(said.contains("ERROR\nmessage:timeout\n"), "{said}");
    assert!(said.contains("No CONNECT frame came within 2s."), "{said}");
    assert_eq!(code, Some(1002));
    bystander.goes_on().await;
    server.shutdown().await;
}

#[tokio::test]
async fn who_sends_a_request_byte_by_byte_is_cut_off() {
    let (server, _dir) = hurried().await;
    let mut bystander = Bystander::connect(&server).await;
    let mut raw = Raw::connect(server.http_addr()).await;

    let dripping = async {
        for byte in b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n" {
            if raw.0.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("all was taken");
    };
    tokio::time::timeout(PATIENCE, dripping).await.unwrap();

    bystander.goes_on().await;
    server.shutdown().await;
}

#[tokio::test]
async fn who_speaks_stomp_over_tcp_has_no_more_time() {
    let (server, _dir) = hurried().await;
    let mut raw = Raw::connect(server.stomp_addr().unwrap()).await;

    raw.send(b"CONNECT\naccept-").await;

    let said = String::from_utf8_lossy(&raw.rest().await).into_owned();
    assert!(said.starts_with("ERROR\nmessage:timeout\n"), "{said}");
    server.shutdown().await;
}

#[tokio::test]
async fn a_sockjs_session_without_connect_ends_too() {
    let (server, _dir) = hurried().await;
    let close = [("Connection", "close")];
    let mut raw = Raw::connect(server.http_addr()).await;

    raw.request("POST", "/ws/000/slow/xhr_streaming", &close, "").await;

    let answer = raw.answer().await;
    assert!(answer.text.contains("No CONNECT frame came within 2s."), "{answer:?}");
    assert!(answer.text.contains("c[3000,\"Go away!\"]"), "{answer:?}");
    server.shutdown().await;
}

/// A server that waits for nobody long.
async fn hurried() -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = stomp_client::settings(&dir);
    settings.limits.connect_timeout = LIMIT;
    settings.limits.request_timeout = LIMIT;
    settings.stomp.tcp_listen = "127.0.0.1:0".parse().ok();
    (Server::start(settings).await.unwrap(), dir)
}
