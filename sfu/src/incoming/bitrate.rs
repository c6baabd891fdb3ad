//! How much of a stream comes, and whether any does.

use std::time::{Duration, Instant};

/// Over so much is counted.
const WINDOW: Duration = Duration::from_millis(500);
/// What sends nothing for so long is paused. A camera sends many pictures in that time, even in the dark.
const SILENCE: Duration = Duration::from_millis(800);

/// What has come for so long will go on.
const STEADY: Duration = Duration::from_secs(2);

/// A measured bit rate.
#[derive(Debug, Default)]
pub(crate) struct Bitrate {
    /// The present window's start and bytes. `None` before the first packet, and when the stream was paused.
    window: Option<(Instant, u64)>,
    /// Since when something comes.
    began_at: Option<Instant>,
    last_packet_at: Option<Instant>,
    /// Of the windows before, smoothed.
    bits_per_second: Option<u64>,
}

impl Bitrate {
    /// Counts a packet.
    pub(crate) fn packet(&mut self, now: Instant, bytes: usize) {
        if !self.is_active(now) {
            *self = Bitrate::default();
        }
        self.began_at.get_or_insert(now);
        self.last_packet_at = Some(now);
        let (began, so_far) = self.window.get_or_insert((now, 0));
        let passed = now.saturating_duration_since(*began);
        if passed >= WINDOW {
            let measured = so_far.saturating_mul(8_000) / passed.as_millis().max(1) as u64;
            // One key frame more or less in a window isn't another rate.
            let known = self.bits_per_second.unwrap_or(measured);
            self.bits_per_second = Some((known * 3 + measured) / 4);
            (*began, *so_far) = (now, 0);
        }
        *so_far += bytes as u64;
    }

    /// Whether something comes at present.
    pub(crate) fn is_active(&self, now: Instant) -> bool {
        self.last_packet_at.is_some_and(|at| now.saturating_duration_since(at) < SILENCE)
    }

    /// Whether it has come without a pause for a while. Senders that look for what they can send begin layers and give
    /// them up.
    pub(crate) fn is_steady(&self, now: Instant) -> bool {
        let is_old = |at| now.saturating_duration_since(at) >= STEADY;
        self.is_active(now) && self.began_at.is_some_and(is_old)
    }

    /// Bits per second; `None` while nothing comes.
    pub(crate) fn bits_per_second(&self, now: Instant) -> Option<u64> {
        let begun = || self.window.map(|(_, bytes)| bytes * 8);
        self.bits_per_second.or_else(begun).filter(|_| self.is_active(now))
    }

    /// Takes what another worker has measured.
    pub(crate) fn tell(&mut self, now: Instant, bits_per_second: Option<u64>) {
        match bits_per_second {
            None => self.end(),
            Some(_) => {
                self.began_at.get_or_insert(now);
                self.last_packet_at = Some(now);
                self.bits_per_second = bits_per_second;
            }
        }
    }

    /// The stream has ended.
    pub(crate) fn end(&mut self) {
        *self = Bitrate::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_now;

    #[test]
    fn a_steady_stream_is_measured_until_it_pauses() {
        let start = test_now();
        let mut rate = Bitrate::default();
        assert_eq!(rate.bits_per_second(start), None);
        for packet in 0..300 {
            rate.packet(start + Duration::from_millis(packet * 10), 1250);
        }
        let end = start + Duration::from_secs(3);
        let measured = rate.bits_per_second(end).unwrap();
        assert!((950_000..1_050_000).contains(&measured), "{measured}");

        assert!(!rate.is_steady(start + STEADY / 2) && rate.is_steady(end));
        assert_eq!(rate.bits_per_second(end + SILENCE), None);
        rate.packet(end + 2 * SILENCE, 1000);
        assert_eq!(rate.bits_per_second(end + 2 * SILENCE), Some(8000), "it begins anew");
        rate.end();
        assert_eq!(rate.bits_per_second(end + 2 * SILENCE), None);
    }
}
