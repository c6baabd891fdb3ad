//! The receive state of one RTP stream: extended sequence numbers and replay window.

use super::replay::ReplayWindow;

/// The receiving state of one SSRC: rollover counter and replay window of 1024 packets.
///
/// To open a packet of an unknown SSRC, use the one that [`RtpStreams::guesses`](super::RtpStreams::guesses) yields, and
/// keep it only if that succeeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RtpStream {
    window: ReplayWindow,
    last_opened: u64,
}

impl RtpStream {
    /// The state of a stream that continues behind the index `highest`. Packets up to that index count as opened.
    pub(super) fn after(highest: u64) -> RtpStream {
        RtpStream { window: ReplayWindow::after(highest), last_opened: highest }
    }

    /// The highest index opened; `None` before the first packet.
    pub(super) fn highest(&self) -> Option<u64> {
        self.window.highest()
    }

    /// The 48-bit index (rollover counter and sequence number) of the packet opened last, which is not necessarily the
    /// highest; 0 before the first.
    pub(crate) fn last_opened(&self) -> u64 {
        self.last_opened
    }

    /// RFC 3711 §3.3.1: the index that `sequence_number` refers to, judged from the highest opened one. `None` if it
    /// would be before the first possible index or after the last.
    pub(crate) fn index_of(&self, sequence_number: u16) -> Option<u64> {
        const HALF: u16 = 0x8000;
        let Some(highest) = self.window.highest() else {
            return Some(sequence_number.into());
        };
        let (roc, last) = ((highest >> 16) as u32, highest as u16);
        let roc = if last < HALF && sequence_number.saturating_sub(last) > HALF {
            roc.checked_sub(1)?
        } else if last >= HALF && last - HALF > sequence_number {
            roc.checked_add(1)?
        } else {
            roc
        };
        Some(u64::from(roc) << 16 | u64::from(sequence_number))
    }

    /// Whether `index` was neither opened before nor is too old to tell.
    pub(crate) fn is_new(&self, index: u64) -> bool {
        self.window.is_new(index)
    }

    /// Notes that the packet with this index is authentic, whether it arrived itself or within a retransmission.
    pub(crate) fn mark_opened(&mut self, index: u64) {
        self.window.mark(index);
        self.last_opened = index;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_packet_has_rollover_counter_zero() {
        assert_eq!(RtpStream::default().index_of(0xfff0), Some(0xfff0));
    }

    #[test]
    fn there_is_no_index_before_the_first() {
        assert_eq!(stream_at(3).index_of(0xffff), None);
    }

    #[test]
    fn there_is_no_index_after_the_last() {
        assert_eq!(stream_at((1 << 48) - 1).index_of(0), None);
    }

    proptest! {
        #[test]
        fn an_index_near_the_highest_is_found(
            highest in 0x1_0000_u64..1 << 47,
            distance in -0x7fff_i64..0x8000,
        ) {
            let index = highest.wrapping_add_signed(distance);
            prop_assert_eq!(stream_at(highest).index_of(index as u16), Some(index));
        }
    }

    fn stream_at(index: u64) -> RtpStream {
        let mut stream = RtpStream::default();
        stream.mark_opened(index);
        stream
    }
}
