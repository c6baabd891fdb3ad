//! The codecs that the receivers of a room can decode.

use std::cmp::Reverse;

use super::Codec;

/// The codecs of each receiver of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receivers {
    /// Distinct lists, and the number of receivers with each: few, because most receivers are browsers of a few kinds.
    lists: Vec<(Vec<Codec>, usize)>,
}

impl Receivers {
    /// Adds a receiver that negotiated these codecs.
    pub fn add(&mut self, codecs: Vec<Codec>) {
        match self.lists.iter_mut().find(|(known, _)| *known == codecs) {
            Some((_, count)) => *count += 1,
            None => self.lists.push((codecs, 1)),
        }
    }

    /// The number of receivers.
    pub fn count(&self) -> usize {
        self.lists.iter().map(|(_, count)| count).sum()
    }

    /// The number of receivers that can decode a stream.
    pub fn decoding(&self, stream: Codec) -> usize {
        let able = self.lists.iter().filter(|(codecs, _)| can_decode(codecs, stream));
        able.map(|(_, count)| count).sum()
    }

    /// Sorts what a publisher can send: what most receivers can decode comes first. Equals keep their order, which is
    /// the publisher's preference.
    pub(crate) fn sort<T>(&self, streams: &mut [T], codec: impl Fn(&T) -> Codec) {
        streams.sort_by_cached_key(|stream| Reverse(self.decoding(codec(stream))));
    }

    /// The fewest of these codecs with which a publisher reaches as many receivers as with all of them, the one that
    /// reaches most first. Where several are equally good, the first of them. (A greedy choice: it may take one codec
    /// more than needed for three or more codecs.)
    pub fn cover(&self, streams: &[Codec]) -> Vec<Codec> {
        let mut missing: Vec<&(Vec<Codec>, usize)> = self.lists.iter().collect();
        let mut chosen = Vec::new();
        loop {
            let reached = |stream: Codec| -> usize {
                let able = missing.iter().filter(|(codecs, _)| can_decode(codecs, stream));
                able.map(|(_, count)| count).sum()
            };
            // Of equal maxima, `max_by_key` takes the last one.
            let best = streams.iter().rev().max_by_key(|stream| reached(**stream));
            let Some(&best) = best.filter(|stream| reached(**stream) > 0) else {
                return chosen;
            };
            missing.retain(|(codecs, _)| !can_decode(codecs, best));
            chosen.push(best);
        }
    }
}

/// Whether one of a receiver's codecs decodes a stream.
fn can_decode(receiver: &[Codec], stream: Codec) -> bool {
    receiver.iter().any(|own| own.decodes(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VP8: Codec = Codec::Vp8;
    const VP9: Codec = Codec::Vp9 { profile: 0 };
    const AV1: Codec = Codec::Av1 { profile: 0 };
    const H264: Codec = Codec::H264 { packetization_mode: 1, profile: [0x42, 0xe0] };

    fn room(receivers: &[&[Codec]]) -> Receivers {
        let mut room = Receivers::default();
        receivers.iter().for_each(|codecs| room.add(codecs.to_vec()));
        room
    }

    #[test]
    fn what_most_receivers_decode_comes_first() {
        let room = room(&[&[VP8, H264], &[VP8], &[VP8, H264]]);
        let sorted = |mut codecs: [Codec; 3]| {
            room.sort(&mut codecs, |codec| *codec);
            codecs
        };
        assert_eq!(sorted([AV1, H264, VP8]), [VP8, H264, AV1]);
        assert_eq!(sorted([AV1, VP9, VP8]), [VP8, AV1, VP9], "equals keep their order");
        assert_eq!((room.count(), room.decoding(H264), room.decoding(AV1)), (3, 2, 0));
    }

    #[test]
    fn the_fewest_codecs_cover_the_receivers() {
        for (receivers, streams, expected) in [
            (&[&[VP8, H264][..], &[VP8]][..], &[H264, VP8][..], &[VP8][..]),
            (&[&[H264], &[VP8], &[VP8]], &[H264, VP8], &[VP8, H264]),
            (&[&[VP8, H264]], &[H264, VP8], &[H264]),
            (&[&[H264], &[VP8]], &[VP8], &[VP8]),
            (&[&[H264]], &[VP8, VP9], &[]),
            (&[], &[VP8], &[]),
        ] {
            assert_eq!(room(receivers).cover(streams), expected, "{receivers:?} {streams:?}");
        }
    }
}
