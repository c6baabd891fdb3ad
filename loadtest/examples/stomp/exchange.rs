//! Publishers and subscribers, and the check of what arrives.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context;
use loadtest::histogram::Histogram;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};

use super::process::Process;
use super::row::{Delivered, Row};
use super::socket::Socket;
use super::stamp::Stamp;
use crate::options::{Options, Scenario};

/// How long the last messages may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// An upper bound for the messages of one publisher in flight; a power of two.
const MOST_ON_THE_WAY: u64 = 1 << 16;

/// The load of a scenario.
pub(crate) struct Load {
    pub(crate) rooms: usize,
    pub(crate) subscribers_per_room: usize,
    pub(crate) publishers: usize,
    pub(crate) pace: Pace,
    pub(crate) body_bytes: usize,
    pub(crate) seconds: u32,
}

/// When a publisher sends.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// Whenever fewer than this many of its messages are in flight.
    Window(u64),
    /// This many times per second.
    PerSecond(u32),
}

impl Load {
    pub(crate) fn of(scenario: Scenario, seconds: u32) -> Load {
        let (rooms, subscribers_per_room, publishers, pace) = match scenario {
            Scenario::Broadcast => (1, 500, 1, Pace::Window(4)),
            Scenario::Paced => (50, 10, 1, Pace::PerSecond(500)),
            _ => (50, 10, 4, Pace::Window(16)),
        };
        Load { rooms, subscribers_per_room, publishers, pace, body_bytes: 200, seconds }
    }
}

/// The state shared by all tasks of a scenario, which run on one thread.
struct Tally {
    started: Instant,
    publishers: Vec<Publisher>,
    received: Cell<u64>,
    disordered: Cell<u64>,
    closed: Cell<u64>,
    latency: RefCell<Histogram>,
}

struct Publisher {
    sent: Cell<u64>,
    /// The number of deliveries still expected for each message in flight, by its number.
    missing: RefCell<Vec<u32>>,
    on_the_way: Cell<u64>,
    freed: Notify,
}

/// Runs one load against the server.
pub(crate) async fn run(
    name: &'static str,
    load: &Load,
    options: &Options,
    server: &Process,
) -> anyhow::Result<Row> {
    let tally = Rc::new(Tally::new(load.publishers));
    let mut readers = Vec::new();
    for room in 0..load.rooms {
        for _ in 0..load.subscribers_per_room {
            let mut socket = Socket::connect(options, "0,0", None).await?;
            socket.subscribe(&format!("{}{room}", options.destination)).await?;
            readers.push(spawn_local(read(socket, Rc::clone(&tally))));
        }
    }
    let mut sockets = Vec::new();
    for _ in 0..load.publishers {
        sockets.push(Socket::connect(options, "0,0", None).await?);
    }
    let before = server.usage()?;
    let started = Instant::now();
    let writers: Vec<JoinHandle<anyhow::Result<()>>> = sockets
        .into_iter()
        .enumerate()
        .map(|(number, socket)| {
            let destinations = (0..load.rooms).map(|room| format!("{}{room}", options.destination));
            let order = Order {
                number,
                destinations: destinations.collect(),
                pace: load.pace,
                subscribers: load.subscribers_per_room as u32,
                body_bytes: load.body_bytes,
                until: started + Duration::from_secs(load.seconds.into()),
            };
            spawn_local(publish(socket, order, Rc::clone(&tally)))
        })
        .collect();
    for writer in writers {
        writer.await.context("a publisher failed")??;
    }
    let expected = tally.sent() * load.subscribers_per_room as u64;
    let patience = Instant::now() + PATIENCE;
    while tally.received.get() < expected && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (seconds, after) = (started.elapsed().as_secs_f64(), server.usage()?);
    readers.iter().for_each(JoinHandle::abort);
    let latency = tally.latency.borrow();
    let received = tally.received.get();
    Ok(Row::Delivered(Delivered {
        scenario: name,
        delivered: received,
        per_second: (received as f64 / seconds) as u64,
        cpu_us_per_delivery: (after.cpu_us - before.cpu_us) as f64 / received.max(1) as f64,
        disordered: tally.disordered.get(),
        lost: expected - received.min(expected),
        closed: tally.closed.get(),
        latency_ms: [50.0, 99.0, 100.0].map(|p| latency.percentile_us(p) as f64 / 1000.0),
        resident_kib: after.resident_kib,
        grown_kib: after.resident_kib as i64 - before.resident_kib as i64,
    }))
}

impl Tally {
    fn new(publishers: usize) -> Tally {
        let publisher = || Publisher {
            sent: Cell::new(0),
            missing: RefCell::new(vec![0; MOST_ON_THE_WAY as usize]),
            on_the_way: Cell::new(0),
            freed: Notify::new(),
        };
        Tally {
            started: Instant::now(),
            publishers: (0..publishers).map(|_| publisher()).collect(),
            received: Cell::new(0),
            disordered: Cell::new(0),
            closed: Cell::new(0),
            latency: RefCell::default(),
        }
    }

    fn sent(&self) -> u64 {
        self.publishers.iter().map(|publisher| publisher.sent.get()).sum()
    }

    fn now_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    /// Records a delivery; `last` is the last number that this subscriber received from each publisher.
    fn deliver(&self, stamp: Stamp, last: &mut [u64], now_us: u64) {
        let Some(publisher) = self.publishers.get(stamp.publisher) else { return };
        self.received.set(self.received.get() + 1);
        if stamp.seq <= last[stamp.publisher] {
            self.disordered.set(self.disordered.get() + 1);
        }
        last[stamp.publisher] = stamp.seq;
        self.latency.borrow_mut().record(now_us.saturating_sub(stamp.sent_us));
        let missing = &mut publisher.missing.borrow_mut()[(stamp.seq % MOST_ON_THE_WAY) as usize];
        *missing = missing.saturating_sub(1);
        if *missing == 0 {
            publisher.on_the_way.set(publisher.on_the_way.get().saturating_sub(1));
            publisher.freed.notify_one();
        }
    }
}

async fn read(mut socket: Socket, tally: Rc<Tally>) {
    let mut last = vec![0; tally.publishers.len()];
    loop {
        let mut now_us = None;
        let received = socket
            .receive(|frame| {
                let body = frame.windows(2).position(|pair| pair == b"\n\n");
                if let Some(stamp) = body.and_then(|at| Stamp::read(&frame[at + 2..])) {
                    let now_us = *now_us.get_or_insert_with(|| tally.now_us());
                    tally.deliver(stamp, &mut last, now_us);
                }
            })
            .await;
        if received.is_err() {
            return tally.closed.set(tally.closed.get() + 1);
        }
    }
}

/// The parameters of one publisher.
struct Order {
    number: usize,
    destinations: Vec<String>,
    pace: Pace,
    subscribers: u32,
    body_bytes: usize,
    until: Instant,
}

async fn publish(mut socket: Socket, order: Order, tally: Rc<Tally>) -> anyhow::Result<()> {
    let publisher = &tally.publishers[order.number];
    let mut ticks = match order.pace {
        Pace::PerSecond(rate) => Some(tokio::time::interval(Duration::from_secs(1) / rate)),
        Pace::Window(_) => None,
    };
    while Instant::now() < order.until {
        match (order.pace, &mut ticks) {
            (Pace::Window(most), _) => {
                while publisher.on_the_way.get() >= most {
                    let freed = publisher.freed.notified();
                    if tokio::time::timeout_at(order.until.into(), freed).await.is_err() {
                        return Ok(());
                    }
                }
            }
            (Pace::PerSecond(_), Some(ticks)) => {
                ticks.tick().await;
            }
            (Pace::PerSecond(_), None) => {}
        }
        let seq = publisher.sent.get() + 1;
        publisher.sent.set(seq);
        publisher.on_the_way.set(publisher.on_the_way.get() + 1);
        publisher.missing.borrow_mut()[(seq % MOST_ON_THE_WAY) as usize] = order.subscribers;
        // Publishers start with different rooms.
        let room = (seq as usize + order.number * 13) % order.destinations.len();
        let stamp = Stamp { publisher: order.number, seq, sent_us: tally.now_us() };
        let (to, body) = (&order.destinations[room], stamp.body(order.body_bytes));
        let length = body.len();
        let frame = format!(
            "SEND\ndestination:{to}\ncontent-type:application/json\ncontent-length:{length}\n\n{body}\0"
        );
        socket.send(&frame).await?;
    }
    Ok(())
}
