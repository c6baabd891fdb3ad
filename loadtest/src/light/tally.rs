//! What all light peers of a run count together.

use crate::histogram::Histogram;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Tally {
    /// From a sender's hand to the receiver's socket, by kind; of sampled packets.
    pub latency: [Histogram; 2],
    /// Bytes of RTP packets that came in.
    pub bytes: u64,
    /// Packets that could not be read: not authentic, not announced, or without a stamp.
    pub unreadable: u64,
    /// Retransmissions that came on streams of their own.
    pub retransmissions: u64,
    /// Key frames that the server asked publishers for.
    pub key_frame_requests: u64,
    sampler: Sampler,
}

/// Chooses packets at random distances, so that it does not fall in step with the frames.
#[derive(Clone, Copy, Debug)]
struct Sampler {
    one_in: u32,
    left: u32,
    state: u32,
}

impl Tally {
    /// Zero, with one of so many packets to be decrypted.
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

    /// Whether the next packet is to be decrypted.
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
