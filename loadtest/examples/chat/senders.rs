//! Participants that chat, each with one message in flight.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use loadtest::histogram::Histogram;
use loadtest::light::process::Process;
use loadtest::stomp::PATIENCE;
use madang_wire::RoomName;
use tokio::task::{JoinHandle, spawn_local};
use tokio_tungstenite::tungstenite::http::Uri;

use crate::client::Client;
use crate::report::Row;

/// The number of senders per room.
const ROOM: usize = 10;
/// The text of each message, in Hangul: 180 bytes.
const LINE: &str = "마당에 모여 앉아 이야기를 나눕니다. 마당에 모여 앉아 이야기를 나눕니다. 마당에 모여 앉아 이야기를 나눕니다. 안녕";

pub(crate) async fn run(
    url: &Uri,
    senders: usize,
    time: Duration,
    server: Process,
) -> anyhow::Result<Row> {
    let mut rooms = Vec::new();
    for number in 0..senders.div_ceil(ROOM) {
        let name = RoomName::parse(&format!("chat-{senders}-{number}"))?;
        let mut watcher = Client::join(url, &name, "지켜보는 이").await?;
        watcher.follow_chat(0).await?;
        rooms.push((name, watcher));
    }
    let mut clients = Vec::new();
    for number in 0..senders {
        let (room, _) = &rooms[number / ROOM];
        clients.push(Client::join(url, room, &format!("말하는 이 {number}")).await?);
    }

    let latency = Rc::new(RefCell::new(Histogram::default()));
    let (started, cpu) = (Instant::now(), server.cpu_us());
    let until = started + time;
    let talking: Vec<JoinHandle<anyhow::Result<u64>>> = clients
        .into_iter()
        .map(|client| spawn_local(talk(client, until, Rc::clone(&latency))))
        .collect();
    let watching: Vec<JoinHandle<anyhow::Result<u64>>> =
        rooms.into_iter().map(|(_, watcher)| spawn_local(watch(watcher, until))).collect();
    let mut acknowledged = 0;
    for task in talking {
        acknowledged += task.await.context("a sender failed")??;
    }
    let (took, cpu_after) = (started.elapsed(), server.cpu_us());
    let mut seen = 0;
    for task in watching {
        seen += task.await.context("a watcher failed")??;
    }
    let cpu_us = cpu_after.zip(cpu).map(|(after, before)| (after - before) as f64);
    let latency = latency.borrow();
    Ok(Row {
        senders,
        acknowledged,
        missing: acknowledged as i64 - seen as i64,
        per_second: acknowledged as f64 / took.as_secs_f64(),
        cpu_us_each: cpu_us.map(|us| us / acknowledged.max(1) as f64),
        latency_ms: [50.0, 99.0].map(|percent| latency.percentile_us(percent) as f64 / 1000.0),
    })
}

/// Sends one message after the other; returns how many were acknowledged.
async fn talk(
    mut client: Client,
    until: Instant,
    latency: Rc<RefCell<Histogram>>,
) -> anyhow::Result<u64> {
    let mut acknowledged = 0;
    while Instant::now() < until {
        let sent = Instant::now();
        client.say(LINE).await?;
        latency.borrow_mut().record(sent.elapsed().as_micros() as u64);
        acknowledged += 1;
    }
    Ok(acknowledged)
}

/// Counts messages until none arrives any more; fails unless each number comes once and in order.
async fn watch(mut watcher: Client, until: Instant) -> anyhow::Result<u64> {
    let mut seen = 0;
    loop {
        let quiet = (until.max(Instant::now()) + PATIENCE / 10).into();
        match tokio::time::timeout_at(quiet, watcher.next_message()).await {
            Ok(message) => {
                let seq = message?.seq;
                ensure!(seq == seen + 1, "received message {seq} after message {seen}");
                seen = seq;
            }
            Err(_) => return Ok(seen),
        }
    }
}
