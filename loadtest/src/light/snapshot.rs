//! A snapshot of the counters of all light peers.

use super::stream::StreamCounts;
use crate::histogram::Histogram;
use crate::stamp::Kind;

/// The counters at one time.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The time, in microseconds of the run's clock.
    pub at_us: u64,
    /// Counts of all streams by kind, since the start.
    pub counts: [StreamCounts; 2],
    /// Latency from sending to a receiver's socket by kind, since the previous snapshot; of sampled packets.
    pub latency: [Histogram; 2],
    /// Bytes of received RTP packets, since the start.
    pub bytes: u64,
    /// Packets that could not be processed.
    pub unreadable: u64,
    /// Retransmissions received on RTX streams.
    pub retransmissions: u64,
    /// Key frame requests from the server.
    pub key_frame_requests: u64,
    /// Datagrams that the local kernel refused to send.
    pub refused: u64,
    /// The UDP ports in use.
    pub ports: Vec<u16>,
    /// The peers, in the order in which they were added.
    pub peers: Vec<PeerState>,
}

/// The progress of a peer.
#[derive(Clone, Debug)]
pub struct PeerState {
    /// Its number.
    pub number: u32,
    /// The time of the join request.
    pub asked_us: u64,
    /// The time at which its media transport was connected.
    pub connected_us: Option<u64>,
    /// The time of its first media packet.
    pub first_us: Option<u64>,
    /// Whether packets have arrived in all its slots.
    pub receives_all: bool,
    /// The reason why it has failed, if it has.
    pub failed: Option<String>,
}

impl Snapshot {
    /// The counts of one kind.
    pub fn of(&self, kind: Kind) -> &StreamCounts {
        &self.counts[kind as usize]
    }

    /// The number of packets of both kinds received.
    pub fn received(&self) -> u64 {
        self.counts.iter().map(|counts| counts.received).sum()
    }

    /// Whether every peer receives everything or has failed.
    pub fn is_settled(&self, peers: usize) -> bool {
        let is_settled = |peer: &PeerState| {
            peer.failed.is_some() || peer.connected_us.is_some() && peer.receives_all
        };
        self.peers.len() == peers && self.peers.iter().all(is_settled)
    }
}
