//! Counters shared by all light peers of a run.

use crate::histogram::Histogram;

/// The counters; see the module documentation.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Latency from sending to the receiver's socket, by kind; of sampled packets.
    pub latency: [Histogram; 2],
    /// Bytes of received RTP packets.
    pub bytes: u64,
    /// Packets that could not be processed: not authentic, not announced, or without a stamp.
    pub unreadable: u64,
    /// Retransmissions received on RTX streams.
    pub retransmissions: u64,
    /// Key frame requests from the server to publishers.
    pub key_frame_requests: u64,
    sampler: Sampler,
}

/// Selects packets at random distances, so that the selection does not synchronize with the frames.
#[derive(Clone, Copy, Debug)]
struct Sampler {
    one_in: u32,
    left: u32,
    state: u32,
}

impl Tally {
    /// Creates counters at zero; one of `one_in` packets will be sampled.
    pub fn new(one_in: u32) -> Tally {
        Tally {
            latency: Default::default(),
            bytes: 0,
            unreadable: 0,
            retransmissions: 0,
            key_frame_requests: 0,
            sampler: Sampler { one_in: one_in.max(1), left: 0, state: 0x9E37_79B9 },
        }
    }

    /// Whether to decrypt the next packet.
    pub fn is_sampled(&mut self) -> bool {
        let Sampler { one_in, left, state } = &mut self.sampler;
        if *left > 0 {
            *left -= 1;
            return false;
        }
        // Marsaglia's xorshift.
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        *left = *state % (2 * *one_in - 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wanted_share_is_sampled() {
        for (one_in, expected) in [(1, 64_000..=64_000), (64, 900..=1100)] {
            let mut tally = Tally::new(one_in);
            let sampled = (0..64_000).filter(|_| tally.is_sampled()).count();
            assert!(expected.contains(&sampled), "{one_in}: {sampled}");
        }
    }
}
