//! What was acknowledged is there, whenever the server dies: `kill -9` at random points of chat at full rate.
//!
//! Each round starts the program on the same database, lets senders write as fast as they get receipts, and kills it
//! after a random number of those. After the restart everything is read over STOMP: each message whose receipt was seen
//! is there, and each that was delivered; none is there twice, although senders send again what got no receipt; the
//! numbers have no gap.
//!
//! Not part of `cargo test`, because it takes its time and needs the database servers. More rounds, or others:
//!
//! ```text
//! MADANG_TEST_ROUNDS=200 MADANG_TEST_SEED=7 cargo test -p madang --test durability -- --nocapture --test-threads=1
//! ```
#![expect(clippy::disallowed_methods, reason = "these tests use real sockets and real time")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod client;
#[path = "../store/database.rs"]
mod database;
mod ledger;
mod sender;
mod server;

use std::sync::Arc;
use std::time::Duration;

use database::{Database, Kind};
use ledger::Ledger;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sender::Sender;
use server::Server;

/// They write at the same time.
const SENDERS: usize = 10;

/// A round ends before so many receipts.
const MOST_RECEIPTS: u64 = 2_000;

/// Longer than a round takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat_on_sqlite_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/madang.db", dir.path().display());
    survive("SQLite", &url, rounds(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat_on_postgresql_survives_kill_9() {
    let database = Database::start(Kind::Postgres).await;
    survive("PostgreSQL", &database.fresh().await, rounds(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat_on_mariadb_survives_kill_9() {
    let database = Database::start(Kind::MariaDb).await;
    survive("MariaDB", &database.fresh().await, rounds(5)).await;
}

async fn survive(name: &str, url: &str, rounds: u32) {
    let seed = number("MADANG_TEST_SEED").unwrap_or(1);
    let mut random = StdRng::seed_from_u64(seed);
    let data = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::default());
    let mut senders: Vec<_> = (0..SENDERS).map(Sender::new).collect();

    for round in 1..=rounds {
        let mut server = Server::start(data.path(), url).await;
        ledger.check(&server.address).await;
        let receipts = random.random_range(0..MOST_RECEIPTS);
        let writing = senders.into_iter().map(|mut sender| {
            let (address, ledger) = (server.address.clone(), Arc::clone(&ledger));
            tokio::spawn(async move {
                sender.write(&address, &ledger).await;
                sender
            })
        });
        let writing: Vec<_> = writing.collect();
        let enough = ledger.more_receipts(receipts);
        tokio::time::timeout(PATIENCE, enough).await.expect("the senders get receipts");
        server.kill().await;
        senders = Vec::with_capacity(SENDERS);
        for sender in writing {
            senders.push(sender.await.unwrap());
        }
        if round % 20 == 0 || round == rounds {
            println!("{name}, seed {seed}: round {round} of {rounds}, {}", ledger.summary());
        }
    }

    let mut server = Server::start(data.path(), url).await;
    for sender in &mut senders {
        sender.send_the_rest(&server.address, &ledger).await;
    }
    ledger.check(&server.address).await;
    server.kill().await;
    let unsure: usize = senders.iter().map(Sender::unacknowledged).sum();
    assert_eq!(unsure, 0);
    let sent: u64 = senders.iter().map(Sender::sent).sum();
    assert_eq!(ledger.stored(), sent, "each that was sent is there once");
    println!("{name}, seed {seed}: {rounds} rounds survived, {}", ledger.summary());
}

fn rounds(few: u32) -> u32 {
    number("MADANG_TEST_ROUNDS").map_or(few, |rounds| u32::try_from(rounds).unwrap())
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a whole number"))
}
