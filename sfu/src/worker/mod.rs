//! The worker: the media plane of some rooms, without I/O. Datagrams and the time go in; datagrams and events come out.
//!
//! The event loop around it, with `worker: Worker` and `batch: SendBatch`:
//!
//! ```text
//! loop {
//!     wait for a datagram, a command, or worker.poll_timeout()
//!     for each datagram that is there:   worker.handle_demuxed(now, path, demux(&datagram), datagram)
//!                                        if worker.is_burst_full(), send the batches before the next one
//!     for each message of another worker: unless worker.has_room_for(&message), send the batches before
//!                                        worker.handle_remote(now, from, message)
//!     when the time has come:            worker.handle_timeout(now)
//!     while let Some((to, message)) = worker.poll_remote() { hand it to that worker }
//!     while worker.poll_batch(now, &mut batch) { send the batch; batch.clear() }
//!     while let Some(event) = worker.poll_event() { hand it on }
//! }
//! ```

mod agreement;
mod assign;
mod association;
mod codecs;
mod crossing;
mod excess;
mod forward;
mod lane;
mod layers;
pub(crate) mod message;
mod negotiate;
mod parcel;
mod paths;
mod peer;
mod permit;
mod remote;
mod repair;
mod reports;
mod room;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use slab::Slab;
use stun_types::message::Message;

use crate::keys::WorkerNumber;
use crate::keys::{SlotKey, TrackKey};
use crate::rtcp::NtpTime;
use crate::transport::dtls::{Identity, Transport};
use crate::transport::ice::{self, Candidate};
use crate::transport::path::{Path, Protocol, demux};
use crate::{BitrateLimits, Event, PeerId, RoomId, Stats};
pub(crate) use agreement::Agreement;
use association::{Association, Outcome};
use forward::Burst;
use lane::Lane;
use peer::{Connection, Peer};
use room::Room;

/// How often timers run.
const TICK: Duration = Duration::from_millis(50);
/// Datagrams other than forwarded media that wait to be sent: responses, reports, handshakes. Beyond, they are dropped
/// and counted; the protocols repeat them.
const MAX_OUTBOX: usize = 4096;
/// Speaker events are only queued up to this many for a slow reader (back-pressure). Other events have no bound of
/// their own, because there are at most a few per peer and command.
const MAX_WAITING_EVENTS: usize = 1024;

/// The parameters of a worker.
pub(crate) struct Config {
    /// Host candidates, in the order of preference.
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) identity: Identity,
    /// Seeds SSRCs, sequence numbers and ICE credentials; from the system's entropy in production.
    pub(crate) seed: [u8; 32],
    /// The time since 1970 when `Worker::new` is called, for sender reports.
    pub(crate) unix_time: Duration,
    /// The number of this worker, and the number of workers.
    pub(crate) number: WorkerNumber,
    pub(crate) workers: usize,
    pub(crate) bitrate_limits: BitrateLimits,
}

/// See the module's text.
pub(crate) struct Worker {
    candidates: Vec<Candidate>,
    identity: Identity,
    rng: StdRng,
    started: (Instant, Duration),
    peers: Slab<Peer>,
    /// Peers of this worker.
    by_id: HashMap<PeerId, usize>,
    /// Publishing peers of other workers, in the rooms of this worker.
    by_remote_id: HashMap<PeerId, usize>,
    /// Keyed by the server's ufrag.
    by_ufrag: HashMap<String, usize>,
    /// Only paths that a check has validated.
    by_path: HashMap<Path, usize>,
    rooms: HashMap<RoomId, Room>,
    next_stream: u64,
    burst: Burst,
    /// Layers that slots have left while the burst was being forwarded, and whose subscribers those slots still are. At
    /// most one for each slot that shows a track of the burst.
    passed_layers: Vec<(TrackKey, SlotKey)>,
    layers_at: Option<Instant>,
    number: WorkerNumber,
    /// The lanes to all workers, by number; the worker's own stays empty.
    lanes: Vec<Lane>,
    /// Publishers with missing packets, and when to request those.
    incomplete: Vec<usize>,
    repair_at: Option<Instant>,
    limits: excess::Limits,
    /// When the meters of publishers were drained last.
    drained_at: Option<Instant>,
    outbox: VecDeque<(Path, Vec<u8>)>,
    events: VecDeque<Event>,
    next_tick: Option<Instant>,
    stats: Stats,
}

impl Worker {
    pub(crate) fn new(now: Instant, config: Config) -> Worker {
        Worker {
            candidates: config.candidates,
            identity: config.identity,
            rng: StdRng::from_seed(config.seed),
            started: (now, config.unix_time),
            peers: Slab::new(),
            by_id: HashMap::new(),
            by_remote_id: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_path: HashMap::new(),
            rooms: HashMap::new(),
            // Stream ids are unique in the engine.
            next_stream: (config.number as u64) << 48,
            burst: Burst::new(),
            passed_layers: Vec::with_capacity(1024),
            layers_at: None,
            number: config.number,
            lanes: (0..config.workers).map(|_| Lane::default()).collect(),
            incomplete: Vec::new(),
            repair_at: None,
            limits: excess::Limits::new(config.bitrate_limits),
            drained_at: None,
            outbox: VecDeque::new(),
            events: VecDeque::new(),
            next_tick: None,
            stats: Stats::default(),
        }
    }

    /// Handles one datagram whose protocol is not known yet.
    pub(crate) fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]) {
        self.handle_demuxed(now, path, demux(datagram), datagram);
    }

    /// Handles one datagram of this protocol; `None` if it is unknown. RTP and RTCP are decrypted in place. The caller
    /// calls [`demux`] once per datagram, and bases every decision about the protocol on that result.
    pub(crate) fn handle_demuxed(
        &mut self,
        now: Instant,
        path: Path,
        protocol: Option<Protocol>,
        datagram: &mut [u8],
    ) {
        match protocol {
            Some(Protocol::Rtp) => {
                if let Some(peer) = self.sender_on(path)
                    && self.handle_rtp(now, peer, datagram)
                {
                    self.note_sign_of_life(now, peer, path);
                }
            }
            Some(Protocol::Rtcp) => {
                if let Some(peer) = self.sender_on(path)
                    && self.handle_rtcp(now, peer, datagram)
                {
                    self.note_sign_of_life(now, peer, path);
                }
            }
            Some(Protocol::Dtls) => {
                if let Some(peer) = self.sender_on(path) {
                    self.handle_dtls(now, path, peer, datagram);
                }
            }
            Some(Protocol::Stun) => self.handle_stun(now, path, datagram),
            None => self.stats.dropped_unknown += 1,
        }
    }

    /// The peer whose ICE check validated the path. If there is none, counts the datagram as dropped.
    fn sender_on(&mut self, path: Path) -> Option<usize> {
        let peer = self.by_path.get(&path).copied();
        if peer.is_none() {
            self.stats.dropped_unvalidated += 1;
        }
        peer
    }

    fn handle_stun(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        let checked = Message::from_bytes(datagram).ok().and_then(|message| {
            let peer = *self.by_ufrag.get(&ice::addressee(&message)?)?;
            let connection = self.peers.get_mut(peer)?.link.connection_mut()?;
            let checked = connection.ice.handle_check(now, path, &message)?;
            Some((peer, checked))
        });
        let Some((peer, checked)) = checked else {
            self.stats.dropped_stun += 1;
            return;
        };
        if let Some(forgotten) = checked.forgotten {
            self.by_path.remove(&forgotten);
        }
        if let Some(void) = checked.void_ufrag {
            self.by_ufrag.remove(&void);
        }
        if let Some(before) = self.by_path.insert(path, peer)
            && before != peer
            && let Some(connection) = self.peers[before].link.connection_mut()
        {
            // The address belongs to the peer that proved it last, as when a NAT assigns it to another browser.
            connection.ice.forget(path);
        }
        self.send(path, checked.response);
    }

    fn handle_dtls(&mut self, now: Instant, path: Path, key: usize, datagram: &[u8]) {
        let Worker { peers, identity, outbox, stats, .. } = self;
        let Some(Connection { dtls, fingerprints, .. }) = peers[key].link.connection_mut() else {
            return;
        };
        let begin = || Transport::new(now, identity, fingerprints.clone());
        let dtls = dtls.get_or_insert_with(|| Association::new(begin(), path));
        let outcome = dtls.handle_datagram(now, path, datagram, begin, |path, record| {
            enqueue(outbox, stats, path, record.to_vec());
        });
        self.handle_dtls_outcome(now, key, outcome);
    }

    fn handle_dtls_outcome(&mut self, now: Instant, key: usize, outcome: Option<Outcome>) {
        match outcome {
            None => {}
            Some(Outcome::Closed(reason)) => self.disconnect(key, reason),
            Some(Outcome::Ended) => {
                if let Some(connection) = self.peers[key].link.connection_mut() {
                    connection.dtls = connection.dtls.take().and_then(Association::successor);
                }
                self.end_keys(now, key);
            }
            Some(Outcome::Keys(keys)) => {
                if self.peers[key].link.keys().is_some() {
                    self.end_keys(now, key);
                }
                let peer = &mut self.peers[key];
                let Some(connection) = peer.link.connection_mut() else {
                    return;
                };
                connection.keys = Some(keys);
                self.events.push_back(Event::Connected { peer: peer.id });
                self.start_slots(now, key);
            }
        }
    }

    /// Sets a peer's keys as if a handshake had produced them.
    #[cfg(any(fuzzing, feature = "bench"))]
    pub(crate) fn connect(
        &mut self,
        now: Instant,
        peer: PeerId,
        keys: Box<crate::transport::dtls::Keys>,
    ) {
        if let Some(&key) = self.by_id.get(&peer) {
            self.handle_dtls_outcome(now, key, Some(Outcome::Keys(keys)));
        }
    }

    /// Does everything that is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.request_missing(now);
        if self.next_tick.is_none_or(|at| now < at) {
            return;
        }
        self.next_tick = (!self.peers.is_empty()).then(|| now + TICK);
        for key in 0..self.peers.capacity() {
            if !self.peers.contains(key) {
                continue;
            }
            self.retransmit_dtls(now, key);
            self.expire_paths(now, key);
            let connection = self.peers.get(key).and_then(|peer| peer.link.connection());
            if connection.is_some_and(|connection| connection.ice.is_expired(now)) {
                self.disconnect(key, "consent expired: no valid ICE check or media for 30 seconds");
            }
            if self.peers.contains(key) {
                self.request_key_frames(now, key);
                self.report(now, key);
                self.report_arrivals(key);
            }
        }
        self.review_excess(now);
        self.announce_speakers(now);
        self.review_layers(now);
    }

    fn retransmit_dtls(&mut self, now: Instant, key: usize) {
        let Worker { peers, outbox, stats, .. } = self;
        let Some(Connection { dtls, ice, .. }) = peers[key].link.connection_mut() else {
            return;
        };
        let (Some(dtls), Some(path)) = (dtls, ice.selected()) else {
            return;
        };
        let outcome = dtls.handle_timeout(now, path, |path, record| {
            enqueue(outbox, stats, path, record.to_vec());
        });
        self.handle_dtls_outcome(now, key, outcome);
    }

    fn announce_speakers(&mut self, now: Instant) {
        for room in self.rooms.values_mut() {
            if self.events.len() >= MAX_WAITING_EVENTS {
                return;
            }
            // The other workers of the room stay in step, so that any of them can take over when the first one leaves
            // it.
            if let Some(levels) = room.speakers.announce(now)
                && room.is_home(self.number)
            {
                self.events.push_back(Event::Speakers { room: room.id, levels });
            }
        }
    }

    /// When to call [`Self::handle_timeout`]; `None` while there are no peers.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        [self.next_tick, self.repair_at].into_iter().flatten().min()
    }

    /// The next event.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Closes the connections of all peers with a DTLS close_notify, and forgets the peers.
    pub(crate) fn close(&mut self) {
        let ids: Vec<PeerId> = self.by_id.keys().copied().collect();
        ids.into_iter().for_each(|id| self.remove(id));
    }

    /// Whether the peer is connected to this worker.
    pub(crate) fn has_peer(&self, id: PeerId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// The current counters.
    pub(crate) fn stats(&self) -> Stats {
        let connected = self.peers.iter().filter(|(_, peer)| peer.link.keys().is_some());
        Stats {
            rooms: self.rooms.values().filter(|room| room.is_home(self.number)).count() as u64,
            peers: self.by_id.len() as u64,
            connected_peers: connected.count() as u64,
            ..self.stats
        }
    }

    /// Adds what only the shell knows: datagrams that the socket refused, and waits for a full socket.
    pub(crate) fn count_sending(&mut self, refused: u64, waits: u64) {
        self.stats.send_refused += refused;
        self.stats.send_waits += waits;
    }

    fn send(&mut self, path: Path, datagram: Vec<u8>) {
        enqueue(&mut self.outbox, &mut self.stats, path, datagram);
    }
}

/// The wall clock at `now`, from an instant and the time since 1970 at that instant.
fn ntp_time((started, unix_time): (Instant, Duration), now: Instant) -> NtpTime {
    NtpTime::from_unix(unix_time + now.saturating_duration_since(started))
}

fn enqueue(
    outbox: &mut VecDeque<(Path, Vec<u8>)>,
    stats: &mut Stats,
    path: Path,
    datagram: Vec<u8>,
) {
    if outbox.len() < MAX_OUTBOX {
        outbox.push_back((path, datagram));
    } else {
        stats.send_refused += 1;
    }
}
