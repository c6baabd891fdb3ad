//! SSRCs for the streams that the server sends to one peer.

use rand::RngExt;

/// The distance between one SSRC and the next: odd, so that 2³² of them pass before one repeats.
const STEP: u32 = 0x9e37_79b1;

/// Gives out SSRCs, none of them twice. All streams to a peer are sealed with one key, under which a repeated SSRC could
/// repeat a sequence number (RFC 3711 §9.1, RFC 7714 §8.1).
#[derive(Debug)]
pub(crate) struct Ssrcs {
    last: u32,
}

impl Ssrcs {
    pub(crate) fn new(rng: &mut impl RngExt) -> Ssrcs {
        Ssrcs { last: rng.random() }
    }

    /// An SSRC that no stream to this peer has had.
    pub(crate) fn fresh(&mut self) -> u32 {
        self.last = self.last.wrapping_add(STEP);
        self.last
    }
}
