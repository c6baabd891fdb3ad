//! What a delivery costs the server, through the broker and without it.
//!
//! Nothing timed is asserted; that everything arrives, in order, is. For figures that mean something, build with
//! optimisation: `cargo test --release -p madang --test brokers -- --nocapture --test-threads=1`.

use std::fs;

use madang::Server;
use tokio::runtime::{Builder, Runtime};

use crate::broker::{Broker, Kind};
use crate::stomp_client::{Client, settings};
use crate::{next, ready};

const SUBSCRIBERS: usize = 10;
const MESSAGES: usize = 1_000;
/// The threads of the server that is measured are called so; the clients run on others.
const THREAD: &str = "measured";

/// Prints the figures.
pub(crate) async fn measure(broker: &Broker, kind: Kind) {
    let alone = measure_one(None).await;
    let relayed = measure_one(Some(broker.url("right-password"))).await;
    println!(
        "{kind:?}: {relayed:.1} µs of the server's CPU time per delivery, {alone:.1} µs without a broker: \
         the relay's part is {:.1} µs",
        relayed - alone
    );
}

async fn measure_one(url: Option<String>) -> f64 {
    let runtime: Runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(THREAD)
        .enable_all()
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.broker.relay = url.map(|url| url.parse().unwrap());
    settings.limits.messages_per_second = 0;
    // What the server spawns runs on the measured threads.
    let entered = runtime.enter();
    let server = Server::start(settings).await.unwrap();
    drop(entered);
    ready(&server).await;
    let micros = deliver(&server).await;
    server.shutdown().await;
    runtime.shutdown_background();
    micros
}

async fn deliver(server: &Server) -> f64 {
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let mut client = Client::connect(server).await;
        client.subscribe("s", "/topic/costs", &[]).await;
        subscribers.push(client);
    }
    let mut sender = Client::connect(server).await;
    let before = cpu_nanos();
    for number in 0..MESSAGES {
        sender.send("/topic/costs", &[], &format!("{number:0200}")).await;
    }
    for client in &mut subscribers {
        for number in 0..MESSAGES {
            assert_eq!(next(client, "s").await.body, format!("{number:0200}"));
        }
    }
    (cpu_nanos() - before) as f64 / 1000.0 / (SUBSCRIBERS * MESSAGES) as f64
}

/// CPU time of the measured threads.
fn cpu_nanos() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
    tasks
        .filter(|task| {
            fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == THREAD)
        })
        .filter_map(|task| fs::read_to_string(task.join("schedstat")).ok())
        .filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok())
        .sum()
}
