//! Replay protection: which packets were already opened (RFC 3711 §3.3.2).

/// Remembers which of the last [`ReplayWindow::PACKETS`] indexes were opened.
///
/// A ring of bits: index `i` is bit `i mod PACKETS`. Moving the window clears the bits it moves over, so it costs as
/// much as the gap, not as the window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ReplayWindow {
    /// The highest opened index plus one; 0 before the first.
    end: u64,
    bits: [u64; ReplayWindow::PACKETS as usize / 64],
}

impl ReplayWindow {
    /// How many packets late a packet may arrive. RFC 3711 requires at least 64; retransmissions of a fast video stream
    /// arrive hundreds of packets late.
    pub(super) const PACKETS: u64 = 1024;

    /// A window in which every index up to `highest` counts as opened.
    pub(super) fn after(highest: u64) -> ReplayWindow {
        let bits = [u64::MAX; ReplayWindow::PACKETS as usize / 64];
        ReplayWindow { end: highest + 1, bits }
    }

    /// The highest opened index.
    pub(super) fn highest(&self) -> Option<u64> {
        self.end.checked_sub(1)
    }

    /// Whether `index` was neither opened before nor is too old to tell.
    pub(super) fn is_new(&self, index: u64) -> bool {
        let (word, bit) = position(index);
        index >= self.end
            || (self.end - index <= ReplayWindow::PACKETS && self.bits[word] & bit == 0)
    }

    /// Remembers `index`, which must be [new](ReplayWindow::is_new).
    pub(super) fn mark(&mut self, index: u64) {
        if index >= self.end {
            self.move_to(index + 1);
        }
        let (word, bit) = position(index);
        self.bits[word] |= bit;
    }

    fn move_to(&mut self, end: u64) {
        if end - self.end >= ReplayWindow::PACKETS {
            self.bits.fill(0);
        } else {
            for index in self.end..end {
                let (word, bit) = position(index);
                self.bits[word] &= !bit;
            }
        }
        self.end = end;
    }
}

fn position(index: u64) -> (usize, u64) {
    let slot = index % ReplayWindow::PACKETS;
    ((slot / 64) as usize, 1 << (slot % 64))
}

/// The replay windows of a peer's RTCP, one per sender SSRC, the most recently used at the end.
///
/// There are at most [`RtcpSenders::MAX`]; beyond, the one unused for the longest time is dropped. Only authentic
/// packets get here, so only the peer itself can cause that, and the only effect is that old reports of its own are
/// accepted twice.
#[derive(Debug, Default)]
pub(super) struct RtcpSenders(Vec<(u32, ReplayWindow)>);

impl RtcpSenders {
    const MAX: usize = 64;

    pub(super) fn is_new(&self, ssrc: u32, index: u32) -> bool {
        self.0.iter().all(|(known, window)| *known != ssrc || window.is_new(index.into()))
    }

    /// Remembers `index`, which must be [new](RtcpSenders::is_new).
    pub(super) fn mark_opened(&mut self, ssrc: u32, index: u32) {
        match self.0.iter().position(|(known, _)| *known == ssrc) {
            Some(at) => self.0[at..].rotate_left(1),
            None => {
                if self.0.len() == RtcpSenders::MAX {
                    self.0.remove(0);
                }
                self.0.push((ssrc, ReplayWindow::default()));
            }
        }
        if let Some((_, window)) = self.0.last_mut() {
            window.mark(index.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_index_is_new_once() {
        let mut window = ReplayWindow::default();

        window.mark(0);
        window.mark(7);

        assert!(!window.is_new(0));
        assert!(window.is_new(6));
        assert!(!window.is_new(7));
        assert!(window.is_new(8));
    }

    #[test]
    fn an_index_behind_the_window_is_refused() {
        let mut window = ReplayWindow::default();

        window.mark(ReplayWindow::PACKETS + 10);

        assert!(!window.is_new(10));
        assert!(window.is_new(11));
    }

    #[test]
    fn the_rtcp_sender_silent_for_the_longest_time_is_dropped() {
        let mut senders = RtcpSenders::default();
        for ssrc in 0..RtcpSenders::MAX as u32 {
            senders.mark_opened(ssrc, 5);
        }
        senders.mark_opened(0, 6);

        senders.mark_opened(1000, 5);

        assert_eq!(senders.0.len(), RtcpSenders::MAX);
        assert!(!senders.is_new(0, 5), "heard again, so kept");
        assert!(senders.is_new(1, 5), "silent longest, so forgotten");
        assert!(!senders.is_new(1000, 5));
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set(steps in prop::collection::vec(-1500_i64..1500, 1..300)) {
            let mut window = ReplayWindow::default();
            let mut seen = BTreeSet::new();
            let mut at = 5_000_i64;
            for step in steps {
                at = (at + step).max(0);
                let index = at as u64;
                let highest = seen.last().copied();
                let expected = !seen.contains(&index)
                    && highest.is_none_or(|highest| index + ReplayWindow::PACKETS > highest);

                prop_assert_eq!(window.is_new(index), expected);
                if expected {
                    window.mark(index);
                    seen.insert(index);
                }
                prop_assert_eq!(window.highest(), seen.last().copied());
            }
        }
    }
}
