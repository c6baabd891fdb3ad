//! Limits per client, per room and for the whole server.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The limits of the control plane. Where a field says so, 0 means no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of one STOMP frame, headers and body together. A longer frame closes its connection with an ERROR.
    /// 0: no limit.
    pub frame_bytes: usize,
    /// Headers of one STOMP frame; one more closes its connection with an ERROR. 0: no limit.
    pub headers: usize,
    /// Bytes of one header line, as on the wire; a longer line closes its connection with an ERROR. 0: no limit.
    pub header_bytes: usize,
    /// Rate limit of SEND and SUBSCRIBE frames, per second and session, with a burst of twice as many. Frames above it
    /// are refused with `rate_limited`. 0: no limit.
    pub messages_per_second: u32,
    /// Rate limit of `offer`, and of `join` with an offer, per second and session, with a burst of three times as many.
    /// Requests above it are refused with `rate_limited`. 0: no limit.
    pub offers_per_second: u32,
    /// WebSocket connections in total; one more is refused with an ERROR. 0: no limit.
    pub connections: usize,
    /// WebSocket connections from one IP address; one more is refused with an ERROR. 0: no limit.
    pub connections_per_address: usize,
    /// Time that a client has to send CONNECT after its WebSocket, SockJS session or TCP connection opens. After it,
    /// the server closes the connection with an ERROR.
    pub connect_timeout: Duration,
    /// Time that an HTTP client has to send the head of a request, and may be silent between two requests. After it,
    /// the server closes the connection.
    pub request_timeout: Duration,
    /// Changes of its state and reactions of a participant a second, twice as many at once; more get `rate_limited`. 0: no
    /// limit.
    pub changes_per_second: u32,
    /// Participants of a room, including those whose connection dropped and who may still resume; one more gets
    /// `room_full`. 0: no limit.
    pub participants_per_room: usize,
    /// Open rooms; a join that would open one more gets `overloaded`. One in twenty is for operators alone.
    /// 0: no limit.
    pub rooms: usize,
    /// Open rooms that a user, or all guests of an address, have opened; a join that would open one more gets
    /// `overloaded`. 0: no limit.
    pub rooms_per_user: usize,
    /// Subscriptions of a session; one more is refused with `not_allowed`.
    pub subscriptions: usize,
    /// Messages queued for one slow client. Beyond that, [`Limits::slow_room_state`] and [`Limits::slow_topics`] decide
    /// which are dropped. If that is not enough, the server closes the connection with an ERROR.
    pub outbox_messages: usize,
    /// Bytes queued for one slow client, with the same effect as [`Limits::outbox_messages`].
    pub outbox_bytes: usize,
    /// Bytes held for all clients together: frames that wait to be sent to them, and frames that have arrived in part. One
    /// client may hold a quarter of the rest. By default, 1/256 of the memory of the machine or cgroup, within 64 MiB and 512
    /// MiB.
    pub memory_bytes: Option<usize>,
    /// The policy for slow clients for `speakers`, `participant_changed`, `room_changed` and the list of rooms.
    pub slow_room_state: SlowPolicy,
    /// The policy for slow clients for messages that clients publish on topics. Chat, queues, replies and all other
    /// events of a room are never dropped silently: too many of them close the connection.
    pub slow_topics: SlowPolicy,
    /// Bytes of a chat message's text; a longer one gets `too_large`.
    pub chat_bytes: usize,
    /// Bytes of chat that a user, or all guests of an address, may have stored in a minute; more is refused with
    /// `rate_limited`. 0: no limit.
    pub user_chat_bytes_per_minute: usize,
    /// Bytes of chat that one room may have stored in a minute; more is refused with `rate_limited`. 0: no limit.
    pub room_chat_bytes_per_minute: usize,
    /// Bytes of chat that all rooms together may have stored in a minute; more is refused with `overloaded`. 0: no limit.
    pub chat_bytes_per_minute: usize,
    /// Bytes that have to be free on the disk of an SQLite file, or a tenth of a smaller disk. While fewer are, chat is
    /// refused with `overloaded`. 0: the disk is not watched.
    pub store_free_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            frame_bytes: 2 * 1024 * 1024,
            headers: 128,
            header_bytes: 16 * 1024,
            messages_per_second: 50,
            offers_per_second: 2,
            connections: 10_000,
            connections_per_address: 1_000,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(20),
            changes_per_second: 5,
            participants_per_room: 500,
            rooms: 10_000,
            rooms_per_user: 1_000,
            subscriptions: 200,
            outbox_messages: 4_096,
            outbox_bytes: 8 * 1024 * 1024,
            memory_bytes: None,
            slow_room_state: SlowPolicy::Coalesce,
            slow_topics: SlowPolicy::Disconnect,
            chat_bytes: 8 * 1024,
            user_chat_bytes_per_minute: 4 * 1024 * 1024,
            room_chat_bytes_per_minute: 16 * 1024 * 1024,
            chat_bytes_per_minute: 64 * 1024 * 1024,
            store_free_bytes: 256 * 1024 * 1024,
        }
    }
}

/// Whether one more than `present` would exceed the limit. A limit of 0 means no limit.
pub(crate) fn is_reached(limit: usize, present: usize) -> bool {
    limit != 0 && present >= limit
}

/// The treatment of messages for a client that reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowPolicy {
    /// Keep only the latest of the messages that carry the same state.
    Coalesce,
    /// Drop the oldest messages when there are too many.
    DropOldest,
    /// Drop nothing: when there are too many, close the connection with an ERROR.
    Disconnect,
}

impl SlowPolicy {
    /// All policies, in the order of declaration.
    pub const ALL: [SlowPolicy; 3] =
        [SlowPolicy::Coalesce, SlowPolicy::DropOldest, SlowPolicy::Disconnect];

    /// The name in the configuration.
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
