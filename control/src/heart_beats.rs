//! STOMP heart-beats: when to send one, and when the other side counts as gone.

use std::time::{Duration, Instant};

use madang_wire::HeartBeat;

/// The server's `heart-beat` header for clients. It offers to send as often as every second, but wants to receive only
/// every ten seconds: browsers throttle the timers of background pages to once a second, so a page that had to send
/// every second would be considered gone although it is alive.
pub(crate) const TO_CLIENTS: HeartBeat = HeartBeat { can_send_ms: 1_000, wants_ms: 10_000 };

/// The server's `heart-beat` header for an external broker.
pub(crate) const TO_BROKER: HeartBeat = HeartBeat { can_send_ms: 10_000, wants_ms: 10_000 };

/// The heart-beats of an open session (STOMP 1.2, "Heart-beating").
#[derive(Debug)]
pub(crate) struct HeartBeats {
    send_every: Option<Duration>,
    /// Twice the agreed interval, for the error margin that the standard asks for.
    receive_within: Option<Duration>,
    sent_at: Instant,
    received_at: Instant,
}

/// A deadline of an open session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing was sent for an interval: send a heart-beat.
    Send,
    /// Nothing was received for two intervals: the other side is gone.
    Receive,
}

impl HeartBeats {
    /// The heart-beats that follow from our `heart-beat` header and the other side's.
    pub(crate) fn agree(own: HeartBeat, other: HeartBeat, now: Instant) -> HeartBeats {
        let interval = |ms: Option<u32>| ms.map(|ms| Duration::from_millis(ms.into()));
        HeartBeats {
            send_every: interval(own.interval_to(other)),
            receive_within: interval(other.interval_to(own)).map(|interval| 2 * interval),
            sent_at: now,
            received_at: now,
        }
    }

    pub(crate) fn handle_sent(&mut self, now: Instant) {
        self.sent_at = now;
    }

    pub(crate) fn handle_received(&mut self, now: Instant) {
        self.received_at = now;
    }

    /// The next deadline.
    pub(crate) fn next(&self) -> Option<(Instant, Due)> {
        let send = self.send_every.map(|interval| (self.sent_at + interval, Due::Send));
        let receive = self.receive_within.map(|limit| (self.received_at + limit, Due::Receive));
        send.into_iter().chain(receive).min_by_key(|(at, _)| *at)
    }
}
