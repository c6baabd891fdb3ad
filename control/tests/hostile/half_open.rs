//! Ten thousand connections that never say what they want.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use crate::program::Running;
use crate::raw::{Raw, UPGRADE};

const MANY: usize = 10_000;
/// Files that the processes have open besides.
const OTHER_FILES: usize = 200;
/// Longer than it takes to open them all, so that they are there at the same time.
const LIMIT: Duration = Duration::from_secs(8);
/// What the server's memory may grow by, per connection: twice what was measured with a debug build.
const MOST_KIB: usize = 40;

/// One after the other: both need all file descriptors and processors that there are.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_of_a_request() {
    let _alone = ALONE.lock().await;
    let half = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n";
    let ended = many(move |server| async move {
        let mut raw = Raw::connect(server).await;
        raw.send(half).await;
        raw
    })
    .await;

    assert!(ended.iter().all(String::is_empty), "nothing is to be said to half of a request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_without_connect() {
    let _alone = ALONE.lock().await;
    let ended = many(|server| async move {
        let mut raw = Raw::connect(server).await;
        raw.request("GET", "/ws", &UPGRADE, "").await;
        assert!(raw.head().await.starts_with("HTTP/1.1 101 "));
        raw
    })
    .await;

    for said in ended {
        assert!(said.contains("No CONNECT frame came within 8s."), "{said:?}");
    }
}

/// Opens many connections, and sees how a session that was there before, and one that comes later, are served meanwhile.
/// Returns what each heard before its end.
async fn many<F>(open: impl Fn(SocketAddr) -> F + Send + Sync + 'static) -> Vec<String>
where
    F: Future<Output = Raw> + Send + 'static,
{
    let files = madang::server::open_files::raise_limit().unwrap_or(u64::MAX);
    let count = MANY.min(usize::try_from(files).unwrap() - OTHER_FILES);
    if count < MANY {
        eprintln!("{count} connections instead of {MANY}: a process may have {files} files open");
    }
    let time = format!("{}s", LIMIT.as_secs());
    let server = Running::start(&[
        ("MADANG_LIMITS__CONNECTIONS", "0"),
        ("MADANG_LIMITS__CONNECTIONS_PER_ADDRESS", "0"),
        ("MADANG_LIMITS__MESSAGES_PER_SECOND", "0"),
        ("MADANG_LIMITS__CONNECT_TIMEOUT", &time),
        ("MADANG_LIMITS__REQUEST_TIMEOUT", &time),
    ]);
    let address = server.address;
    let mut before = Session::connect(address).await;
    before.speaks().await;
    let memory = server.memory_kib();

    let (open, are_open) = (Arc::new(open), Arc::new(AtomicUsize::new(0)));
    // More at a time would only fill the backlog, whose overflow costs a second each.
    let at_once = Arc::new(Semaphore::new(200));
    let mut connections = JoinSet::new();
    for _ in 0..count {
        let (open, are_open, at_once) = (open.clone(), are_open.clone(), at_once.clone());
        connections.spawn(async move {
            let permit = at_once.acquire().await;
            let mut raw = open(address).await;
            drop(permit);
            are_open.fetch_add(1, Relaxed);
            String::from_utf8_lossy(&raw.rest().await).into_owned()
        });
    }
    while are_open.load(Relaxed) < count {
        before.speaks().await;
    }
    Session::connect(address).await.speaks().await;
    let grown = server.memory_kib().saturating_sub(memory);
    println!("{count} connections, {:.1} KiB each", grown as f64 / count as f64);
    assert!(grown < MOST_KIB * count, "{grown} KiB for {count} connections");

    // Each is closed when its time is over, however many there are.
    let ended = connections.join_all().await;
    before.speaks().await;
    ended
}

/// A STOMP session.
struct Session(
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>,
);

impl Session {
    async fn connect(server: SocketAddr) -> Session {
        let (socket, _) =
            tokio_tungstenite::connect_async(format!("ws://{server}/ws")).await.unwrap();
        let mut session = Session(socket);
        session.asks("CONNECT\naccept-version:1.2\nhost:x\n\n\0", "CONNECTED\n").await;
        let subscribe = "SUBSCRIBE\nid:1\ndestination:/topic/bystander\nreceipt:r\n\n\0";
        session.asks(subscribe, "RECEIPT\n").await;
        session
    }

    async fn speaks(&mut self) {
        self.asks("SEND\ndestination:/topic/bystander\n\n안녕\0", "MESSAGE\n").await;
    }

    async fn asks(&mut self, frame: &str, answer: &str) {
        self.0.send(Message::text(frame)).await.unwrap();
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), self.0.next()).await;
            let next = next.expect("the server says nothing").unwrap().unwrap();
            if next.to_text().is_ok_and(|text| text.starts_with(answer)) {
                return;
            }
        }
    }
}
