//! The stamp in every media packet, which identifies it.
//!
//! ```text
//!  0        4     5  6        8        12       16        24       28
//! +--------+-----+--+--------+--------+--------+---------+--------+----------
//! | "MDNG" |kind | 0| length | sender | seq    | sent µs | check  | filling …
//! +--------+-----+--+--------+--------+--------+---------+--------+----------
//! ```
//! Big-endian. `length` counts from the magic to the end of the packet, so that truncated packets are detected; `check`
//! is FNV-1a over the preceding 24 bytes.

use std::fmt;

/// The kind of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Audio, from the microphone.
    Audio,
    /// Video, from the camera.
    Video,
}

impl Kind {
    /// Both kinds.
    pub const ALL: [Kind; 2] = [Kind::Audio, Kind::Video];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Audio => "audio",
            Kind::Video => "video",
        })
    }
}

/// The number of a peer in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SenderId(pub u32);

/// The content of a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The sender.
    pub sender: SenderId,
    /// The kind of the stream.
    pub kind: Kind,
    /// The packet's number in the stream; increases by one per packet.
    pub seq: u32,
    /// The time of sending, in microseconds of the run's clock.
    pub sent_us: u64,
}

impl Stamp {
    /// The length of a stamp in bytes.
    pub const BYTES: usize = 28;

    /// Appends the stamp and `filling` bytes of zeros.
    pub fn write(&self, filling: usize, out: &mut Vec<u8>) {
        let start = out.len();
        let length = u16::try_from(Stamp::BYTES + filling).unwrap_or(u16::MAX);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[self.kind as u8, 0]);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.sender.0.to_be_bytes());
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&self.sent_us.to_be_bytes());
        let check = fnv1a(&out[start..]);
        out.extend_from_slice(&check.to_be_bytes());
        out.resize(start + usize::from(length), 0);
    }

    /// Reads the stamp that fills `bytes`; `None` when it is damaged, truncated or absent.
    pub fn read(bytes: &[u8]) -> Option<Stamp> {
        let (stamp, _) = bytes.split_first_chunk::<{ Stamp::BYTES }>()?;
        let number = |from: usize| u32::from_be_bytes(std::array::from_fn(|i| stamp[from + i]));
        let length = usize::from(u16::from_be_bytes([stamp[6], stamp[7]]));
        if &stamp[..4] != MAGIC || length != bytes.len() || number(24) != fnv1a(&stamp[..24]) {
            return None;
        }
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == stamp[4])?;
        let sent_us = u64::from(number(16)) << 32 | u64::from(number(20));
        Some(Stamp { sender: SenderId(number(8)), kind, seq: number(12), sent_us })
    }
}

const MAGIC: &[u8; 4] = b"MDNG";

fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp =
        Stamp { sender: SenderId(7), kind: Kind::Video, seq: 70_000, sent_us: 1 << 40 };

    #[test]
    fn a_stamp_survives() {
        for filling in [0, 1, 1000] {
            let mut bytes = Vec::new();
            STAMP.write(filling, &mut bytes);

            assert_eq!(bytes.len(), Stamp::BYTES + filling);
            assert_eq!(Stamp::read(&bytes), Some(STAMP));
        }
    }

    #[test]
    fn damage_is_found() {
        let mut bytes = Vec::new();
        STAMP.write(10, &mut bytes);

        for index in 0..Stamp::BYTES {
            let mut damaged = bytes.clone();
            damaged[index] ^= 0x10;
            assert_eq!(Stamp::read(&damaged), None, "byte {index}");
        }
        for length in 0..bytes.len() {
            assert_eq!(Stamp::read(&bytes[..length]), None, "cut to {length}");
        }
    }
}
