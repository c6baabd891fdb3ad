//! Media that must not be forwarded: a microphone muted or a camera switched off by somebody else.
//!
//! Packets are dropped on arrival, so that no later step has to check. Statistics and feedback continue, so that the
//! client's bandwidth estimation is intact when its media is permitted again.

use std::time::Instant;

use super::Worker;
use super::message::Remote;
use super::peer::Link;
use crate::incoming::track::KeyFrameRequests;
use crate::keys::TrackKey;
use crate::keys::WorkerNumber;
use crate::{MediaKind, Mid, PeerId};

impl Worker {
    /// Sets whether the media of an m-line is forwarded; see [`crate::io::Handle::permit`].
    pub(crate) fn permit(&mut self, now: Instant, id: PeerId, mid: &Mid, is_permitted: bool) {
        let Some(&key) = self.by_id.get(&id) else {
            return;
        };
        let room = self.rooms.get(&self.peers[key].room);
        for &to in room.iter().flat_map(|room| &room.elsewhere) {
            self.lanes[to].post(Remote::Permit { peer: id, mid: mid.clone(), is_permitted });
        }
        self.set_permission(now, key, mid, is_permitted);
    }

    /// Applies the permission set at the publisher's worker. For an unknown peer, it comes with what the peer
    /// publishes.
    pub(super) fn permit_elsewhere(
        &mut self,
        now: Instant,
        from: WorkerNumber,
        id: PeerId,
        mid: &Mid,
        is_permitted: bool,
    ) {
        if let Some(&key) = self.by_remote_id.get(&id)
            && matches!(self.peers[key].link, Link::Through(worker) if worker == from)
        {
            self.set_permission(now, key, mid, is_permitted);
        }
    }

    fn set_permission(&mut self, now: Instant, key: usize, mid: &Mid, is_permitted: bool) {
        let peer = &mut self.peers[key];
        if !peer.permit(mid, is_permitted) {
            return;
        }
        let room = peer.room;
        for track in 0..peer.tracks.len() {
            let key = TrackKey { peer: key, track };
            let track = &mut self.peers[key.peer].tracks[track];
            if track.mid != *mid || !track.is_open {
                continue;
            }
            track.is_permitted = is_permitted;
            if is_permitted {
                self.begin_again(now, key);
            } else {
                self.silence(key);
            }
        }
        self.assign_audio(room);
    }

    /// Stops everything received on a track from being sent. Its slots keep it, unless it is audio.
    fn silence(&mut self, key: TrackKey) {
        let peer = &mut self.peers[key.peer];
        let track = &mut peer.tracks[key.track];
        track.bitrate.end();
        track.key_frames = KeyFrameRequests::default();
        let streams = peer.streams.iter_mut().filter(|stream| stream.track == key.track);
        streams.for_each(|stream| stream.forget(track.kind));
        let room = self.rooms.get_mut(&peer.room);
        if let Some(room) = room.filter(|_| track.kind == MediaKind::Audio) {
            room.speakers.remove(key);
        }
        self.burst.forget(|track| track == key);
        for slot in self.peers[key.peer].tracks[key.track].subscribers.clone() {
            self.peers[slot.peer].slots[slot.slot].interrupt();
        }
    }

    fn begin_again(&mut self, now: Instant, key: TrackKey) {
        let peer = &mut self.peers[key.peer];
        let track = &mut peer.tracks[key.track];
        match (track.kind, self.rooms.get_mut(&peer.room)) {
            (MediaKind::Audio, Some(room)) => room.speakers.add(key, peer.id),
            (MediaKind::Audio, None) => {}
            (MediaKind::Video, _) => {
                if !track.subscribers.is_empty() || !track.elsewhere.is_empty() {
                    self.want_key_frame(now, key);
                }
            }
        }
    }
}
