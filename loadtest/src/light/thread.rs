//! The thread that moves the media of all light peers, and its handle.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use mio::Waker;
use tokio::sync::oneshot;

use super::dtls::Identity;
use super::peer::{Moment, NewPeer, Peer};
use super::snapshot::{PeerState, Snapshot};
use super::sockets::Sockets;
use super::stream::StreamCounts;
use super::tally::Tally;
use crate::clock::Clock;
use crate::options::Pacing;

/// The interval between checks of the peers' timers, in microseconds. Publishers' timers are exact.
const TICK_US: u64 = 5_000;
/// The interval between measurements of the drift between the clocks, in microseconds.
const CLOCK_INTERVAL_US: u64 = 1_000_000;
/// The number of batches read from one socket before the others get their turn.
const BATCHES: usize = 8;

/// A command to the thread.
enum Command {
    Add(Box<NewPeer>),
    Snapshot(oneshot::Sender<Snapshot>),
    SetVideoKbps(u32),
    StopPublishing,
    Close,
}

/// The handle of the thread. Dropping it closes all peers' sessions and ends the thread.
pub struct MediaThread {
    commands: mpsc::Sender<Command>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
    /// The certificate of all peers.
    pub identity: Identity,
}

/// The parameters of the thread.
pub struct Setup {
    /// The run's clock.
    pub clock: Clock,
    /// The address to send from.
    pub local: IpAddr,
    /// The certificate of all peers.
    pub identity: Identity,
    /// One of this many packets is decrypted.
    pub one_in: u32,
    /// The spacing of a frame's packets.
    pub pacing: Pacing,
}

impl MediaThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the sockets or the thread can't be created.
    pub fn start(setup: Setup) -> Result<MediaThread> {
        let (sockets, waker) = Sockets::new(setup.local)?;
        let (commands, to_do) = mpsc::channel();
        let identity = setup.identity.clone();
        let shell = Shell::new(setup, sockets, to_do);
        let thread = std::thread::Builder::new().name("media".to_owned()).spawn(|| {
            if let Err(error) = shell.run() {
                tracing::error!("the media thread failed: {error:#}");
            }
        })?;
        Ok(MediaThread { commands, waker: Arc::new(waker), thread: Some(thread), identity })
    }

    /// Adds a peer. Numbers start at 0 and must be in the order of the calls.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn add(&self, peer: NewPeer) -> Result<()> {
        self.tell(Command::Add(Box::new(peer)))
    }

    /// A snapshot of all counters; latencies are those since the last call.
    ///
    /// # Errors
    /// When the thread has ended.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Snapshot(reply))?;
        answer.await.context("the media thread has ended")
    }

    /// Changes the bit rate of all publishers.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn set_video_kbps(&self, kbps: u32) -> Result<()> {
        self.tell(Command::SetVideoKbps(kbps))
    }

    /// Stops all publishers.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn stop_publishing(&self) -> Result<()> {
        self.tell(Command::StopPublishing)
    }

    fn tell(&self, command: Command) -> Result<()> {
        self.commands.send(command).ok().context("the media thread has ended")?;
        Ok(self.waker.wake()?)
    }
}

impl Drop for MediaThread {
    fn drop(&mut self) {
        // An error means that the thread has already ended.
        let _ = self.tell(Command::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Shell {
    clock: Clock,
    began_unix_us: u64,
    next_clock_us: u64,
    next_tick_us: u64,
    identity: Identity,
    pacing: Pacing,
    sockets: Sockets,
    commands: mpsc::Receiver<Command>,
    peers: Vec<Peer>,
    /// The time of each peer's next action. Kept apart from the peers, so that the search for due peers touches little
    /// memory.
    due_us: Vec<u64>,
    publishers: Vec<usize>,
    tally: Tally,
    /// Packets delayed by simulated networks: release time, peer, packet. In the order of the times, because all
    /// networks of a run have the same delay.
    delayed: VecDeque<(u64, usize, Vec<u8>)>,
    outbox: Outbox,
}

/// Datagrams that one peer sends at once.
#[derive(Default)]
struct Outbox {
    bytes: Vec<u8>,
    /// The end of each datagram in the buffer.
    ends: Vec<usize>,
}

impl Outbox {
    fn push(&mut self, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.ends.push(self.bytes.len());
    }

    /// Sends the collected datagrams; as trains, datagrams of equal length are sent together (GSO).
    fn flush(&mut self, peer: usize, to: SocketAddr, as_trains: bool, sockets: &mut Sockets) {
        let mut from = 0;
        while from < self.ends.len() {
            let start = if from == 0 { 0 } else { self.ends[from - 1] };
            let length = self.ends[from] - start;
            let alike = self.ends[from..].iter().zip(1..);
            let alike = alike.take_while(|(end, count)| **end == start + length * count).count();
            let count = if as_trains { alike } else { 1 };
            sockets.send(peer, to, &self.bytes[start..start + length * count], length);
            from += count;
        }
        self.bytes.clear();
        self.ends.clear();
    }
}

impl Shell {
    fn new(setup: Setup, sockets: Sockets, commands: mpsc::Receiver<Command>) -> Shell {
        Shell {
            clock: setup.clock,
            began_unix_us: setup.clock.began_unix_us(),
            next_clock_us: 0,
            next_tick_us: 0,
            identity: setup.identity,
            pacing: setup.pacing,
            sockets,
            commands,
            peers: Vec::new(),
            due_us: Vec::new(),
            publishers: Vec::new(),
            tally: Tally::new(setup.one_in),
            delayed: VecDeque::new(),
            outbox: Outbox::default(),
        }
    }

    fn run(mut self) -> Result<()> {
        let mut readable = Vec::new();
        loop {
            let limit = if readable.is_empty() { self.until_due() } else { Duration::ZERO };
            for socket in self.sockets.wait(limit)? {
                if !readable.contains(&socket) {
                    readable.push(socket);
                }
            }
            let mut unread = Vec::new();
            for socket in readable {
                if self.receive(socket)? {
                    unread.push(socket);
                }
            }
            // The poll is edge-triggered: it reports a socket only once.
            readable = unread;
            while let Ok(command) = self.commands.try_recv() {
                if matches!(command, Command::Close) {
                    self.close();
                    return Ok(());
                }
                self.handle_command(command);
            }
            self.handle_timeouts();
        }
    }

    fn moment(&self) -> Moment {
        let now = self.clock.now();
        let us = self.clock.us_at(now);
        Moment { now, us, unix_us: self.began_unix_us + us }
    }

    fn until_due(&self) -> Duration {
        let publishers = self.publishers.iter().map(|number| self.due_us[*number]).min();
        let delayed = self.delayed.front().map(|(due_us, ..)| *due_us);
        let due = [publishers, delayed].into_iter().flatten().fold(self.next_tick_us, u64::min);
        Duration::from_micros(due.saturating_sub(self.clock.now_us()))
    }

    /// Reads from a socket; `true` when there may be more.
    fn receive(&mut self, socket: usize) -> Result<bool> {
        for _ in 0..BATCHES {
            let at = self.moment();
            let Shell { sockets, peers, due_us, tally, delayed, outbox, identity, .. } = self;
            let began_unix_us = self.began_unix_us;
            let mut senders = Vec::new();
            let has_more = sockets.receive(socket, |number, meta, datagram| {
                let peer = peers.get_mut(number).filter(|peer| peer.server == meta.addr);
                let Some(peer) = peer else {
                    return;
                };
                if !peer.network.is_perfect() && is_media(datagram) {
                    if let Some(due_us) = peer.network.arrival_us(at.us) {
                        delayed.push_back((due_us, number, datagram.to_vec()));
                    }
                    return;
                }
                let us = meta.timestamp.map_or(at.us, |since_1970| {
                    let us = u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX);
                    us.saturating_sub(began_unix_us)
                });
                let at = Moment { us, ..at };
                peer.handle_datagram(at, identity, datagram, tally, &mut |datagram| {
                    outbox.push(datagram);
                });
                due_us[number] = peer.next_timeout_us();
                if !outbox.ends.is_empty() {
                    senders.push((number, peer.server, std::mem::take(outbox)));
                }
            })?;
            for (number, to, mut outbox) in senders {
                outbox.flush(number, to, false, sockets);
            }
            if !has_more {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn handle_timeouts(&mut self) {
        let at = self.moment();
        while let Some((due_us, number, mut datagram)) =
            self.delayed.pop_front_if(|(due_us, ..)| *due_us <= at.us)
        {
            let at = Moment { us: due_us, ..at };
            let Shell { peers, tally, outbox, identity, .. } = self;
            let peer = &mut peers[number];
            peer.handle_datagram(at, identity, &mut datagram, tally, &mut |datagram| {
                outbox.push(datagram);
            });
            self.due_us[number] = peer.next_timeout_us();
            self.outbox.flush(number, peer.server, false, &mut self.sockets);
        }
        for place in 0..self.publishers.len() {
            self.handle_timeout(at, self.publishers[place]);
        }
        if at.us < self.next_tick_us {
            return;
        }
        self.next_tick_us = at.us + TICK_US;
        for number in 0..self.peers.len() {
            self.handle_timeout(at, number);
        }
        if at.us >= self.next_clock_us {
            self.next_clock_us = at.us + CLOCK_INTERVAL_US;
            self.began_unix_us = self.clock.began_unix_us();
        }
    }

    fn handle_timeout(&mut self, at: Moment, number: usize) {
        if self.due_us[number] > at.us {
            return;
        }
        let Shell { peers, outbox, sockets, clock, .. } = self;
        let peer = &mut peers[number];
        let (to, as_trains) = (peer.server, self.pacing == Pacing::Train);
        peer.handle_timeout(at, &mut |datagram| outbox.push(datagram));
        outbox.flush(number, to, false, sockets);
        // Each packet is stamped and sent on its own, unless they form trains.
        while peer.publish(clock.now_us(), &mut |datagram| outbox.push(datagram)) {
            if !as_trains {
                outbox.flush(number, to, false, sockets);
            }
        }
        outbox.flush(number, to, as_trains, sockets);
        self.due_us[number] = peer.next_timeout_us();
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Add(new) => self.add(*new),
            Command::Snapshot(reply) => {
                // An error means that the caller no longer waits.
                let _ = reply.send(self.snapshot());
            }
            Command::SetVideoKbps(kbps) => {
                self.peers.iter_mut().for_each(|peer| peer.set_video_kbps(kbps));
            }
            Command::StopPublishing => {
                self.peers.iter_mut().for_each(Peer::stop_publishing);
                self.publishers.clear();
            }
            Command::Close => {}
        }
    }

    fn add(&mut self, new: NewPeer) {
        let number = self.peers.len();
        let at = self.moment();
        let mut peer = Peer::new(at.us, new);
        if let Err(error) = self.sockets.open_for(number) {
            peer.failed = Some(format!("{error:#}"));
        }
        if peer.is_publisher() {
            self.publishers.push(number);
        }
        self.due_us.push(peer.next_timeout_us());
        self.peers.push(peer);
        self.handle_timeout(at, number);
    }

    fn snapshot(&mut self) -> Snapshot {
        let mut counts = [StreamCounts::default(); 2];
        let streams = self.peers.iter().flat_map(|peer| &peer.streams);
        streams.for_each(|stream| counts[stream.line.kind as usize].add(&stream.counts()));
        let state = |peer: &Peer| PeerState {
            number: peer.number,
            asked_us: peer.asked_us,
            connected_us: peer.connected_us,
            first_us: peer.streams.iter().filter_map(|stream| stream.first_us).min(),
            receives_all: peer.streams.iter().all(|stream| stream.first_us.is_some()),
            failed: peer.failed.clone(),
        };
        Snapshot {
            at_us: self.clock.now_us(),
            counts,
            latency: std::mem::take(&mut self.tally.latency),
            bytes: self.tally.bytes,
            unreadable: self.tally.unreadable,
            retransmissions: self.tally.retransmissions,
            key_frame_requests: self.tally.key_frame_requests,
            refused: self.sockets.refused,
            ports: self.sockets.ports(),
            peers: self.peers.iter().map(state).collect(),
        }
    }

    fn close(&mut self) {
        for (number, peer) in self.peers.iter_mut().enumerate() {
            let outbox = &mut self.outbox;
            peer.close(&mut |datagram| outbox.push(datagram));
            self.outbox.flush(number, peer.server, false, &mut self.sockets);
        }
    }
}

/// Whether a datagram is RTP or RTCP, which a simulated network delays and loses. ICE and DTLS are exempt, because they
/// have retransmission timers of their own.
fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(128..=191))
}
