//! The position of a packet in its stream.

use super::Counters;

/// The numbers of a packet, as received or as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The extended sequence number: rollover counter and sequence number, 48 bits.
    pub(crate) index: u64,
    pub(crate) timestamp: u32,
    pub(crate) counters: Counters,
}
