//! How much one client, one room and the whole server may take.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The bounds of the control plane. Where a field says so, 0 means no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of one STOMP frame, header and body together. A longer one ends its connection with an ERROR.
    /// 0: no limit.
    pub frame_bytes: usize,
    /// Headers of one STOMP frame; one more ends its connection with an ERROR. 0: no limit.
    pub headers: usize,
    /// Bytes of one header line as it is written; a longer one ends its connection with an ERROR. 0: no limit.
    pub header_bytes: usize,
    /// SEND and SUBSCRIBE frames a second and session, with twice as many at once; more are refused with
    /// `rate_limited`. 0: no limit.
    pub messages_per_second: u32,
    /// WebSocket connections in all; one more is refused with an ERROR. 0: no limit.
    pub connections: usize,
    /// WebSocket connections from one IP address; one more is refused with an ERROR. 0: no limit.
    pub connections_per_address: usize,
    /// How long a client may take to its CONNECT from when its WebSocket, SockJS session or TCP connection is open; then
    /// that ends with an ERROR.
    pub connect_timeout: Duration,
    /// How long an HTTP client may take to send the head of a request, and stay silent between two;
    /// then its connection is closed.
    pub request_timeout: Duration,
    /// Participants of a room, those whose connection dropped a moment ago included; one more gets `room_full`.
    /// 0: no limit.
    pub participants_per_room: usize,
    /// Open rooms; a join that would open one more gets `overloaded`. 0: no limit.
    pub rooms: usize,
    /// Subscriptions of a session; one more is refused with `not_allowed`.
    pub subscriptions: usize,
    /// Messages that wait for one slow client; at one more, [`Limits::slow_room_state`] and [`Limits::slow_topics`] say
    /// which go. When that is not enough, its connection ends with an ERROR.
    pub outbox_messages: usize,
    /// The same in bytes.
    pub outbox_bytes: usize,
    /// What happens to speakers, changed participants, the changed room and the list of rooms.
    pub slow_room_state: SlowPolicy,
    /// What happens to what clients publish on topics. Chat, queues, replies and all other events of a room are never lost
    /// silently: too many of them end the connection.
    pub slow_topics: SlowPolicy,
    /// Bytes of a chat line; a longer one gets `too_large`.
    pub chat_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            frame_bytes: 2 * 1024 * 1024,
            headers: 128,
            header_bytes: 16 * 1024,
            messages_per_second: 50,
            connections: 10_000,
            connections_per_address: 1_000,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(20),
            participants_per_room: 500,
            rooms: 10_000,
            subscriptions: 200,
            outbox_messages: 4_096,
            outbox_bytes: 8 * 1024 * 1024,
            slow_room_state: SlowPolicy::Coalesce,
            slow_topics: SlowPolicy::Disconnect,
            chat_bytes: 8 * 1024,
        }
    }
}

/// Whether one more than `present` would break a limit for which 0 means none.
pub(crate) fn is_reached(limit: usize, present: usize) -> bool {
    limit != 0 && present >= limit
}

/// What becomes of the messages for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowPolicy {
    /// Of messages that say the same thing at different times, the latest is kept.
    Coalesce,
    /// The oldest make room when there are too many.
    DropOldest,
    /// None is lost silently: when there are too many, the connection ends with an ERROR.
    Disconnect,
}

impl SlowPolicy {
    /// All of them, in the order of `SlowPolicy`.
    pub const ALL: [SlowPolicy; 3] =
        [SlowPolicy::Coalesce, SlowPolicy::DropOldest, SlowPolicy::Disconnect];

    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            SlowPolicy::Coalesce => "coalesce",
            SlowPolicy::DropOldest => "drop_oldest",
            SlowPolicy::Disconnect => "disconnect",
        }
    }
}

impl FromStr for SlowPolicy {
    type Err = ();

    fn from_str(text: &str) -> Result<SlowPolicy, ()> {
        SlowPolicy::ALL.into_iter().find(|policy| policy.as_str() == text).ok_or(())
    }
}
