//! The packet history (RTX cache) of an incoming stream: its last packets, decrypted. Packets are forwarded and
//! retransmitted from here. All receivers share it.

use std::ops::Range;

use crate::MediaKind;
use crate::rtp::Codec;
use crate::rtp::Position;
use crate::rtp::{self, Counters, Header};
use crate::sdp::{Extension, ExtensionMap};

/// Extensions of one packet that can be passed on: as many as exist for video.
const MAX_EXTENSIONS: usize = 4;

/// Bytes and packets kept per stream: 1.3 s of video at 1.5 Mbit/s and 190 packets/s, or 1.3 s of Opus. A receiver that
/// asks later than that needs a key frame anyway.
fn limits(kind: MediaKind) -> (usize, usize) {
    match kind {
        MediaKind::Video => (256 * 1024, 256),
        MediaKind::Audio => (16 * 1024, 64),
    }
}

/// A ring of packets, looked up by their extended sequence number.
pub(crate) struct History {
    /// Empty until the first packet arrives. Packets are stored back to back; none wraps around the end.
    bytes: Vec<u8>,
    /// The offset behind the last packet. Offsets keep counting when the ring starts over.
    written: u64,
    entries: Vec<Option<Entry>>,
    kind: MediaKind,
}

/// Where a packet is stored, and its metadata.
#[derive(Clone, Copy, Debug)]
struct Entry {
    position: Position,
    /// The offset of the packet's first byte.
    at: u64,
    length: usize,
    marker: bool,
    codec: Codec,
    starts_key_frame: bool,
    /// The payload's range in the packet.
    payload: (usize, usize),
    extensions: Places,
}

/// Extensions, with the start and end of each in the packet.
type Places = [Option<(Extension, usize, usize)>; MAX_EXTENSIONS];

fn place_of(extensions: &Places, wanted: Extension) -> Option<(usize, usize)> {
    let mut found = extensions.iter().flatten();
    found.find(|(extension, ..)| *extension == wanted).map(|&(_, start, end)| (start, end))
}

/// A decrypted packet, as a slot forwards it.
#[derive(Clone, Copy)]
pub(crate) struct Packet<'a> {
    pub(crate) position: Position,
    pub(crate) marker: bool,
    pub(crate) codec: Codec,
    pub(crate) starts_key_frame: bool,
    /// The payload without padding.
    pub(crate) payload: &'a [u8],
    bytes: &'a [u8],
    extensions: Places,
}

impl Packet<'_> {
    /// The header extensions that may be passed on.
    pub(crate) fn extensions(&self) -> impl Iterator<Item = (Extension, &[u8])> + Clone {
        self.extensions.iter().flatten().map(|&(kind, start, end)| (kind, &self.bytes[start..end]))
    }

    /// Whether the packet has a dependency descriptor (AV1).
    pub(crate) fn has_dependency_descriptor(&self) -> bool {
        place_of(&self.extensions, Extension::DependencyDescriptor).is_some()
    }

    /// The decrypted packet, and the range of its payload.
    pub(crate) fn whole(&self) -> (&[u8], Range<usize>) {
        let start = self.payload.as_ptr().addr() - self.bytes.as_ptr().addr();
        (self.bytes, start..start + self.payload.len())
    }
}

impl History {
    /// An empty history; it allocates when the first packet arrives.
    pub(crate) fn new(kind: MediaKind) -> History {
        History { bytes: Vec::new(), written: 0, entries: Vec::new(), kind }
    }

    /// Stores a packet, whose payload is at `payload` in `opened`, and returns whether it starts a key frame.
    pub(crate) fn keep(
        &mut self,
        index: u64,
        codec: Codec,
        header: &Header,
        extensions: &ExtensionMap,
        opened: &[u8],
        payload: Range<usize>,
    ) -> bool {
        let bytes = &opened[payload.clone()];
        let extensions = passed_on(header, extensions, opened);
        let dependency = place_of(&extensions, Extension::DependencyDescriptor);
        let dependency = dependency.map(|(start, end)| &opened[start..end]);
        let starts_key_frame = rtp::key_frame::is_key_frame(codec, bytes, dependency);
        let Some(at) = self.write(opened) else {
            return starts_key_frame;
        };
        let place = index as usize % self.entries.len();
        self.entries[place] = Some(Entry {
            position: Position {
                index,
                timestamp: header.timestamp,
                counters: Counters::read(codec, bytes, dependency),
            },
            at,
            length: opened.len(),
            marker: header.marker,
            codec,
            starts_key_frame,
            payload: (payload.start, payload.end),
            extensions,
        });
        starts_key_frame
    }

    /// Copies a packet behind the last one, over the oldest; `None` if it is longer than the whole ring.
    fn write(&mut self, opened: &[u8]) -> Option<u64> {
        if self.entries.is_empty() {
            let (bytes, packets) = limits(self.kind);
            self.bytes = vec![0; bytes];
            self.entries = vec![None; packets];
        }
        let capacity = self.bytes.len();
        let start = (self.written % capacity as u64) as usize;
        if start + opened.len() > capacity {
            self.written += (capacity - start) as u64;
        }
        let at = self.written;
        let start = (at % capacity as u64) as usize;
        self.bytes.get_mut(start..start + opened.len())?.copy_from_slice(opened);
        self.written += opened.len() as u64;
        Some(at)
    }

    /// The packet with this index, if it is still stored.
    pub(crate) fn packet(&self, index: u64) -> Option<Packet<'_>> {
        let place = (index as usize).checked_rem(self.entries.len())?;
        let entry = self.entries[place].as_ref().filter(|entry| entry.position.index == index)?;
        let capacity = self.bytes.len() as u64;
        if self.written - entry.at > capacity {
            return None;
        }
        let start = (entry.at % capacity) as usize;
        let bytes = &self.bytes[start..start + entry.length];
        Some(Packet {
            position: entry.position,
            marker: entry.marker,
            codec: entry.codec,
            starts_key_frame: entry.starts_key_frame,
            payload: &bytes[entry.payload.0..entry.payload.1],
            bytes,
            extensions: entry.extensions,
        })
    }
}

/// The ranges of the extensions that receivers may get as well. MID is not among them: it refers to the publisher's
/// m-lines, not theirs.
fn passed_on(header: &Header, map: &ExtensionMap, opened: &[u8]) -> Places {
    let mut extensions = [None; MAX_EXTENSIONS];
    let known = header.extensions(opened).filter_map(|(id, value)| {
        let extension = map.extension(id).filter(|kind| kind.is_passed_on())?;
        let at = value.as_ptr().addr() - opened.as_ptr().addr();
        Some((extension, at, at + value.len()))
    });
    extensions.iter_mut().zip(known).for_each(|(place, found)| *place = Some(found));
    extensions
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keep(history: &mut History, index: u64, payload: &[u8]) {
        let mut packet = vec![0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        packet[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        packet.extend(payload);
        let header = Header::parse(&packet).unwrap();
        let range = header.payload_range(&packet).unwrap();
        history.keep(index, Codec::Opus, &header, &ExtensionMap::default(), &packet, range);
    }

    #[test]
    fn a_packet_is_found_by_its_index_until_it_is_overwritten() {
        let mut history = History::new(MediaKind::Audio);
        assert!(history.packet(7).is_none());
        for index in 0..100 {
            keep(&mut history, index, format!("packet {index}").as_bytes());
        }
        assert_eq!(history.packet(99).unwrap().payload, b"packet 99");
        assert_eq!(history.packet(36).unwrap().payload, b"packet 36");
        assert!(history.packet(35).is_none(), "64 packets are kept");
        assert!(history.packet(100).is_none());
    }

    #[test]
    fn large_packets_push_old_ones_out() {
        let mut history = History::new(MediaKind::Audio);
        for index in 0..20 {
            keep(&mut history, index, &[index as u8; 1200]);
        }
        let kept: Vec<u64> = (0..20).filter(|&index| history.packet(index).is_some()).collect();
        assert_eq!(kept, (7..20).collect::<Vec<_>>());
    }

    proptest! {
        /// A packet that is still stored has its own bytes.
        #[test]
        fn no_packet_is_mistaken_for_another(
            sizes in proptest::collection::vec((0usize..1400, 1u64..4), 1..200)
        ) {
            let mut history = History::new(MediaKind::Audio);
            let mut index = 0;
            let mut all = Vec::new();
            for (n, (size, step)) in sizes.into_iter().enumerate() {
                index += step;
                let payload = vec![n as u8; size];
                keep(&mut history, index, &payload);
                all.push((index, payload));
                prop_assert!(history.packet(index).is_some());
            }
            for (index, payload) in all {
                if let Some(packet) = history.packet(index) {
                    prop_assert_eq!(packet.payload, &payload[..]);
                }
            }
        }
    }
}
