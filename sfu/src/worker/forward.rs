//! The packet path: from an encrypted datagram to a copy in every slot that carries its track.

use std::ops::Range;
use std::time::Instant;

use super::parcel::{self, Crossing};
use super::peer::Connection;
use super::{Worker, ntp_time};
use crate::MediaKind;
use crate::incoming::nack::Continuity;
use crate::incoming::track::Carried;
use crate::incoming::voice::Sound;
use crate::keys::{SlotKey, TrackKey};
use crate::media::clock_rate;
use crate::outgoing::slot::Forwarded;
use crate::outgoing::wire::{SendTime, Wire};
use crate::rtp::{self, Codec, Header};
use crate::sdp::Extension;
use crate::transport::batch::{MAX_PACKET, SendBatch};

/// The most packets that are forwarded together. A batch always has room for these to at least one receiver.
const BURST: usize = 64;
const _: () = assert!(parcel::PACKETS <= BURST, "what another worker hands over fits");

/// References to packets in their streams' histories that wait to be forwarded.
pub(super) struct Burst {
    packets: Vec<Arrived>,
    /// The progress of forwarding: the first packet of the current track, and the index of the next subscriber.
    cursor: (usize, usize),
    is_sorted: bool,
}

/// One packet of the burst.
#[derive(Clone, Copy)]
struct Arrived {
    track: TrackKey,
    order: usize,
    /// The index of its stream, and the stream's id, in case another stream has taken the index.
    stream: (usize, u64),
    index: u64,
}

impl Burst {
    pub(super) fn new() -> Burst {
        Burst { packets: Vec::with_capacity(BURST), cursor: (0, 0), is_sorted: false }
    }

    /// Whether no packet waits.
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// How many more packets fit.
    pub(super) fn room(&self) -> usize {
        BURST - self.packets.len()
    }

    /// Groups the packets by track, in the order of arrival.
    fn sort(&mut self) {
        if !self.is_sorted {
            let place = |packet: &Arrived| (packet.track.peer, packet.track.track, packet.order);
            self.packets.sort_unstable_by_key(place);
            self.is_sorted = true;
        }
    }

    /// The end of the packets of the track that starts at `first`.
    fn end_of_track(&self, first: usize) -> usize {
        let track = self.packets[first].track;
        first + self.packets[first..].iter().take_while(|packet| packet.track == track).count()
    }

    /// Drops the packets of a peer.
    pub(super) fn forget_peer(&mut self, peer: usize) {
        self.forget(|track| track.peer == peer);
    }

    /// Drops the packets of some tracks. In the middle of forwarding it drops all packets, since none must be sent
    /// twice.
    pub(super) fn forget(&mut self, is_over: impl Fn(TrackKey) -> bool) {
        if self.cursor == (0, 0) {
            self.packets.retain(|packet| !is_over(packet.track));
        } else {
            self.clear();
        }
    }

    fn clear(&mut self) {
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

    /// Handles an SRTP packet. Returns whether it was authentic.
    pub(super) fn handle_rtp(&mut self, now: Instant, key: usize, datagram: &mut [u8]) -> bool {
        let Some(header) = Header::parse(datagram).filter(|_| datagram.len() <= MAX_PACKET) else {
            self.stats.dropped_srtp += 1;
            return false;
        };
        let Some((place, length)) = self.open(key, &header, datagram) else {
            return false;
        };
        self.stats.rtp_received += 1;
        self.stats.rtp_received_bytes += datagram.len() as u64;

        let opened = &datagram[..length];
        let Some(payload) = header.payload_range(opened) else {
            self.stats.dropped_srtp += 1;
            return true;
        };
        self.note_transport_sequence(now, key, place, &header, opened);
        let is_within_limits =
            self.is_within_limits(key, self.peers[key].streams[place].track, datagram.len());
        let peer = &mut self.peers[key];
        let stream = &mut peer.streams[place];
        let track = &peer.tracks[stream.track];
        match track.carries(header.payload_type) {
            Some(Carried::Media(format)) => {
                let index = stream.rtp.last_opened();
                stream.reception.packet(now, index, header.timestamp, clock_rate(track.kind));
                if !is_within_limits {
                    self.note_excess(now, key, place, index);
                    return true;
                }
                let codec = format.codec;
                let track = TrackKey { peer: key, track: stream.track };
                self.note_sound(now, track, &header, opened, &payload);
                self.arrived(now, track, place, index, codec, &header, opened, payload);
            }
            Some(Carried::Retransmission(_)) if !is_within_limits => {}
            Some(Carried::Retransmission(format)) => {
                let codec = format.codec;
                self.retransmitted(now, key, place, codec, &header, opened, payload);
            }
            None => self.stats.dropped_unnegotiated += 1,
        }
        true
    }

    /// Decrypts a packet in place. Returns the index of its stream and the length of the plaintext.
    fn open(&mut self, key: usize, header: &Header, datagram: &mut [u8]) -> Option<(usize, usize)> {
        let peer = &mut self.peers[key];
        let Some(keys) = peer.link.keys() else {
            self.stats.dropped_srtp += 1;
            return None;
        };
        let Some(place) = peer.streams.iter().position(|stream| stream.ssrc == header.ssrc) else {
            return self.open_unknown(key, header, datagram);
        };
        let stream = &mut peer.streams[place].rtp;
        let Ok(length) = keys.inbound.unprotect_rtp(datagram, header.header_len, stream) else {
            self.stats.dropped_srtp += 1;
            return None;
        };
        Some((place, length))
    }

    /// Decrypts a packet of a stream that no track carries, and finds its track. Nothing is kept of an SSRC whose packet
    /// is not authentic; of one that belongs to no m-line, the SRTP state is.
    fn open_unknown(
        &mut self,
        key: usize,
        header: &Header,
        datagram: &mut [u8],
    ) -> Option<(usize, usize)> {
        let peer = &mut self.peers[key];
        let Connection { keys: Some(keys), put_aside, .. } = peer.link.connection()? else {
            return None;
        };
        let before = put_aside.track_of(header.ssrc);
        // A failed attempt leaves undefined bytes.
        let mut sealed = [0; MAX_PACKET];
        let sealed = &mut sealed[..datagram.len()];
        sealed.copy_from_slice(datagram);
        let opened = put_aside.guesses(header.ssrc).find_map(|mut stream| {
            datagram.copy_from_slice(sealed);
            let opened = keys.inbound.unprotect_rtp(datagram, header.header_len, &mut stream);
            Some((opened.ok()?, stream))
        });
        let Some((length, rtp)) = opened else {
            self.stats.dropped_srtp += 1;
            return None;
        };
        let opened = &*datagram;
        let track = peer.track_of(header.ssrc, header.payload_type, |track, kind| {
            header.extension(opened, track.extensions.id_of(kind)?)
        });
        let is_open = |track: &usize| peer.tracks.get(*track).is_some_and(|track| track.is_open);
        let Some(track) = track.or_else(|| before.filter(is_open)) else {
            peer.put_aside(header.ssrc, &rtp, None);
            self.stats.dropped_unnegotiated += 1;
            return None;
        };
        let id = self.next_stream;
        self.next_stream += 1;
        Some((peer.admit(header.ssrc, track, id, rtp), length))
    }

    fn note_transport_sequence(
        &mut self,
        now: Instant,
        key: usize,
        place: usize,
        header: &Header,
        opened: &[u8],
    ) {
        let peer = &mut self.peers[key];
        let extensions = &peer.tracks[peer.streams[place].track].extensions;
        let id = extensions.id_of(Extension::TransportSequence);
        let value = id.and_then(|id| header.extension(opened, id)?.first_chunk().copied());
        if let (Some(sequence), Some(connection)) = (value, peer.link.connection_mut()) {
            connection.arrivals.packet(now, u16::from_be_bytes(sequence));
        }
    }

    /// Takes an audio packet for active speaker detection. RFC 6464: the level is in the lower seven bits, in −dBov.
    pub(super) fn note_sound(
        &mut self,
        now: Instant,
        key: TrackKey,
        header: &Header,
        opened: &[u8],
        payload: &Range<usize>,
    ) {
        let peer = &self.peers[key.peer];
        let track = &peer.tracks[key.track];
        let Some(room) = self.rooms.get_mut(&peer.room).filter(|_| track.kind == MediaKind::Audio)
        else {
            return;
        };
        let extension = track.extensions.id_of(Extension::AudioLevel);
        let level = extension.and_then(|id| Some(header.extension(opened, id)?.first()? & 127));
        let sound = Sound { level, bytes: payload.len() };
        if room.speakers.heard(now, key, sound) {
            let room = room.id;
            self.assign_audio(room);
        }
    }

    /// Handles a retransmission in an RTX stream. RFC 4588 §4: the original sequence number is in front of the payload.
    #[expect(clippy::too_many_arguments, reason = "the parts of one packet, each computed once")]
    fn retransmitted(
        &mut self,
        now: Instant,
        key: usize,
        rtx: usize,
        codec: Codec,
        header: &Header,
        opened: &[u8],
        payload: Range<usize>,
    ) {
        let peer = &mut self.peers[key];
        let track = peer.streams[rtx].track;
        let number = opened[payload.clone()].first_chunk().copied().map(u16::from_be_bytes);
        // Without a sequence number it is padding, sent to probe the bandwidth.
        let (Some(number), Some(place)) = (number, peer.repeated_by(header.ssrc, track)) else {
            return;
        };
        let stream = &mut peer.streams[place];
        let Some(index) = stream.rtp.index_of(number).filter(|index| stream.rtp.is_new(*index))
        else {
            return;
        };
        stream.rtp.mark_opened(index);
        stream.reception.repaired();
        self.stats.rtx_received += 1;
        let payload = payload.start + 2..payload.end;
        let track = TrackKey { peer: key, track };
        self.arrived(now, track, place, index, codec, header, opened, payload);
    }

    /// Stores a packet if it may be forwarded, and adds it to the burst if it has subscribers.
    #[expect(clippy::too_many_arguments, reason = "the parts of one packet, each computed once")]
    pub(super) fn arrived(
        &mut self,
        now: Instant,
        key: TrackKey,
        place: usize,
        index: u64,
        codec: Codec,
        header: &Header,
        opened: &[u8],
        payload: Range<usize>,
    ) {
        let peer = &mut self.peers[key.peer];
        let track = &mut peer.tracks[key.track];
        let stream = &mut peer.streams[place];
        if !track.is_permitted {
            self.stats.dropped_forbidden += 1;
            return;
        }
        if !track.follows(now, stream.id, stream.ssrc) {
            self.stats.dropped_unnegotiated += 1;
            return;
        }
        track.bitrate.packet(now, opened.len());
        let codec = stream.codec_of(codec, &opened[payload.clone()]);
        let starts_key_frame =
            stream.history.keep(index, codec, header, &track.extensions, opened, payload.clone());
        for &to in &track.elsewhere {
            let crossing = Crossing {
                peer: peer.id,
                track: key.track,
                stream: stream.id,
                ssrc: stream.ssrc,
                index,
                codec,
                starts_key_frame,
                payload: payload.clone(),
            };
            let is_taken = self.lanes[to].push(track.kind, crossing, opened);
            self.stats.count_crossing(is_taken);
        }
        if starts_key_frame {
            track.key_frames.satisfied();
            let pixels = rtp::key_frame::pixels(codec, &opened[payload]);
            track.quality.pixels = pixels.or(track.quality.pixels);
            stream.starts_key_frame(index, header.timestamp);
        }
        let id = stream.id;
        if !track.subscribers.is_empty() && self.burst.packets.len() < BURST {
            let order = self.burst.packets.len();
            self.burst.packets.push(Arrived { track: key, order, stream: (place, id), index });
        }
        if track.has_nack() {
            match stream.nacks.arrived(now, index) {
                Continuity::Whole => {}
                Continuity::Gap => self.missing_from(now, key.peer),
                Continuity::Broken => self.want_key_frame(now, key),
            }
        }
    }

    /// Fills the batch, which must be empty, with datagrams to send. `false` if there are none left.
    pub(crate) fn poll_batch(&mut self, now: Instant, batch: &mut SendBatch) -> bool {
        while let Some((path, datagram)) = self.outbox.front() {
            if !batch.push_copy(*path, datagram) {
                if !batch.is_empty() {
                    return true;
                }
                // It is longer than any packet may be, and must not block the others.
                self.stats.send_refused += 1;
            }
            self.outbox.pop_front();
        }
        self.burst.sort();
        while self.burst.cursor.0 < self.burst.packets.len() {
            let (first, subscriber) = self.burst.cursor;
            let end = self.burst.end_of_track(first);
            let track = self.burst.packets[first].track;
            let publisher = self.peers.get(track.peer);
            let subscribers = publisher.map(|peer| &peer.tracks[track.track].subscribers);
            let Some(&slot) = subscribers.and_then(|slots| slots.get(subscriber)) else {
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
        self.leave_passed_layers();
        !batch.is_empty()
    }

    /// Forwards packets of a track to one slot.
    fn forward(
        &mut self,
        now: Instant,
        track: TrackKey,
        to: SlotKey,
        packets: Range<usize>,
        batch: &mut SendBatch,
    ) {
        let Some((publisher, peer)) = self.peers.get2_mut(track.peer, to.peer) else {
            return;
        };
        let Some(connection) = peer.link.connection_mut() else {
            return;
        };
        let (Some(keys), Some(path)) = (&connection.keys, connection.ice.selected()) else {
            return;
        };
        let slot = &mut peer.slots[to.slot];
        // The slot has switched to another layer.
        if slot.source() != Some(track) && slot.next() != Some(track) {
            return;
        }
        let started = self.started;
        let sent_at = SendTime::new(started.0, now);
        let mut awaits_key_frame = false;
        for arrived in &self.burst.packets[packets] {
            let (place, id) = arrived.stream;
            let Some(stream) = publisher.streams.get(place).filter(|stream| stream.id == id) else {
                continue;
            };
            let Some(packet) = stream.history.packet(arrived.index) else {
                continue;
            };
            let live = || publisher.timestamp_about(now, ntp_time(started, now), stream);
            let out = &mut batch.spare()[..MAX_PACKET];
            let number = connection.send_history.number();
            let wire = Wire { profile: keys.profile, srtp: &keys.outbound, sent_at, number };
            match slot.forward(now, id, live, &packet, wire, out) {
                Forwarded::Sent(written) => {
                    let length = written.length;
                    batch.push(path, length);
                    connection.send_history.written(sent_at, written);
                    if let Some(passed) = slot.reach(track) {
                        self.stats.count_layer(passed, track);
                        self.passed_layers.push((passed, to));
                    }
                    connection.budget.earn(length);
                    self.stats.rtp_sent += 1;
                    self.stats.rtp_sent_bytes += length as u64;
                    awaits_key_frame = false;
                }
                Forwarded::AwaitsKeyFrame => awaits_key_frame = true,
                Forwarded::Dropped => {}
            }
        }
        if awaits_key_frame {
            publisher.tracks[track.track].key_frames.want();
        }
    }
}
