//! What light peers have counted up to a moment.

use super::stream::StreamCounts;
use crate::histogram::Histogram;
use crate::stamp::Kind;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The moment, in microseconds of the run's clock.
    pub at_us: u64,
    /// Of all streams of a kind, from the beginning.
    pub counts: [StreamCounts; 2],
    /// From a sender's hand to a receiver's socket, by kind, since the snapshot before; of sampled packets.
    pub latency: [Histogram; 2],
    /// Bytes of RTP packets that came in, from the beginning.
    pub bytes: u64,
    /// Packets that could not be read.
    pub unreadable: u64,
    /// Retransmissions on streams of their own.
    pub retransmissions: u64,
    /// Key frames that the server asked for.
    pub key_frame_requests: u64,
    /// Datagrams that this machine's kernel did not take.
    pub refused: u64,
    /// The UDP ports in use.
    pub ports: Vec<u16>,
    /// The peers, in the order in which they were added.
    pub peers: Vec<PeerState>,
}

/// How far a peer is.
#[derive(Clone, Debug)]
pub struct PeerState {
    /// Its number.
    pub number: u32,
    /// When it asked to join.
    pub asked_us: u64,
    /// When its media transport was up.
    pub connected_us: Option<u64>,
    /// When its first media packet came.
    pub first_us: Option<u64>,
    /// Something came in all its slots.
    pub receives_all: bool,
    /// Why it is over.
    pub failed: Option<String>,
}

impl Snapshot {
    /// The counts of a kind.
    pub fn of(&self, kind: Kind) -> &StreamCounts {
        &self.counts[kind as usize]
    }

    /// Packets of both kinds that came in.
    pub fn received(&self) -> u64 {
        self.counts.iter().map(|counts| counts.received).sum()
    }

    /// Everybody receives everything, or never will.
    pub fn is_settled(&self, peers: usize) -> bool {
        let is_settled = |peer: &PeerState| {
            peer.failed.is_some() || peer.connected_us.is_some() && peer.receives_all
        };
        self.peers.len() == peers && self.peers.iter().all(is_settled)
    }
}
