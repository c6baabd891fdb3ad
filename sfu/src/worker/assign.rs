//! Which source each slot carries: for video as the caller says, for audio the active speakers unless the caller pins a
//! voice.

use std::time::Instant;

use super::Worker;
use crate::incoming::track::Track;
use crate::keys::{SlotKey, TrackKey};
use crate::outgoing::slot::Slot;
use crate::{Event, MediaKind, Mid, PeerId, RoomId, Source};

impl Worker {
    /// Puts a source into a video slot, or pins one in an audio slot; see [`crate::io::Handle::assign`].
    pub(crate) fn assign(
        &mut self,
        now: Instant,
        peer: PeerId,
        slot: &Mid,
        source: Option<&Source>,
    ) {
        let Some(&key) = self.by_id.get(&peer) else {
            return;
        };
        let is_it = |candidate: &Slot| candidate.is_open && candidate.mid == *slot;
        let Some(slot) = self.peers[key].slots.iter().position(is_it) else {
            return;
        };
        let room = self.peers[key].room;
        let found = &mut self.peers[key].slots[slot];
        if found.kind == MediaKind::Audio {
            found.pinned = source.cloned();
            self.assign_audio_of(room, key);
            return;
        }
        let to = SlotKey { peer: key, slot };
        let named = source;
        let source = named.and_then(|named| self.published(room, MediaKind::Video, named));
        self.await_source(to, named.filter(|_| source.is_none()));
        let before = self.peers[key].slots[slot].source();
        let is_same = match (before, source) {
            (Some(before), Some(source)) => self.layers_of(source).contains(&Some(before)),
            (before, source) => before == source,
        };
        if is_same {
            return;
        }
        self.put(to, source.map(|source| self.least_layer(now, source)));
        self.start_slot(now, to);
    }

    /// Gives a slot the best layer that its receiver can take, and starts it on a cached key frame or requests one.
    pub(super) fn start_slot(&mut self, now: Instant, to: SlotKey) {
        self.choose_layers(now, to.peer);
        let Some(slot) = self.peers.get(to.peer).map(|peer| &peer.slots[to.slot]) else {
            return;
        };
        let is_running = slot.stream().is_some();
        if let Some(source) =
            slot.source().filter(|&source| !is_running && self.can_show(to, source))
        {
            let has_next = slot.next().is_some();
            // A key frame of a better layer was already requested.
            if !self.catch_up(now, to, source) && !has_next {
                self.want_key_frame(now, source);
            }
        }
    }

    /// The open track of a source in the same room.
    fn published(&self, room: RoomId, kind: MediaKind, source: &Source) -> Option<TrackKey> {
        let by_id = self.by_id.get(&source.peer);
        let peer = *by_id.or_else(|| self.by_remote_id.get(&source.peer))?;
        let tracks = &self.peers.get(peer).filter(|found| found.room == room)?.tracks;
        let is_it = |track: &Track| track.is_open && track.kind == kind && track.mid == source.mid;
        let track = tracks.iter().position(is_it)?;
        Some(TrackKey { peer, track })
    }

    /// Changes what a slot carries, in the tables of both receiver and publisher.
    pub(super) fn put(&mut self, key: SlotKey, source: Option<TrackKey>) {
        let before = self.peers[key.peer].slots[key.slot].source();
        if before == source {
            return;
        }
        self.aim(key, None);
        if let Some(track) = before {
            self.unsubscribe(track, key);
        }
        if let Some(track) = source {
            self.subscribe(track, key);
        }
        let slot = &mut self.peers[key.peer].slots[key.slot];
        slot.set_source(source);
        if slot.kind == MediaKind::Audio {
            self.announce_audio(key, source);
        }
    }

    /// Starts forwarding a track's packets to the slot.
    pub(super) fn subscribe(&mut self, track: TrackKey, slot: SlotKey) {
        let subscribers = &mut self.peers[track.peer].tracks[track.track].subscribers;
        if subscribers.contains(&slot) {
            return;
        }
        subscribers.push(slot);
        if subscribers.len() == 1 {
            self.wanted_changed(track);
        }
    }

    /// Stops forwarding a track's packets to the slot. The track may no longer exist.
    pub(super) fn unsubscribe(&mut self, track: TrackKey, slot: SlotKey) {
        let peer = self.peers.get_mut(track.peer);
        let Some(found) = peer.and_then(|peer| peer.tracks.get_mut(track.track)) else {
            return;
        };
        let before = found.subscribers.len();
        found.subscribers.retain(|known| *known != slot);
        if before > 0 && found.subscribers.is_empty() {
            self.wanted_changed(track);
        }
    }

    /// Fills the audio slots of a room with the pinned voices and the loudest other speakers. Slots that already carry one
    /// of them keep it.
    pub(super) fn assign_audio(&mut self, room: RoomId) {
        let Some(members) = self.rooms.get(&room).map(|room| room.peers.clone()) else {
            return;
        };
        if let Some(room) = self.rooms.get_mut(&room) {
            let slots = members.iter().map(|&peer| self.peers[peer].audio_slots());
            room.speakers.set_slots(slots);
        }
        for listener in members {
            self.assign_audio_of(room, listener);
        }
    }

    fn assign_audio_of(&mut self, room: RoomId, listener: usize) {
        let peer = &self.peers[listener];
        let is_audio =
            |at: &usize| peer.slots[*at].is_open && peer.slots[*at].kind == MediaKind::Audio;
        let slots: Vec<usize> = (0..peer.slots.len()).filter(is_audio).collect();
        let Some(room) = self.rooms.get(&room) else {
            return;
        };
        let pin_of = |slot: usize| {
            let pinned = peer.slots[slot].pinned.as_ref()?;
            let track = self.published(peer.room, MediaKind::Audio, pinned)?;
            (track.peer != listener).then_some((slot, track))
        };
        let pins: Vec<(usize, TrackKey)> = slots.iter().filter_map(|slot| pin_of(*slot)).collect();
        let is_pinned = |track: &TrackKey| pins.iter().any(|(_, pinned)| pinned == track);
        let unpinned: Vec<usize> = slots
            .into_iter()
            .filter(|slot| pins.iter().all(|(pinned, _)| pinned != slot))
            .collect();
        let loudest = room.speakers.loudest(listener).filter(|track| !is_pinned(track));
        let wanted: Vec<TrackKey> = loudest.take(unpinned.len()).collect();
        let carried = |slot: usize| peer.slots[slot].source();
        let is_wanted = |slot: &usize| carried(*slot).is_some_and(|track| wanted.contains(&track));
        let (kept, free): (Vec<usize>, Vec<usize>) = unpinned.into_iter().partition(is_wanted);
        let is_new = |track: &TrackKey| !kept.iter().any(|&slot| carried(slot) == Some(*track));
        let mut coming: Vec<TrackKey> = wanted.iter().copied().filter(is_new).rev().collect();
        for (slot, track) in pins {
            self.put(SlotKey { peer: listener, slot }, Some(track));
        }
        for slot in free {
            self.put(SlotKey { peer: listener, slot }, coming.pop());
        }
    }

    /// Reports which source an audio slot carries.
    fn announce_audio(&mut self, key: SlotKey, source: Option<TrackKey>) {
        let named = source.map(|track| {
            let publisher = &self.peers[track.peer];
            Source { peer: publisher.id, mid: publisher.tracks[track.track].mid.clone() }
        });
        let peer = &self.peers[key.peer];
        let slot = peer.slots[key.slot].mid.clone();
        self.events.push_back(Event::AudioSlot { peer: peer.id, slot, source: named });
    }
}
