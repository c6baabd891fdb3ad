//! Clients of one address that make the server hold as much as they can. Whatever they do, its memory grows by less than
//! 100 MiB, and others are served.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::program::Running;
use crate::raw::{PING, Raw, TEXT, frame};

/// With default settings, whatever the machine has.
const BUDGET: (&str, &str) = ("MADANG_LIMITS__MEMORY_BYTES", "67108864");
const MOST_KIB: usize = 100 * 1024;
/// Close to the longest message that a WebSocket may have by default.
const LONG: usize = 2_000_000;
/// How long a client tries to send: the server may have stopped reading.
const SENDING: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_never_end() {
    grows_little(|server| async move {
        let client = move |_| async move {
            let mut raw = Raw::upgrade(server, "/ws").await;
            let half = &frame(TEXT, true, &[b'x'; LONG])[..LONG];
            let _ = tokio::time::timeout(SENDING, raw.send(half)).await;
            raw
        };
        at_once(100, client).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_and_transactions_that_never_end() {
    grows_little(|server| async move {
        let client = move |number: usize| async move {
            let mut raw = connected(server).await;
            let mut said = String::new();
            if number.is_multiple_of(2) {
                let long = "x".repeat(LONG);
                said += "BEGIN\ntransaction:t\n\n\0";
                said += &format!("SEND\ndestination:/topic/a\ntransaction:t\n\n{long}\0");
            }
            said += &format!("SEND\ndestination:/topic/a\n\n{}", "x".repeat(LONG - 100));
            for part in said.as_bytes().chunks(64 * 1024) {
                let sent = tokio::time::timeout(SENDING, raw.send_frame(TEXT, part)).await;
                if sent.is_err() {
                    break;
                }
            }
            raw
        };
        at_once(100, client).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_nobody_reads() {
    grows_little(|server| async move {
        let mut clients = Vec::new();
        for _ in 0..50 {
            let mut slow = connected(server).await;
            slow.send_frame(TEXT, b"SUBSCRIBE\nid:1\ndestination:/topic/a\n\n\0").await;
            clients.push(slow);
        }
        let headers: String = (0..100).map(|n| format!("h{n}:{}\n", "x".repeat(16_000))).collect();
        let message = format!("SEND\ndestination:/topic/a\n{headers}\n\0");
        let mut sender = connected(server).await;
        for _ in 0..90 {
            sender.send_frame(TEXT, message.as_bytes()).await;
        }
        clients.push(sender);
        clients
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arrays_of_nothing() {
    grows_little(|server| async move {
        let array = format!("[{}]", vec!["\"\""; 600_000].join(","));
        let mut clients = Vec::new();
        for number in 0..20 {
            let mut raw = Raw::upgrade(server, &format!("/ws/000/s{number}/websocket")).await;
            raw.send_frame(TEXT, array.as_bytes()).await;
            clients.push(raw);
        }
        clients
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pongs_that_nobody_reads() {
    grows_little(|server| async move {
        let mut raw = Raw::upgrade(server, "/ws").await;
        let pings = frame(PING, true, &[b'x'; 125]).repeat(1_000);
        let many = async {
            for _ in 0..1_000 {
                raw.send(&pings).await;
            }
        };
        let _ = tokio::time::timeout(SENDING, many).await;
        vec![raw]
    })
    .await;
}

/// Runs so many clients at the same time, and keeps their connections.
async fn at_once<F>(count: usize, client: impl Fn(usize) -> F) -> Vec<Raw>
where
    F: Future<Output = Raw> + Send + 'static,
{
    let mut clients = JoinSet::new();
    for number in 0..count {
        clients.spawn(client(number));
    }
    clients.join_all().await
}

/// Lets clients do what they do to a server, and sees what its memory grows by while they are there.
async fn grows_little<F>(attack: impl FnOnce(SocketAddr) -> F)
where
    F: Future<Output = Vec<Raw>>,
{
    let server = Running::start(&[BUDGET]);
    let before = server.memory_kib();

    let clients = attack(server.address).await;
    let mut most = 0;
    for _ in 0..20 {
        most = server.memory_kib().max(most);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    connected(server.address).await;
    let grown = most.saturating_sub(before);
    println!("grown by {grown} KiB");
    assert!(grown < MOST_KIB, "{grown} KiB");
    drop(clients);
}

/// A WebSocket with a STOMP session.
async fn connected(server: SocketAddr) -> Raw {
    let mut raw = Raw::upgrade(server, "/ws").await;
    raw.send_frame(TEXT, b"CONNECT\naccept-version:1.2\nhost:x\n\n\0").await;
    let (_, answer) = raw.frame().await.expect("an answer");
    assert!(answer.starts_with(b"CONNECTED\n"), "{}", String::from_utf8_lossy(&answer));
    raw
}
