//! How long a worker waits, once a datagram is there, for more to come: those that come together are forwarded
//! together, with one wake-up, in runs that the kernel cuts (GSO).

use std::time::{Duration, Instant};

/// The rates are judged over this time.
const WINDOW: Duration = Duration::from_millis(50);
/// From so many datagrams a second on, two or more can be expected in a [`LONG`] pause.
const BUSY_IN: u64 = 2_000;
/// From so many datagrams sent a second on, a frame's packets are worth collecting: each is sent to many.
const BUSY_OUT: u64 = 5_000;
/// For datagrams of many senders, which come one by one.
const LONG: Duration = Duration::from_millis(1);
/// For the packets of one frame, which its sender sends at once or nearly so.
const SHORT: Duration = Duration::from_micros(250);

/// Decides by what came and went lately: under light load nothing waits.
#[derive(Debug)]
pub(super) struct Gather {
    since: Instant,
    /// Counters at that time: datagrams received and sent.
    counted: (u64, u64),
    pause: Duration,
}

impl Gather {
    pub(super) fn new(now: Instant) -> Gather {
        Gather { since: now, counted: (0, 0), pause: Duration::ZERO }
    }

    /// How long to wait at this moment; `received` and `sent` count datagrams since the start.
    pub(super) fn pause(&mut self, now: Instant, received: u64, sent: u64) -> Duration {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WINDOW {
            let rate = |count: u64| (u128::from(count) * 1000 / elapsed.as_millis().max(1)) as u64;
            let came = rate(received.saturating_sub(self.counted.0));
            let went = rate(sent.saturating_sub(self.counted.1));
            self.pause = match () {
                () if came >= BUSY_IN => LONG,
                () if went >= BUSY_OUT => SHORT,
                () => Duration::ZERO,
            };
            self.since = now;
            self.counted = (received, sent);
        }
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test needs some first instant")]
    fn pause_at(received_a_second: u64, sent_a_second: u64) -> Duration {
        let start = Instant::now();
        let mut gather = Gather::new(start);
        let at = |ms: u64| {
            let now = start + Duration::from_millis(ms);
            (now, received_a_second * ms / 1000, sent_a_second * ms / 1000)
        };
        let mut pause = Duration::ZERO;
        for ms in 0..200 {
            let (now, received, sent) = at(ms);
            pause = gather.pause(now, received, sent);
        }
        pause
    }

    #[test]
    fn light_load_waits_for_nothing() {
        assert_eq!(pause_at(200, 200), Duration::ZERO);
        assert_eq!(pause_at(1_000, 3_000), Duration::ZERO);
    }

    #[test]
    fn one_publisher_and_many_receivers_wait_for_the_rest_of_a_frame() {
        assert_eq!(pause_at(227, 11_350), SHORT);
    }

    #[test]
    fn many_publishers_are_gathered() {
        assert_eq!(pause_at(4_540, 18_160), LONG);
    }

    #[test]
    fn a_pause_ends_with_the_load() {
        let start = {
            #[expect(clippy::disallowed_methods, reason = "a test needs some first instant")]
            Instant::now()
        };
        let mut gather = Gather::new(start);
        assert_eq!(gather.pause(start + WINDOW, 1_000, 0), LONG);
        assert_eq!(gather.pause(start + 2 * WINDOW, 1_001, 0), Duration::ZERO);
    }
}
