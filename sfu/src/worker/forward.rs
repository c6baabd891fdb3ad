//! The packet path: from an encrypted datagram to a copy in every slot that carries its track.

use std::time::Instant;

use super::Worker;
use crate::MediaKind;
use crate::batch::{MAX_PACKET, SendBatch};
use crate::rewrite::Position;
use crate::rtp::{self, Header};
use crate::sdp::{Codec, Extension};
use crate::slot::Forwarded;
use crate::srtp::RtpStream;
use crate::track::{SlotKey, TrackKey, clock_rate};

/// Packets that are forwarded together at most. A batch holds them for one receiver at least.
const BURST: usize = 64;
/// Extensions that one packet can pass on.
const MAX_EXTENSIONS: usize = 4;

/// Decrypted packets that wait to be forwarded.
pub(super) struct Burst {
    bytes: Vec<u8>,
    packets: Vec<Arrived>,
    /// How far forwarding has come: the first packet of the current track's, and the next subscriber.
    cursor: (usize, usize),
    is_sorted: bool,
}

/// One packet of the burst; places are in its bytes.
#[derive(Clone, Copy)]
struct Arrived {
    track: TrackKey,
    order: usize,
    stream: u64,
    position: Position,
    marker: bool,
    codec: Codec,
    starts_key_frame: bool,
    payload: (usize, usize),
    extensions: [Option<(Extension, usize, usize)>; MAX_EXTENSIONS],
}

/// A decrypted packet as a slot sees it.
pub(crate) struct Packet<'a> {
    /// The incoming stream, unique in the worker.
    pub(crate) stream: u64,
    pub(crate) position: Position,
    pub(crate) marker: bool,
    pub(crate) codec: Codec,
    pub(crate) starts_key_frame: bool,
    /// Without padding.
    pub(crate) payload: &'a [u8],
    bytes: &'a [u8],
    extensions: [Option<(Extension, usize, usize)>; MAX_EXTENSIONS],
}

impl Packet<'_> {
    /// The header extensions that may be passed on.
    pub(crate) fn extensions(&self) -> impl Iterator<Item = (Extension, &[u8])> + Clone {
        self.extensions
            .iter()
            .flatten()
            .map(|&(kind, start, end)| (kind, &self.bytes[start..end]))
    }
}

impl Burst {
    pub(super) fn new() -> Burst {
        Burst {
            bytes: Vec::with_capacity(BURST * MAX_PACKET),
            packets: Vec::with_capacity(BURST),
            cursor: (0, 0),
            is_sorted: false,
        }
    }

    fn packet(&self, at: usize) -> Packet<'_> {
        let arrived = &self.packets[at];
        Packet {
            stream: arrived.stream,
            position: arrived.position,
            marker: arrived.marker,
            codec: arrived.codec,
            starts_key_frame: arrived.starts_key_frame,
            payload: &self.bytes[arrived.payload.0..arrived.payload.1],
            bytes: &self.bytes,
            extensions: arrived.extensions,
        }
    }

    /// Brings each track's packets together, in the order of arrival.
    fn sort(&mut self) {
        if !self.is_sorted {
            let place = |packet: &Arrived| (packet.track.peer, packet.track.track, packet.order);
            self.packets.sort_unstable_by_key(place);
            self.is_sorted = true;
        }
    }

    /// Where the packets of the track at `first` end.
    fn end_of_track(&self, first: usize) -> usize {
        let track = self.packets[first].track;
        first
            + self.packets[first..]
                .iter()
                .take_while(|packet| packet.track == track)
                .count()
    }

    /// Drops what a peer published; in the middle of forwarding everything, since a packet must not go out twice.
    pub(super) fn forget_peer(&mut self, peer: usize) {
        if self.cursor == (0, 0) {
            self.packets.retain(|packet| packet.track.peer != peer);
        } else {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
        self.cursor = (0, 0);
        self.is_sorted = false;
    }
}

impl Worker {
    /// Whether the burst must be forwarded before another datagram is handled.
    pub(crate) fn is_burst_full(&self) -> bool {
        self.burst.packets.len() == BURST
    }

    pub(super) fn handle_rtp(&mut self, now: Instant, key: usize, datagram: &mut [u8]) {
        let Some(header) = Header::parse(datagram).filter(|_| datagram.len() <= MAX_PACKET) else {
            self.stats.dropped_srtp += 1;
            return;
        };
        let Some((place, length)) = self.open(key, &header, datagram) else {
            return;
        };
        self.stats.rtp_received += 1;
        self.stats.rtp_received_bytes += datagram.len() as u64;

        let peer = &mut self.peers[key];
        let stream = &mut peer.streams[place];
        let track = &peer.tracks[stream.track];
        let index = stream.rtp.last_opened();
        stream
            .reception
            .packet(now, index, header.timestamp, clock_rate(track.kind));
        let Some(codec) = track.codec(header.payload_type) else {
            self.stats.dropped_unnegotiated += 1;
            return;
        };
        let (track, stream) = (
            TrackKey {
                peer: key,
                track: stream.track,
            },
            stream.id,
        );
        let opened = &datagram[..length];
        self.note_level(now, track, &header, opened);
        let Some(payload) = header.payload_range(opened) else {
            self.stats.dropped_srtp += 1;
            return;
        };
        self.keep(track, stream, index, codec, &header, opened, payload);
    }

    /// Decrypts a packet in place: the place of its stream, and the length of the plaintext. An SSRC without history
    /// is kept only when its packet proved authentic and belongs to an m-line.
    fn open(&mut self, key: usize, header: &Header, datagram: &mut [u8]) -> Option<(usize, usize)> {
        let peer = &mut self.peers[key];
        let Some(keys) = &peer.keys else {
            self.stats.dropped_srtp += 1;
            return None;
        };
        let known = peer
            .streams
            .iter()
            .position(|stream| stream.ssrc == header.ssrc);
        let mut fresh = RtpStream::default();
        let stream = match known {
            Some(place) => &mut peer.streams[place].rtp,
            None => &mut fresh,
        };
        let Ok(length) = keys
            .inbound
            .unprotect_rtp(datagram, header.header_len, stream)
        else {
            self.stats.dropped_srtp += 1;
            return None;
        };
        if let Some(place) = known {
            return Some((place, length));
        }
        let track = peer.track_of(header.ssrc, header.payload_type, |track| {
            let id = track.extensions.id_of(Extension::Mid)?;
            Some(header.extension(datagram, id)? == track.mid.as_str().as_bytes())
        });
        let Some(track) = track else {
            self.stats.dropped_unnegotiated += 1;
            return None;
        };
        let id = self.next_stream;
        self.next_stream += 1;
        Some((peer.admit(header.ssrc, track, id, fresh), length))
    }

    /// RFC 6464: the level is in the lower seven bits, in −dBov.
    fn note_level(&mut self, now: Instant, key: TrackKey, header: &Header, opened: &[u8]) {
        let peer = &self.peers[key.peer];
        let track = &peer.tracks[key.track];
        let id = match track.kind {
            MediaKind::Audio => track.extensions.id_of(Extension::AudioLevel),
            MediaKind::Video => None,
        };
        let level = id.and_then(|id| header.extension(opened, id)?.first().map(|byte| byte & 127));
        let (Some(level), Some(room)) = (level, self.rooms.get_mut(&peer.room)) else {
            return;
        };
        if room.speakers.heard(now, key, level, room.front) {
            let room = room.id;
            self.assign_audio(room);
        }
    }

    /// Puts a packet into the burst, if anybody wants it.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one packet, each computed once"
    )]
    fn keep(
        &mut self,
        key: TrackKey,
        stream: u64,
        index: u64,
        codec: Codec,
        header: &Header,
        opened: &[u8],
        payload: std::ops::Range<usize>,
    ) {
        let track = &mut self.peers[key.peer].tracks[key.track];
        let bytes = &opened[payload.clone()];
        let starts_key_frame = rtp::key_frame::is_key_frame(codec, bytes);
        if starts_key_frame {
            track.key_frames.satisfied();
        }
        if track.subscribers.is_empty() || self.burst.packets.len() == BURST {
            return;
        }
        let start = self.burst.bytes.len();
        self.burst.bytes.extend_from_slice(opened);
        let mut extensions = [None; MAX_EXTENSIONS];
        let known = header.extensions(opened).filter_map(|(id, value)| {
            let extension = track
                .extensions
                .extension(id)
                .filter(|kind| *kind != Extension::Mid)?;
            let at = start + (value.as_ptr().addr() - opened.as_ptr().addr());
            Some((extension, at, at + value.len()))
        });
        extensions
            .iter_mut()
            .zip(known)
            .for_each(|(place, found)| *place = Some(found));
        let vp8 = (codec == Codec::Vp8)
            .then(|| rtp::vp8::Descriptor::parse(bytes))
            .flatten();
        self.burst.packets.push(Arrived {
            track: key,
            order: self.burst.packets.len(),
            stream,
            position: Position {
                index,
                timestamp: header.timestamp,
                picture_id: vp8
                    .and_then(|vp8| vp8.picture_id)
                    .map_or(0, |picture| picture.value),
                tl0_pic_idx: vp8.and_then(|vp8| vp8.tl0_pic_idx).unwrap_or_default(),
            },
            marker: header.marker,
            codec,
            starts_key_frame,
            payload: (start + payload.start, start + payload.end),
            extensions,
        });
    }

    /// Fills the batch with what is to be sent. `false` when there is nothing left; the batch must be empty before.
    pub(crate) fn poll_batch(&mut self, now: Instant, batch: &mut SendBatch) -> bool {
        while let Some((path, datagram)) = self.outbox.front() {
            if !batch.push_copy(*path, datagram) {
                if batch.is_empty() {
                    // Longer than any packet may be; nothing else could be sent either while it waits.
                    self.outbox.pop_front();
                    self.stats.send_refused += 1;
                    continue;
                }
                return true;
            }
            self.outbox.pop_front();
        }
        self.burst.sort();
        while self.burst.cursor.0 < self.burst.packets.len() {
            let (first, subscriber) = self.burst.cursor;
            let end = self.burst.end_of_track(first);
            let track = self.burst.packets[first].track;
            let subscribers = self
                .peers
                .get(track.peer)
                .map(|peer| &peer.tracks[track.track].subscribers);
            let Some(&slot) = subscribers.and_then(|subscribers| subscribers.get(subscriber))
            else {
                self.burst.cursor = (end, 0);
                continue;
            };
            if !batch.has_room_for(end - first) {
                return true;
            }
            self.forward(now, track, slot, first..end, batch);
            self.burst.cursor.1 += 1;
        }
        self.burst.clear();
        !batch.is_empty()
    }

    /// Copies a track's packets into one slot.
    fn forward(
        &mut self,
        now: Instant,
        track: TrackKey,
        to: SlotKey,
        packets: std::ops::Range<usize>,
        batch: &mut SendBatch,
    ) {
        let Some(peer) = self.peers.get_mut(to.peer) else {
            return;
        };
        let (Some(keys), Some(path)) = (&peer.keys, peer.ice.selected()) else {
            return;
        };
        let slot = &mut peer.slots[to.slot];
        let mut awaits_key_frame = false;
        for at in packets {
            let packet = self.burst.packet(at);
            let out = &mut batch.spare()[..MAX_PACKET];
            match slot.forward(now, &packet, (keys.profile, &keys.outbound), out) {
                Forwarded::Sent(length) => {
                    batch.push(path, length);
                    self.stats.rtp_sent += 1;
                    self.stats.rtp_sent_bytes += length as u64;
                    awaits_key_frame = false;
                }
                Forwarded::AwaitsKeyFrame => awaits_key_frame = true,
                Forwarded::Dropped => {}
            }
        }
        if awaits_key_frame {
            self.peers[track.peer].tracks[track.track].key_frames.want();
        }
    }
}
