//! The thread of one worker: its event loop, with sockets and clock.
//!
//! # Order
//!
//! One turn of the loop does the following, in this order:
//!
//! 1. **Packets**, up to a limit for each source: datagrams of the UDP socket ([`ROUNDS`]) and of the relay
//!    ([`RELAYED_AT_ONCE`]), messages from other workers ([`REMOTE_AT_ONCE`]), and TCP events
//!    ([`streams::EVENTS_AT_ONCE`]). The sources are equals: `select!` picks at random among those that are ready, so
//!    that none starves another. A full burst is forwarded before more is read.
//! 2. **Timers**: NACKs, reports, key frame requests, expiry. They follow packets, so that one that has arrived is not
//!    requested again, and a check that has arrived renews consent before it can expire.
//! 3. **TCP connections to close**: those whose paths the timers have expired.
//! 4. **Output**, by [`Shell::flush`]: to other workers first, since they can send while this one does; then datagrams;
//!    then events for the control plane, which can wait. Then **counters**, for other threads to read.
//! 5. **Commands**: at most one offer, or [`COMMANDS_AT_ONCE`] of the others, and their output. Media that never pauses
//!    does not delay a kick for longer than a turn, since each turn gets here. A burst of joins does not delay media for
//!    longer than one offer: where a command wakes the loop, all sources of packets are read once before it.
//!
//! The work per command is bounded as well. Offers arrive read, and answers are written elsewhere
//! ([`Clerk`](super::clerk::Clerk)); what remains is to update the tables of the worker.
//!
//! A shutdown ends the loop at once; DTLS close_notify is the last thing sent.
#![expect(clippy::disallowed_methods, reason = "this is where the media plane reads the clock")]

mod streams;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::addresses::Opened;
use super::command::{Command, RelaySink, RelayedDatagram};
use super::placement::Placement;
use super::socket::BatchSocket;
use super::tcp::Tcp;
use crate::keys::WorkerNumber;
use crate::transport::batch::SendBatch;
use crate::transport::dtls::Identity;
use crate::transport::path::{Path, Protocol, demux};
use crate::worker::message::Remote;
use crate::worker::{Config, Worker};
use crate::{BitrateLimits, Event, Stats};

/// Receive calls on the UDP socket per turn.
const ROUNDS: usize = 8;
/// Datagrams from the relay per turn.
const RELAYED_AT_ONCE: usize = 256;
/// Messages from other workers per turn.
const REMOTE_AT_ONCE: usize = 64;
/// Commands per turn, if none of them is an offer.
const COMMANDS_AT_ONCE: usize = 8;
/// How often the counters are published to other threads.
const STATS_INTERVAL: Duration = Duration::from_millis(100);

/// The parts of a worker's thread that other threads hold the other ends of.
pub(super) struct Thread {
    pub(super) number: WorkerNumber,
    pub(super) inbox: mpsc::UnboundedReceiver<(WorkerNumber, Remote)>,
    /// The inboxes of all workers.
    pub(super) others: Arc<[mpsc::UnboundedSender<(WorkerNumber, Remote)>]>,
    /// The address by which relays identify the worker.
    pub(super) media_address: SocketAddr,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) relayed: mpsc::Receiver<RelayedDatagram>,
    pub(super) relay: Arc<RelaySink>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) placement: Arc<Placement>,
    pub(super) stats: Arc<Mutex<Stats>>,
    pub(super) bitrate_limits: BitrateLimits,
}

impl Thread {
    /// Starts the thread.
    pub(super) fn spawn(self, opened: Opened, identity: Identity) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let number = self.number;
        std::thread::Builder::new().name(format!("media-{number}")).spawn(move || {
            let span = tracing::info_span!("media", worker = number);
            let _entered = span.enter();
            let ended = runtime.block_on(async { Shell::new(self, opened, identity)?.run().await });
            if let Err(error) = ended {
                tracing::error!(%error, "the media worker has failed");
            }
        })
    }
}

/// The worker with its sockets, and the loop around them.
struct Shell {
    thread: Thread,
    worker: Worker,
    socket: BatchSocket,
    tcp: Tcp,
    batch: SendBatch,
    /// When to publish the counters to other threads; `None` if nothing happened since the last time.
    publish_at: Option<Instant>,
}

impl Shell {
    fn new(thread: Thread, opened: Opened, identity: Identity) -> io::Result<Shell> {
        let config = Config {
            candidates: opened.candidates,
            identity,
            seed: rand::random(),
            unix_time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            number: thread.number,
            workers: thread.others.len(),
            bitrate_limits: thread.bitrate_limits,
        };
        Ok(Shell {
            worker: Worker::new(Instant::now(), config),
            socket: opened.udp.into_async()?,
            tcp: opened.tcp.into_async()?,
            batch: SendBatch::new(),
            thread,
            publish_at: None,
        })
    }

    /// The event loop; the module's text has its order.
    async fn run(mut self) -> io::Result<()> {
        loop {
            let wake_at = self.wake_at();
            let command = tokio::select! {
                ready = self.socket.readable() => {
                    ready?;
                    self.receive()?;
                    None
                }
                Some(datagram) = self.thread.relayed.recv() => {
                    self.receive_relayed(datagram);
                    None
                }
                Some((from, message)) = self.thread.inbox.recv() => {
                    self.receive_remote(from, message);
                    None
                }
                event = self.tcp.event() => {
                    self.handle_tcp(Instant::now(), event);
                    None
                }
                command = self.thread.commands.recv() => {
                    self.receive_waiting().await?;
                    Some(command.unwrap_or(Command::Shutdown))
                }
                () = sleep_until(wake_at) => None,
            };
            self.finish_turn();
            if !self.handle_commands(command) {
                break;
            }
        }
        self.worker.close();
        self.flush();
        Ok(())
    }

    /// Receives from every source of packets what is there, up to its limit, before a command that has come at the same
    /// time or since the last time the system was asked.
    async fn receive_waiting(&mut self) -> io::Result<()> {
        // Without it, the runtime asks the system for ready sockets only after many commands.
        tokio::task::yield_now().await;
        self.receive()?;
        if let Ok(datagram) = self.thread.relayed.try_recv() {
            self.receive_relayed(datagram);
        }
        if let Ok((from, message)) = self.thread.inbox.try_recv() {
            self.receive_remote(from, message);
        }
        if let Some(event) = self.tcp.try_event() {
            self.handle_tcp(Instant::now(), event);
        }
        Ok(())
    }

    fn finish_turn(&mut self) {
        let now = Instant::now();
        self.worker.handle_timeout(now);
        self.tcp.sweep(now, |path| self.worker.is_validated(path));
        self.flush();
        self.publish(now);
    }

    /// Carries out the command that woke the loop, or one that waits, and further ones up to the limit of a turn.
    /// `false` after a shutdown.
    fn handle_commands(&mut self, first: Option<Command>) -> bool {
        let mut next = first;
        for _ in 0..COMMANDS_AT_ONCE {
            let Some(command) = next.take().or_else(|| self.thread.commands.try_recv().ok()) else {
                break;
            };
            let is_offer = matches!(command, Command::Offer { .. });
            if matches!(command, Command::Shutdown) {
                return false;
            }
            self.handle_command(command);
            if is_offer {
                break;
            }
        }
        self.flush();
        true
    }

    fn wake_at(&self) -> Option<Instant> {
        let timers = [self.worker.poll_timeout(), self.tcp.poll_timeout(), self.publish_at];
        timers.into_iter().flatten().min()
    }

    /// Receives what is available and forwards it at once, without a pause for more to arrive. Measured both ways, a
    /// pause of 250 µs saves 8 % of the CPU time with one publisher and 500 receivers, and 4 % with 200, but costs a
    /// fifth more with 50. A pause of 1 ms saves nothing with many publishers, because what arrives in it goes to
    /// different receivers, so runs get no longer. Latency grows by the pause, and under load packets accumulate anyway
    /// while others are being sent.
    fn receive(&mut self) -> io::Result<()> {
        for _ in 0..ROUNDS {
            let runs = self.socket.receive()?;
            if runs == 0 {
                break;
            }
            let now = Instant::now();
            for run in 0..runs {
                let mut at = 0;
                while let Some((path, datagram)) = self.socket.datagram(run, at) {
                    let protocol = demux(datagram);
                    let may_open =
                        protocol == Some(Protocol::Stun) && !self.worker.is_validated(path);
                    self.worker.handle_demuxed(now, path, protocol, datagram);
                    if may_open && self.worker.is_validated(path) {
                        self.socket.prepare_for(path);
                    }
                    at += 1;
                    if self.worker.is_burst_full() {
                        self.flush();
                    }
                }
            }
            self.flush();
        }
        Ok(())
    }

    fn receive_relayed(&mut self, first: RelayedDatagram) {
        let now = Instant::now();
        self.handle_relayed(now, first);
        for _ in 1..RELAYED_AT_ONCE {
            if self.worker.is_burst_full() {
                self.flush();
            }
            let Ok(datagram) = self.thread.relayed.try_recv() else {
                break;
            };
            self.handle_relayed(now, datagram);
        }
    }

    fn handle_relayed(&mut self, now: Instant, datagram: RelayedDatagram) {
        let mut payload = Vec::from(datagram.payload);
        self.worker.handle_datagram(now, Path::Relay(datagram.relayed), &mut payload);
    }

    fn receive_remote(&mut self, from: WorkerNumber, first: Remote) {
        let now = Instant::now();
        self.handle_remote(now, from, first);
        for _ in 1..REMOTE_AT_ONCE {
            let Ok((from, message)) = self.thread.inbox.try_recv() else {
                break;
            };
            self.handle_remote(now, from, message);
        }
    }

    fn handle_remote(&mut self, now: Instant, from: WorkerNumber, message: Remote) {
        if !self.worker.has_room_for(&message) {
            self.flush();
        }
        self.worker.handle_remote(now, from, message);
    }

    fn handle_command(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Offer { room, peer, current, offer, reply } => {
                let agreement = self.worker.negotiate(now, room, peer, current, &offer);
                if let Ok(agreement) = &agreement {
                    self.thread.placement.keep(room, agreement.peer, self.thread.number);
                }
                // If nobody waits for the answer any more, whoever gave up removes the peer.
                let _ = reply.send((offer, agreement));
            }
            Command::Assign { peer, slot, source } => {
                self.worker.assign(now, peer, &slot, source.as_ref());
            }
            Command::Permit { peer, mid, is_permitted } => {
                self.worker.permit(now, peer, &mid, is_permitted);
            }
            Command::Remove { peer } => {
                self.worker.remove(peer);
                self.thread.placement.forget_at(peer, self.thread.number);
            }
            Command::Shutdown => {}
        }
    }

    /// Sends all output: messages to other workers, datagrams, and events.
    fn flush(&mut self) {
        while let Some((to, message)) = self.worker.poll_remote() {
            // A worker that has ended needs no more messages.
            let _ = self.thread.others[to].send((self.thread.number, message));
        }
        let mut now = Instant::now();
        while self.worker.poll_batch(now, &mut self.batch) {
            let sent = self.socket.send(&self.batch);
            self.worker.count_sending(sent.refused, sent.waits);
            for (run, bytes) in self.batch.runs() {
                match run.path {
                    // The socket has sent these.
                    Path::Udp(..) => {}
                    Path::Tcp(connection, _) => self.tcp.send(connection, bytes, run.segment),
                    Path::Relay(relayed) => {
                        for datagram in bytes.chunks(run.segment) {
                            let payload = Bytes::copy_from_slice(datagram);
                            let media = self.thread.media_address;
                            (self.thread.relay)(RelayedDatagram { relayed, media, payload });
                        }
                    }
                }
            }
            self.batch.clear();
            // Many batches take a while, and send times must be accurate: receivers get them, or estimate their
            // bandwidth by them.
            now = Instant::now();
        }
        while let Ok(permit) = self.thread.events.try_reserve() {
            let Some(event) = self.worker.poll_event() else {
                break;
            };
            // An offer may have brought the peer back before this event could be sent.
            if let Event::Disconnected { peer, .. } = &event
                && !self.worker.has_peer(*peer)
            {
                self.thread.placement.forget_at(*peer, self.thread.number);
            }
            permit.send(event);
        }
    }

    /// Publishes the counters to other threads, some time after they first changed.
    fn publish(&mut self, now: Instant) {
        let due = *self.publish_at.get_or_insert(now + STATS_INTERVAL);
        if now >= due {
            let stats = Stats {
                tcp_connections: self.tcp.connections(),
                tcp_refused: self.tcp.refused(),
                tcp_dropped: self.tcp.dropped(),
                ..self.worker.stats()
            };
            *self.thread.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
            self.publish_at = None;
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
