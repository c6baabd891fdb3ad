//! Decrypted packets that cross to another worker together, in one buffer.

use std::ops::Range;

use crate::PeerId;
use crate::rtp::Codec;

/// Packets in one parcel at most.
pub(crate) const PACKETS: usize = 64;
/// A parcel with more bytes than these is closed.
const FULL: usize = 48 * 1024;

/// Packets of one kind of media that cross together.
#[derive(Debug, Default)]
pub(crate) struct Parcel {
    bytes: Vec<u8>,
    packets: Vec<(Crossing, Range<usize>)>,
}

/// What the other worker has to know of a packet beside its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Crossing {
    pub(crate) peer: PeerId,
    /// The place among that peer's tracks, which is the same at both ends.
    pub(crate) track: usize,
    /// What the publisher's worker calls the stream; unique in the engine.
    pub(crate) stream: u64,
    pub(crate) ssrc: u32,
    /// The extended sequence number.
    pub(crate) index: u64,
    pub(crate) codec: Codec,
    pub(crate) starts_key_frame: bool,
    /// In the packet.
    pub(crate) payload: Range<usize>,
}

impl Parcel {
    /// Its packets, in the order of arrival.
    pub(crate) fn packets(&self) -> impl Iterator<Item = (&Crossing, &[u8])> {
        self.packets.iter().map(|(crossing, place)| (crossing, &self.bytes[place.clone()]))
    }

    /// How many there are.
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
