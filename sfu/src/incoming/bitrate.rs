//! Measures the bitrate of an incoming track, and whether anything arrives at all.

use std::time::{Duration, Instant};

/// The window over which bytes are counted.
const WINDOW: Duration = Duration::from_millis(500);
/// A track that sends nothing for this long is paused. A camera sends many frames in that time, even in the dark.
const SILENCE: Duration = Duration::from_millis(800);

/// A track that has sent for this long is expected to go on.
const STEADY: Duration = Duration::from_secs(2);

/// The measured bitrate of a track.
#[derive(Debug, Default)]
pub(crate) struct Bitrate {
    /// Start and bytes of the current window. `None` before the first packet and after a pause.
    window: Option<(Instant, u64)>,
    /// When the first packet arrived, or the first after a pause.
    began_at: Option<Instant>,
    last_packet_at: Option<Instant>,
    /// Smoothed over the earlier windows.
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
            // Smoothed, because one key frame more or less in a window does not change the bitrate.
            let known = self.bits_per_second.unwrap_or(measured);
            self.bits_per_second = Some((known * 3 + measured) / 4);
            (*began, *so_far) = (now, 0);
        }
        *so_far += bytes as u64;
    }

    /// Whether anything is arriving at present.
    pub(crate) fn is_active(&self, now: Instant) -> bool {
        self.last_packet_at.is_some_and(|at| now.saturating_duration_since(at) < SILENCE)
    }

    /// Whether packets have arrived for a while without a pause. Senders that probe for bandwidth start layers and stop
    /// them again.
    pub(crate) fn is_steady(&self, now: Instant) -> bool {
        let is_old = |at| now.saturating_duration_since(at) >= STEADY;
        self.is_active(now) && self.began_at.is_some_and(is_old)
    }

    /// Bits per second; `None` while nothing arrives.
    pub(crate) fn bits_per_second(&self, now: Instant) -> Option<u64> {
        let begun = || self.window.map(|(_, bytes)| bytes * 8);
        self.bits_per_second.or_else(begun).filter(|_| self.is_active(now))
    }

    /// Takes the bitrate that another worker measured.
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

    /// Forgets everything: the stream has ended.
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
