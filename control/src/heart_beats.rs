//! When a session has to say something, and when it has waited long enough for the client to.

use std::time::{Duration, Instant};

use madang_wire::HeartBeat;

/// What the server offers its clients: a sign of life as often as they want, down to every second. It asks for one every
/// ten seconds at most: browsers run the timers of a page in the background once a second, so that a page which had to
/// send every second would be found silent while it is well.
pub(crate) const TO_CLIENTS: HeartBeat = HeartBeat { can_send_ms: 1_000, wants_ms: 10_000 };

/// What it offers an external broker, and wants of it.
pub(crate) const TO_BROKER: HeartBeat = HeartBeat { can_send_ms: 10_000, wants_ms: 10_000 };

/// The heart-beats of an open session (STOMP 1.2, "Heart-beating").
#[derive(Debug)]
pub(crate) struct HeartBeats {
    send_every: Option<Duration>,
    /// Twice the agreed interval: the margin of error that the standard asks for.
    receive_within: Option<Duration>,
    sent_at: Instant,
    received_at: Instant,
}

/// A deadline of an open session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing was sent for an interval: send a heart-beat.
    Send,
    /// Nothing was received for two intervals: the client is gone.
    Receive,
}

impl HeartBeats {
    /// What follows from our `heart-beat` header and the other side's.
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
