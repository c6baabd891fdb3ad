//! What all peers of a run share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::stamp::{Kind, SenderId};

/// The clock, and who sent what: receivers compare it with what they got.
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

/// What one peer has sent so far.
#[derive(Debug)]
pub struct Sent {
    /// Its number.
    pub sender: SenderId,
    audio: AtomicU32,
    video: AtomicU32,
    began_us: AtomicU64,
}

impl World {
    /// A world without peers.
    pub fn new() -> Arc<World> {
        Arc::new(World { clock: Clock::start(), peers: Mutex::default() })
    }

    /// A number for one more peer.
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

    /// From here on the server's participant is known to be this peer.
    pub fn name(&self, participant: &str, sender: SenderId) {
        self.peers().by_participant.insert(participant.to_owned(), sender);
    }

    /// Which peer a participant is; none when it is somebody else's.
    pub fn sender_of(&self, participant: &str) -> Option<SenderId> {
        self.peers().by_participant.get(participant).copied()
    }

    /// What a peer has sent.
    pub fn sent(&self, sender: SenderId) -> Option<Arc<Sent>> {
        self.peers().sent.get(sender.0 as usize).cloned()
    }

    /// Nothing that holds the lock can panic half-way, so a poisoned one is as good as any.
    fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sent {
    /// The number for the next packet of a stream.
    pub fn next(&self, kind: Kind) -> u32 {
        self.counter(kind).fetch_add(1, Ordering::Relaxed)
    }

    /// How many packets of a stream were sent.
    pub fn count(&self, kind: Kind) -> u32 {
        self.counter(kind).load(Ordering::Relaxed)
    }

    /// Sending began.
    pub fn begin(&self, now_us: u64) {
        self.began_us.fetch_min(now_us, Ordering::Relaxed);
    }

    /// When sending began, in microseconds of the run's clock; none when it hasn't.
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
