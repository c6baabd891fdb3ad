//! Replays the stored messages to a participant that joins late.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::time::Instant;

use anyhow::ensure;
use loadtest::light::process::Process;
use madang_wire::RoomName;
use tokio_tungstenite::tungstenite::http::Uri;

use crate::client::Client;
use crate::report::Backlog;

/// The maximum number of messages in flight while the backlog is written.
const WINDOW: u64 = 200;

pub(crate) async fn run(url: &Uri, messages: u32, server: Process) -> anyhow::Result<Backlog> {
    let room = RoomName::parse("밀린-이야기")?;
    let mut writer = Client::join(url, &room, "먼저 온 이").await?;
    let last = u64::from(messages);
    for number in 1..=last {
        writer.say_without_waiting(&format!("{number}번째 이야기입니다")).await?;
        if number % WINDOW == 0 || number == last {
            writer.stored(number).await?;
        }
    }

    let mut late = Client::join(url, &room, "늦게 온 이").await?;
    let (started, cpu) = (Instant::now(), server.threads_cpu_us());
    late.follow_chat(0).await?;
    let mut first = None;
    for expected in 1..=last {
        let message = late.next_message().await?;
        ensure!(message.seq == expected, "received message {} instead of {expected}", message.seq);
        first.get_or_insert_with(|| started.elapsed());
    }
    let took = started.elapsed();
    let cpu_us = server.threads_cpu_us().zip(cpu).map(|(after, before)| (after - before) as f64);
    Ok(Backlog {
        messages,
        first_ms: first.unwrap_or_default().as_secs_f64() * 1000.0,
        all_ms: took.as_secs_f64() * 1000.0,
        cpu_us_each: cpu_us.map(|us| us / f64::from(messages.max(1))),
    })
}
