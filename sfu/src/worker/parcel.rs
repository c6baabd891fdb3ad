//! Decrypted packets that are handed over to another worker together, in one buffer.

use std::ops::Range;

use crate::PeerId;
use crate::rtp::Codec;

/// The most packets in one parcel.
pub(crate) const PACKETS: usize = 64;
/// A parcel with more bytes than this is closed.
const FULL: usize = 48 * 1024;

/// Packets of one kind of media.
#[derive(Debug, Default)]
pub(crate) struct Parcel {
    bytes: Vec<u8>,
    packets: Vec<(Crossing, Range<usize>)>,
}

/// The metadata of a packet that the other worker needs.
#[derive(Clone, Debug)]
pub(crate) struct Crossing {
    pub(crate) peer: PeerId,
    /// The index among the peer's tracks, which is the same in both workers.
    pub(crate) track: usize,
    /// The stream's id in the publisher's worker; unique in the engine.
    pub(crate) stream: u64,
    pub(crate) ssrc: u32,
    /// The extended sequence number.
    pub(crate) index: u64,
    pub(crate) codec: Codec,
    pub(crate) starts_key_frame: bool,
    /// The range of the payload in the packet.
    pub(crate) payload: Range<usize>,
}

impl Parcel {
    /// The packets, in the order of arrival.
    pub(crate) fn packets(&self) -> impl Iterator<Item = (&Crossing, &[u8])> {
        self.packets.iter().map(|(crossing, place)| (crossing, &self.bytes[place.clone()]))
    }

    /// The number of packets.
    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(crate) fn push(&mut self, crossing: Crossing, opened: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(opened);
        self.packets.push((crossing, start..self.bytes.len()));
    }

    pub(crate) fn is_full(&self) -> bool {
        self.packets.len() == PACKETS || self.bytes.len() > FULL
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }
}
