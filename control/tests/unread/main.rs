//! Clients that send while they do not read. Neither end may wait for the other: the client gets what is its due once it
//! reads, or the ERROR for slow consumers, or is cut off soon; other clients notice nothing.
#![expect(clippy::disallowed_methods, reason = "these tests use real sockets and real time")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod relay;
mod sender;
mod sockjs;

#[path = "../stomp_client/mod.rs"]
mod stomp_client;

use std::time::Duration;

use madang::Server;
use madang::limits::Limits;
use madang_wire::{Command, Frame, header};
use tempfile::TempDir;

use self::sender::{Sender, Transport};

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);
/// A connection is cut off within 2.5 seconds after its client was found to be slow; the rest is for a busy machine.
const CUT_OFF: Duration = Duration::from_secs(15);
/// Half a megabyte each.
const FRAMES: usize = 40;

#[tokio::test]
async fn a_websocket_that_writes_first_gets_all_echoes() {
    what_was_written_first_comes_back(Transport::WebSocket).await;
}

#[tokio::test]
async fn a_websocket_in_tls_that_writes_first_gets_all_echoes() {
    what_was_written_first_comes_back(Transport::WebSocketInTls).await;
}

#[tokio::test]
async fn a_sockjs_websocket_that_writes_first_gets_all_echoes() {
    what_was_written_first_comes_back(Transport::SockJsWebSocket).await;
}

#[tokio::test]
async fn a_tcp_connection_that_writes_first_gets_all_echoes() {
    what_was_written_first_comes_back(Transport::Tcp).await;
}

#[tokio::test]
async fn a_websocket_that_never_reads_is_told_so() {
    slow_sender_gets_an_error(Transport::WebSocket).await;
}

#[tokio::test]
async fn a_websocket_in_tls_that_never_reads_is_told_so() {
    slow_sender_gets_an_error(Transport::WebSocketInTls).await;
}

#[tokio::test]
async fn a_sockjs_websocket_that_never_reads_is_told_so() {
    slow_sender_gets_an_error(Transport::SockJsWebSocket).await;
}

#[tokio::test]
async fn a_tcp_connection_that_never_reads_is_told_so() {
    slow_sender_gets_an_error(Transport::Tcp).await;
}

#[tokio::test]
async fn who_does_not_even_read_the_error_is_cut_off() {
    for transport in Transport::ALL {
        let (server, dir) = start(transport).await;
        let mut slow = Sender::subscribe(&server, dir.path(), transport).await;

        let cut = async { while slow.try_echo(&"x".repeat(16 * 1024)).await.is_ok() {} };
        tokio::time::timeout(PATIENCE, cut).await.expect("the client can send for ever");

        let gone = async {
            while server.hub().stats().sessions > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(CUT_OFF, gone).await.expect("the session goes on");
        assert_eq!(slow_consumers(&server), 1, "{transport:?}");
        server.shutdown().await;
    }
}

#[tokio::test]
async fn receipts_that_nobody_reads_count_too() {
    for transport in Transport::ALL {
        let (server, dir) = start(transport).await;
        let mut slow = Sender::subscribe(&server, dir.path(), transport).await;
        // Longer than the system buffers between them.
        let receipt = "r".repeat(8 * 1024);

        let until_slow = async {
            while slow_consumers(&server) == 0 {
                slow.say(&format!("BEGIN\ntransaction:t\nreceipt:{receipt}\n\n\0")).await;
                slow.say(&format!("ABORT\ntransaction:t\nreceipt:{receipt}\n\n\0")).await;
            }
        };
        tokio::time::timeout(PATIENCE, until_slow).await.expect("both ends wait");

        assert_slow(&slow.last_frame().await, transport);
        server.shutdown().await;
    }
}

/// They are few, so that they take no memory; RFC 6455 §5.5.3 lets the latest pong stand for those before it.
#[tokio::test]
async fn of_pings_sent_without_reading_the_last_is_answered() {
    let transport = Transport::WebSocket;
    let (server, dir) = start_with(transport, large_outbox).await;
    let mut client = Sender::subscribe(&server, dir.path(), transport).await;
    let body = "x".repeat(500_000);

    let answered = async {
        // The server can write nothing more.
        for _ in 0..FRAMES {
            client.echo(&body).await;
        }
        for number in 0..5_000 {
            client.ping(&format!("{number:0>100}")).await;
        }
        for _ in 0..FRAMES {
            client.hear().await.expect("the connection ended");
        }
        client.say("BEGIN\ntransaction:t\nreceipt:r\n\n\0").await;
        client.hear().await.expect("the connection ended");
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("both ends wait");

    assert!(client.pongs.len() < 100, "{} pongs waited", client.pongs.len());
    assert_eq!(client.pongs.last(), Some(&format!("{:0>100}", 4_999)));
    server.shutdown().await;
}

/// A client writes more than the systems at both ends buffer, and reads only then.
async fn what_was_written_first_comes_back(transport: Transport) {
    let (server, dir) = start_with(transport, large_outbox).await;
    let mut client = Sender::subscribe(&server, dir.path(), transport).await;
    let body = "마당에서 만나요. ".repeat(20_000);

    let echoes = async {
        for number in 0..FRAMES {
            client.echo(&format!("{number} {body}")).await;
        }
        for number in 0..FRAMES {
            let echo = client.hear().await.expect("the connection ended");
            assert_eq!(echo.command, Command::Message);
            assert_eq!(echo.body, format!("{number} {body}"));
        }
    };
    tokio::time::timeout(PATIENCE, echoes).await.expect("both ends wait");

    server.shutdown().await;
}

/// A client sends and does not read until it counts as slow.
async fn slow_sender_gets_an_error(transport: Transport) {
    let (server, dir) = start(transport).await;
    let mut slow = Sender::subscribe(&server, dir.path(), transport).await;
    let mut other = Sender::connect(&server, dir.path(), Transport::Tcp).await;
    other.subscribe_to("/topic/other").await;

    let until_slow = async {
        while slow_consumers(&server) == 0 {
            slow.echo(&"x".repeat(16 * 1024)).await;
            goes_on(&mut other).await;
        }
    };
    tokio::time::timeout(PATIENCE, until_slow).await.expect("both ends wait");

    assert_slow(&slow.last_frame().await, transport);
    goes_on(&mut other).await;
    server.shutdown().await;
}

async fn goes_on(other: &mut Sender) {
    other.say("SEND\ndestination:/topic/other\n\nfine\0").await;
    assert_eq!(other.hear().await.expect("the connection ended").body, "fine");
}

fn assert_slow(last: &Frame, transport: Transport) {
    assert_eq!(last.command, Command::Error, "{transport:?}");
    assert_eq!(last.header(header::MESSAGE), Some("slow consumer"), "{transport:?}");
    let detail = String::from_utf8_lossy(&last.body);
    assert!(detail.contains("limits.outbox_"), "{transport:?}: {detail}");
}

fn slow_consumers(server: &Server) -> u64 {
    let stats = server.hub().stats();
    let disconnected = stats.slow_consumers.iter().find(|(policy, _)| *policy == "disconnect");
    disconnected.unwrap().1
}

/// A server with small outboxes.
async fn start(transport: Transport) -> (Server, TempDir) {
    start_with(transport, |limits| {
        limits.messages_per_second = 0;
        limits.frame_bytes = 64 * 1024;
        limits.outbox_messages = 100;
        limits.outbox_bytes = 512 * 1024;
    })
    .await
}

/// Room for all that a client writes before it reads.
fn large_outbox(limits: &mut Limits) {
    limits.outbox_bytes = 64 * 1024 * 1024;
}

async fn start_with(transport: Transport, change: impl FnOnce(&mut Limits)) -> (Server, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = stomp_client::settings(&dir);
    // The limits of one client are tested here. The budget of all is the process's, and so that of all tests.
    settings.limits.memory_bytes = Some(0);
    settings.stomp.tcp_listen = "127.0.0.1:0".parse().ok();
    if transport == Transport::WebSocketInTls {
        sender::make_certificate(dir.path());
        settings.http.tls.cert = Some(dir.path().join("cert.pem"));
        settings.http.tls.key = Some(dir.path().join("key.pem"));
    }
    change(&mut settings.limits);
    (Server::start(settings).await.unwrap(), dir)
}
