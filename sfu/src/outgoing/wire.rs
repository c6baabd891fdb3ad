//! The last step of an outgoing packet: keys, send time and transport-wide sequence number (TWCC).

use std::time::Instant;

use crate::transport::srtp::{Outbound, Profile};

/// Keys, time and number for sealing and stamping a packet.
#[derive(Clone, Copy)]
pub(crate) struct Wire<'a> {
    pub(crate) profile: Profile,
    pub(crate) srtp: &'a Outbound,
    pub(crate) sent_at: SendTime,
    /// The transport-wide sequence number, for packets that carry one.
    pub(crate) number: u16,
}

/// When a packet left the server, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SendTime(u64);

impl SendTime {
    /// The origin `since` is arbitrary, but must be the same for all packets.
    pub(crate) fn new(since: Instant, now: Instant) -> SendTime {
        let passed = now.saturating_duration_since(since);
        SendTime(passed.as_secs() * 1_000_000 + u64::from(passed.subsec_micros()))
    }

    /// Microseconds since the origin; wraps after 71 minutes.
    pub(crate) fn microseconds(self) -> u32 {
        self.0 as u32
    }

    /// The value of `abs-send-time`: seconds as a fixed-point number with 6 and 18 bits.
    pub(crate) fn absolute(self) -> [u8; 3] {
        let (seconds, rest) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let [.., high, middle, low] = ((seconds << 18) + (rest << 18) / 1_000_000).to_be_bytes();
        [high, middle, low]
    }
}

/// A packet that was written to the send buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) length: usize,
    /// The transport-wide sequence number in it.
    pub(crate) number: Option<u16>,
}
