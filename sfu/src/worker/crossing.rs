//! Packets of rooms that several workers share: the publisher's worker hands them over to the receivers' workers.

use std::time::Instant;

use super::Worker;
use super::message::RemoteTrack;
use super::parcel::Crossing;
use super::peer::Link;
use super::repair::MAX_CATCH_UP;
use crate::incoming::track::Track;
use crate::keys::TrackKey;
use crate::keys::WorkerNumber;
use crate::media::clock_rate;
use crate::rtp::Header;
use crate::transport::srtp::RtpStream;
use crate::{MediaKind, PeerId};

impl Worker {
    /// Another worker needs a key frame. If the cached one and all packets after it are stored, not too many, and news
    /// to that worker, they are handed over. Otherwise the publisher is asked.
    pub(super) fn key_frame_elsewhere(
        &mut self,
        now: Instant,
        from: WorkerNumber,
        track: RemoteTrack,
        known: Option<(u64, u64)>,
    ) {
        let Some((key, _)) = self.own_track(track) else {
            return;
        };
        let cached = self.peers[key.peer].since_key_frame(key.track, MAX_CATCH_UP);
        match cached.filter(|(stream, packets)| known != Some((*stream, *packets.start()))) {
            Some((stream, packets)) => self.hand_over(from, key.peer, stream, packets),
            None => self.want_key_frame(now, key),
        }
    }

    /// Another worker is missing packets.
    pub(super) fn missing_elsewhere(
        &mut self,
        from: WorkerNumber,
        id: PeerId,
        stream: u64,
        indexes: &[u64],
    ) {
        if let Some(&key) = self.by_id.get(&id) {
            self.hand_over(from, key, stream, indexes.iter().copied());
        }
    }

    /// Hands stored packets over to another worker.
    fn hand_over(
        &mut self,
        to: WorkerNumber,
        key: usize,
        stream: u64,
        indexes: impl Iterator<Item = u64>,
    ) {
        let Worker { peers, lanes, stats, .. } = self;
        let peer = &peers[key];
        let Some(stream) = peer.streams.iter().find(|known| known.id == stream) else {
            return;
        };
        let kind = peer.tracks[stream.track].kind;
        for packet in indexes.filter_map(|index| stream.history.packet(index)) {
            let (opened, payload) = packet.whole();
            let crossing = Crossing {
                peer: peer.id,
                track: stream.track,
                stream: stream.id,
                ssrc: stream.ssrc,
                index: packet.position.index,
                codec: packet.codec,
                starts_key_frame: packet.starts_key_frame,
                payload,
            };
            stats.count_crossing(lanes[to].push(kind, crossing, opened));
        }
    }

    /// Handles a packet published at another worker, as if it had just been decrypted here.
    pub(super) fn handle_crossing(
        &mut self,
        now: Instant,
        from: WorkerNumber,
        crossing: &Crossing,
        opened: &[u8],
    ) {
        let Some(&key) = self.by_remote_id.get(&crossing.peer) else {
            return;
        };
        let peer = &mut self.peers[key];
        let is_from = matches!(peer.link, Link::Through(worker) if worker == from);
        let track = peer.tracks.get_mut(crossing.track);
        let may_come = |track: &&mut Track| is_from && track.is_open && track.is_permitted;
        let Some(track) = track.filter(may_come) else {
            return;
        };
        let kind = track.kind;
        // It was sent before that worker learned that the track has no more subscribers here.
        if kind == MediaKind::Video && track.subscribers.is_empty() {
            return;
        }
        let Some(header) = Header::parse(opened) else {
            return;
        };
        let place = match peer.streams.iter().position(|stream| stream.id == crossing.stream) {
            Some(place) => place,
            // No slot can start on packets before the key frame, and they would count as received when the key frame
            // and all packets after it are handed over.
            None if kind == MediaKind::Video && !crossing.starts_key_frame => {
                self.want_key_frame(now, TrackKey { peer: key, track: crossing.track });
                return;
            }
            None => {
                let fresh = RtpStream::default();
                peer.admit(crossing.ssrc, crossing.track, crossing.stream, fresh)
            }
        };
        let (stream, index) = (&mut peer.streams[place], crossing.index);
        if !stream.rtp.is_new(index) {
            return;
        }
        stream.rtp.mark_opened(index);
        stream.reception.packet(now, index, header.timestamp, clock_rate(kind));
        let (track, payload) =
            (TrackKey { peer: key, track: crossing.track }, crossing.payload.clone());
        self.note_sound(now, track, &header, opened, &payload);
        self.arrived(now, track, place, index, crossing.codec, &header, opened, payload);
    }
}
