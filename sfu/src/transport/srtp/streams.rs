//! The SRTP state of those streams of a DTLS association that no track carries at present.
//!
//! The rollover counter of an SSRC belongs to the SRTP keys (RFC 3711 §3.2.3), not to an m-line: a browser that turns a
//! camera off and on by renegotiation keeps its SSRC and goes on counting. So the state of a stream outlives its track,
//! and ends with the keys.

use super::RtpStream;

/// The streams that were opened with the keys of one association and that no track carries, the one put aside last at
/// the end.
///
/// There are at most [`RtpStreams::MAX`]; beyond, the one put aside first is forgotten. Only authentic packets get here,
/// so only the peer itself can cause that, and the effect is that its own old stream can't continue.
#[derive(Debug, Default)]
pub(crate) struct RtpStreams(Vec<Aside>);

#[derive(Clone, Copy, Debug)]
struct Aside {
    ssrc: u32,
    /// The highest index opened.
    highest: u64,
    /// The index of the track that it carried last, if any.
    track: Option<usize>,
}

impl RtpStreams {
    /// 32 KiB. A browser uses a new SSRC only for a new sender, of which one connection may have had 240 with three
    /// layers' media and RTX each at most.
    const MAX: usize = 1024;

    /// Puts the state of a stream aside.
    pub(crate) fn put_aside(&mut self, ssrc: u32, stream: &RtpStream, track: Option<usize>) {
        let Some(highest) = stream.highest() else {
            return;
        };
        let track = track.or_else(|| self.track_of(ssrc));
        self.0.retain(|known| known.ssrc != ssrc);
        if self.0.len() == RtpStreams::MAX {
            self.0.remove(0);
        }
        self.0.push(Aside { ssrc, highest, track });
    }

    /// The track that a stream carried last. A browser names m-line and layer only until it knows that they have arrived,
    /// so a stream that comes back after a pause may say nothing.
    pub(crate) fn track_of(&self, ssrc: u32) -> Option<usize> {
        self.0.iter().find(|known| known.ssrc == ssrc)?.track
    }

    /// The states with which a packet of a stream that no track carries may be opened, the likeliest first.
    ///
    /// A stream that was put aside continues. One that is new starts with a rollover counter of zero, or of one: a
    /// sender may start close to the rollover, and its first packets may be lost.
    pub(crate) fn guesses(&self, ssrc: u32) -> impl Iterator<Item = RtpStream> {
        let known = self.0.iter().find(|known| known.ssrc == ssrc).map(|known| known.highest);
        let fresh = [RtpStream::default(), RtpStream::after(FIRST_ROLLOVER)];
        let fresh = fresh.into_iter().filter(move |_| known.is_none());
        known.map(RtpStream::after).into_iter().chain(fresh)
    }
}

/// The last index with a rollover counter of zero.
const FIRST_ROLLOVER: u64 = 0xffff;

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(index: u64) -> RtpStream {
        let mut stream = RtpStream::default();
        stream.mark_opened(index);
        stream
    }

    fn index_of(streams: &RtpStreams, ssrc: u32, number: u16) -> Vec<Option<u64>> {
        streams.guesses(ssrc).map(|stream| stream.index_of(number)).collect()
    }

    #[test]
    fn a_stream_continues_with_its_rollover_counter() {
        let mut streams = RtpStreams::default();
        streams.put_aside(7, &opened(0x3_0005), Some(2));
        streams.put_aside(7, &opened(0x3_0005), None);

        assert_eq!(streams.track_of(7), Some(2));
        assert_eq!(index_of(&streams, 7, 6), [Some(0x3_0006)]);
        assert_eq!(index_of(&streams, 7, 0xffff), [Some(0x2_ffff)]);
        assert!(!streams.guesses(7).next().unwrap().is_new(0x3_0005), "no replay");
        assert_eq!(streams.guesses(8).count(), 2, "another stream is new");
    }

    #[test]
    fn the_first_packets_of_a_new_stream_may_be_lost_around_a_rollover() {
        let streams = RtpStreams::default();
        assert_eq!(index_of(&streams, 7, 3), [Some(3), Some(0x1_0003)]);
    }

    #[test]
    fn streams_put_aside_are_bounded() {
        let mut streams = RtpStreams::default();
        for ssrc in 0..2000 {
            streams.put_aside(ssrc, &opened(0x5_0000), None);
        }
        assert_eq!(streams.0.len(), RtpStreams::MAX);
        assert_eq!(streams.guesses(1999).count(), 1);
        assert_eq!(streams.guesses(0).count(), 2, "it was forgotten");
    }
}
