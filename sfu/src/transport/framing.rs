//! Framing of datagrams on a byte stream, each behind its length in 16 bits: RFC 4571 §2, used by ICE-TCP (RFC 6544
//! §10.1).

use std::collections::VecDeque;

use super::batch::MAX_PACKET;
use super::path::{Protocol, demux};

/// Bytes of the length in front of a datagram.
const PREFIX: usize = 2;
/// The most bytes that wait for a slow reader (back-pressure): one second at 1 Mbit/s. Datagrams beyond that are
/// dropped whole, as on a network; the reader requests them again, or a key frame.
const MAX_BACKLOG: usize = 128 * 1024;
/// The part of the backlog that large media packets leave to everything else.
const RESERVE: usize = 32 * 1024;
/// Media packets up to this length are mostly audio, which has priority over video.
const SMALL: usize = 400;
/// Memory that an empty backlog keeps.
const KEPT: usize = 8 * 1024;

/// Splits a received stream into datagrams, wherever TCP has divided it.
#[derive(Debug, Default)]
pub(crate) struct Deframer {
    /// The datagram being received, with its length in front.
    datagram: Vec<u8>,
    /// Bytes left to skip of a datagram that is longer than [`MAX_PACKET`].
    to_skip: usize,
    has_skipped: bool,
}

impl Deframer {
    /// Takes bytes from the front of `stream` until a datagram is complete or none are left.
    pub(crate) fn next(&mut self, stream: &mut &[u8]) -> Option<&mut [u8]> {
        if self.missing() == 0 {
            self.datagram.clear();
        }
        loop {
            let skipped = take(stream, self.to_skip).len();
            self.to_skip -= skipped;
            if stream.is_empty() {
                return None;
            }
            let missing = self.missing();
            self.datagram.extend_from_slice(take(stream, missing));
            match self.length() {
                // A datagram that long is never stored.
                Some(length) if length > MAX_PACKET => {
                    self.has_skipped = true;
                    self.to_skip = length;
                    self.datagram.clear();
                }
                // RFC 4571 §2: a null packet.
                Some(0) => self.datagram.clear(),
                Some(_) if self.missing() == 0 => return Some(&mut self.datagram[PREFIX..]),
                Some(_) | None => {}
            }
        }
    }

    /// Whether a datagram longer than [`MAX_PACKET`] was announced.
    pub(crate) fn has_skipped(&self) -> bool {
        self.has_skipped
    }

    /// The length prefix, once it is complete.
    fn length(&self) -> Option<usize> {
        self.datagram.first_chunk().map(|prefix| usize::from(u16::from_be_bytes(*prefix)))
    }

    /// Bytes missing to complete the prefix, or else the datagram.
    fn missing(&self) -> usize {
        self.length().map_or(PREFIX, |length| PREFIX + length) - self.datagram.len()
    }
}

/// The first datagram of a stream, once it is complete.
pub(crate) fn first(stream: &[u8]) -> Option<&[u8]> {
    let (length, rest) = stream.split_first_chunk()?;
    rest.get(..u16::from_be_bytes(*length).into())
}

fn take<'a>(stream: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = stream.split_at(length.min(stream.len()));
    *stream = rest;
    taken
}

/// The send queue of a stream: whole datagrams, the first of which may be partly written.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    bytes: VecDeque<u8>,
}

impl Backlog {
    /// Appends a datagram; `false` if there is no room for it.
    pub(crate) fn push(&mut self, datagram: &[u8]) -> bool {
        let is_large_media = datagram.len() > SMALL && demux(datagram) == Some(Protocol::Rtp);
        let limit = if is_large_media { MAX_BACKLOG - RESERVE } else { MAX_BACKLOG };
        let Ok(length) = u16::try_from(datagram.len()) else {
            return false;
        };
        if self.bytes.len() + PREFIX + datagram.len() > limit {
            return false;
        }
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(datagram);
        true
    }

    /// The bytes to write next, in two parts; both are empty if nothing waits.
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes.as_slices()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Removes the first `length` bytes, which have been written.
    pub(crate) fn written(&mut self, length: usize) {
        self.bytes.drain(..length.min(self.bytes.len()));
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(datagrams: &[Vec<u8>]) -> Vec<u8> {
        let frame = |datagram: &Vec<u8>| {
            let length = (datagram.len() as u16).to_be_bytes();
            length.iter().chain(datagram).copied().collect::<Vec<u8>>()
        };
        datagrams.iter().flat_map(frame).collect()
    }

    fn datagrams<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let mut deframer = Deframer::default();
        let mut found = Vec::new();
        for mut piece in pieces {
            while let Some(datagram) = deframer.next(&mut piece) {
                found.push(datagram.to_vec());
            }
            assert!(deframer.datagram.capacity() <= 2 * (PREFIX + MAX_PACKET));
        }
        found
    }

    #[test]
    fn datagrams_are_found_wherever_the_stream_is_divided() {
        let sent = [vec![1], vec![2; 300], vec![3; MAX_PACKET], vec![4, 4]];
        let stream = framed(&sent);
        for cut in 0..=stream.len() {
            let (first, second) = stream.split_at(cut);
            assert_eq!(datagrams([first, second].into_iter()), sent, "cut at {cut}");
        }
        assert_eq!(datagrams(stream.chunks(1)), sent);
    }

    #[test]
    fn the_first_datagram_is_returned_once_it_is_complete() {
        let stream = framed(&[vec![1, 2, 3], vec![4]]);
        for length in 0..=stream.len() {
            let expected = (length >= 5).then_some(&[1, 2, 3][..]);
            assert_eq!(first(&stream[..length]), expected, "{length}");
        }
    }

    #[test]
    fn null_packets_and_excessive_lengths_are_skipped() {
        let sent =
            [vec![], vec![7; 65_535], vec![1, 2, 3], vec![8; MAX_PACKET + 1], vec![], vec![9]];
        let stream = framed(&sent);
        for size in [1, 2, 3, 1000, stream.len()] {
            assert_eq!(datagrams(stream.chunks(size)), [vec![1, 2, 3], vec![9]], "{size}");
        }
    }

    #[test]
    fn a_full_backlog_takes_whole_datagrams_or_nothing() {
        let mut backlog = Backlog::default();
        let video = [0x80; 1200];
        let audio = [0x80; 100];
        let taken_video = (0..1000).filter(|_| backlog.push(&video)).count();
        assert_eq!(taken_video, (MAX_BACKLOG - RESERVE) / (PREFIX + video.len()));
        let taken_audio = (0..1000).filter(|_| backlog.push(&audio)).count();
        assert!(taken_audio * audio.len() > RESERVE / 2, "audio has room when video has not");
        assert!(!backlog.push(&[22; 1200]), "the bound holds for handshakes, too");

        let mut stream = Vec::new();
        while !backlog.is_empty() {
            let written = backlog.parts().0.len().min(777);
            stream.extend_from_slice(&backlog.parts().0[..written]);
            backlog.written(written);
        }
        assert_eq!(datagrams([stream.as_slice()].into_iter()).len(), taken_video + taken_audio);
        assert!(backlog.bytes.capacity() <= 2 * KEPT);
        assert!(backlog.push(&video));
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_it_panic(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..8)
        ) {
            let found = datagrams(pieces.iter().map(Vec::as_slice));
            prop_assert!(found.iter().all(|datagram| (1..=MAX_PACKET).contains(&datagram.len())));
        }
    }
}
