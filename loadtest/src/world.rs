//! The state shared by all peers of a run.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::stamp::{Kind, SenderId};

/// The clock, and the packets that each peer has sent, with which receivers compare what they received.
#[derive(Debug)]
pub struct World {
    /// The run's clock.
    pub clock: Clock,
    peers: Mutex<Peers>,
}

#[derive(Debug, Default)]
struct Peers {
    sent: Vec<Arc<Sent>>,
    by_participant: HashMap<String, SenderId>,
}

/// The packets that one peer has sent.
#[derive(Debug)]
pub struct Sent {
    /// The peer's number.
    pub sender: SenderId,
    audio: AtomicU32,
    video: AtomicU32,
    began_us: AtomicU64,
}

impl World {
    /// Creates a world without peers.
    pub fn new() -> Arc<World> {
        Arc::new(World { clock: Clock::start(), peers: Mutex::default() })
    }

    /// Adds a peer and assigns its number.
    pub fn add_peer(&self) -> Arc<Sent> {
        let mut peers = self.peers();
        let sender = SenderId(u32::try_from(peers.sent.len()).unwrap_or(u32::MAX));
        let sent = Sent {
            sender,
            audio: AtomicU32::new(0),
            video: AtomicU32::new(0),
            began_us: AtomicU64::new(u64::MAX),
        };
        let sent = Arc::new(sent);
        peers.sent.push(Arc::clone(&sent));
        sent
    }

    /// Records that the server's participant is this peer.
    pub fn name(&self, participant: &str, sender: SenderId) {
        self.peers().by_participant.insert(participant.to_owned(), sender);
    }

    /// The peer that is this participant; `None` when it is not a peer of this run.
    pub fn sender_of(&self, participant: &str) -> Option<SenderId> {
        self.peers().by_participant.get(participant).copied()
    }

    /// The packets that a peer has sent.
    pub fn sent(&self, sender: SenderId) -> Option<Arc<Sent>> {
        self.peers().sent.get(sender.0 as usize).cloned()
    }

    /// No code can panic while it holds the lock, so poisoning is harmless.
    fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sent {
    /// The number of the next packet of a stream.
    pub fn next(&self, kind: Kind) -> u32 {
        self.counter(kind).fetch_add(1, Ordering::Relaxed)
    }

    /// The number of packets sent on a stream.
    pub fn count(&self, kind: Kind) -> u32 {
        self.counter(kind).load(Ordering::Relaxed)
    }

    /// Records that sending has started.
    pub fn begin(&self, now_us: u64) {
        self.began_us.fetch_min(now_us, Ordering::Relaxed);
    }

    /// When sending started, in microseconds of the run's clock; `None` when it has not.
    pub fn began_us(&self) -> Option<u64> {
        Some(self.began_us.load(Ordering::Relaxed)).filter(|us| *us != u64::MAX)
    }

    fn counter(&self, kind: Kind) -> &AtomicU32 {
        match kind {
            Kind::Audio => &self.audio,
            Kind::Video => &self.video,
        }
    }
}
