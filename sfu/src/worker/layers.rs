//! Simulcast: switches each slot between the layers of its source, as the receiver's bandwidth allows.
//!
//! Each layer of a source is a track (RFC 8853). A slot subscribes to the layer that it carries, and to the one it is
//! to switch to. It switches at a key frame of the new layer, and carries the old one until then.

use std::time::{Duration, Instant};

use super::Worker;
use super::message::{LayerRate, Remote};
use super::peer::{Link, Peer};
use crate::bandwidth::layer_choice::{Basis, Ladder, Rates};
use crate::incoming::track;
use crate::keys::WorkerNumber;
use crate::keys::{SlotKey, TrackKey};
use crate::sdp::MAX_LAYERS;
use crate::{MediaKind, PeerId};

/// How often layers are chosen.
const REVIEW_INTERVAL: Duration = Duration::from_millis(250);

/// The open layers of a source, the lowest first, as far as known.
pub(super) type Layers = [Option<TrackKey>; MAX_LAYERS];

/// A slot that shows a simulcast source.
struct Choice {
    /// The index among the receiver's slots.
    slot: usize,
    layers: Layers,
    ladder: Ladder,
}

impl Worker {
    /// Chooses the layers of all receivers, if it is time to.
    pub(super) fn review_layers(&mut self, now: Instant) {
        if self.layers_at.is_some_and(|at| now < at) {
            return;
        }
        self.layers_at = Some(now + REVIEW_INTERVAL);
        for key in 0..self.peers.capacity() {
            if self.peers.contains(key) {
                if let Peer { link: Link::Direct(_), tracks, .. } = &mut self.peers[key] {
                    track::rank_layers(now, tracks);
                }
                self.tell_rates(now, key);
                self.report_codecs(now, key);
                self.choose_layers(now, key);
            }
        }
        self.count_estimates(now);
    }

    fn count_estimates(&mut self, now: Instant) {
        let connections = self.peers.iter().filter_map(|(_, peer)| peer.link.connection());
        let bases = connections.filter_map(|connection| connection.chooser.basis(now));
        let (mut by_feedback, mut by_receiver, mut by_loss) = (0, 0, 0);
        for basis in bases {
            match basis {
                Basis::Feedback => by_feedback += 1,
                Basis::Receiver => by_receiver += 1,
                Basis::Loss => by_loss += 1,
            }
        }
        self.stats.estimated_by_feedback = by_feedback;
        self.stats.estimated_by_receiver = by_receiver;
        self.stats.estimated_by_loss = by_loss;
    }

    /// Chooses the layers of one receiver's slots, and starts the switches.
    pub(super) fn choose_layers(&mut self, now: Instant, key: usize) {
        let Some((others, slots)) = self.ladders(now, key) else {
            return;
        };
        let Some(connection) = self.peers[key].link.connection_mut() else {
            return;
        };
        let ladders: Vec<Ladder> = slots.iter().map(|choice| choice.ladder).collect();
        let chosen = connection.chooser.choose(now, others, &ladders);
        for (Choice { slot, layers, ladder }, layer) in slots.into_iter().zip(chosen) {
            if layer != ladder.layer {
                self.turn_to(now, SlotKey { peer: key, slot }, layers[layer]);
            }
        }
    }

    /// The simulcast slots of a connected receiver, and the bitrate of everything else that it gets and that the
    /// estimate covers, in bits per second. `None` without such slots.
    fn ladders(&self, now: Instant, key: usize) -> Option<(u64, Vec<Choice>)> {
        let peer = self.peers.get(key).filter(|peer| peer.link.keys().is_some())?;
        let basis = peer.link.connection()?.chooser.basis(now);
        let mut others = 0;
        let mut choices = Vec::new();
        for (at, slot) in peer.slots.iter().enumerate() {
            let is_estimated = slot.kind == MediaKind::Video || basis == Some(Basis::Feedback);
            let Some(source) = slot.source().filter(|_| is_estimated) else {
                continue;
            };
            let publisher = &self.peers[source.peer];
            let rate = |track: TrackKey| publisher.tracks[track.track].bitrate.bits_per_second(now);
            if publisher.tracks[source.track].rid.is_none() {
                others += rate(source).unwrap_or_default();
                continue;
            }
            let layers = self.layers_of(source);
            let present = Some(slot.next().unwrap_or(source));
            let is_steady = |layer: TrackKey| publisher.tracks[layer.track].bitrate.is_steady(now);
            let has_begun = !layers.iter().flatten().any(|&layer| is_steady(layer));
            // A layer that starts later than its source is not offered at once to receivers that have another layer.
            let is_ripe =
                |layer: &TrackKey| has_begun || is_steady(*layer) || Some(*layer) == present;
            let can_show =
                |layer: &TrackKey| self.can_show(SlotKey { peer: key, slot: at }, *layer);
            let rates: Rates = layers.map(|layer| rate(layer.filter(is_ripe).filter(can_show)?));
            let layer = layers.iter().position(|layer| *layer == present).unwrap_or_default();
            choices.push(Choice { slot: at, layers, ladder: Ladder { rates, layer } });
        }
        (!choices.is_empty()).then_some((others, choices))
    }

    /// The open tracks of the same source.
    pub(super) fn layers_of(&self, track: TrackKey) -> Layers {
        let tracks = &self.peers[track.peer].tracks;
        let mid = &tracks[track.track].mid;
        let is_layer = |place: &usize| tracks[*place].is_open && tracks[*place].mid == *mid;
        let mut places = (0..tracks.len()).filter(is_layer);
        let mut layers =
            [(); MAX_LAYERS].map(|()| Some(TrackKey { peer: track.peer, track: places.next()? }));
        layers.sort_by_key(|layer| layer.map_or(u8::MAX, |key| tracks[key.track].quality.rank));
        layers
    }

    /// The lowest layer that is being sent; the first one if none is.
    pub(super) fn least_layer(&self, now: Instant, track: TrackKey) -> TrackKey {
        let is_active =
            |layer: &TrackKey| self.peers[layer.peer].tracks[layer.track].bitrate.is_active(now);
        let layers = self.layers_of(track);
        layers.into_iter().flatten().find(is_active).or(layers[0]).unwrap_or(track)
    }

    /// Switches to another layer as soon as there is a key frame of it.
    fn turn_to(&mut self, now: Instant, to: SlotKey, layer: Option<TrackKey>) {
        let source = self.peers[to.peer].slots[to.slot].source();
        self.aim(to, layer.filter(|_| layer != source));
        if let Some(layer) = self.peers[to.peer].slots[to.slot].next()
            && !self.catch_up(now, to, layer)
        {
            self.want_key_frame(now, layer);
        }
    }

    /// Sets the layer that a slot waits for.
    pub(super) fn aim(&mut self, to: SlotKey, next: Option<TrackKey>) {
        let slot = &mut self.peers[to.peer].slots[to.slot];
        let before = slot.next();
        if before == next {
            return;
        }
        slot.set_next(next);
        if let Some(before) = before {
            self.unsubscribe(before, to);
        }
        if let Some(next) = next {
            self.subscribe(next, to);
        }
    }

    /// A layer has ended: its slots switch to the layer that they wait for, else to another one of the source.
    pub(super) fn leave_layer(&mut self, slot: SlotKey, over: TrackKey, other: Option<TrackKey>) {
        let found = &self.peers[slot.peer].slots[slot.slot];
        if found.next() == Some(over) {
            self.aim(slot, None);
        } else if found.source() == Some(over) {
            let next = found.next().or(other);
            self.put(slot, next);
        } else {
            self.unsubscribe(over, slot);
        }
    }

    /// Unsubscribes slots from the layers that they have left.
    pub(super) fn leave_passed_layers(&mut self) {
        while let Some((layer, slot)) = self.passed_layers.pop() {
            let peer = self.peers.get(slot.peer);
            let found = peer.and_then(|peer| peer.slots.get(slot.slot));
            let is_back = |found: &crate::outgoing::slot::Slot| {
                found.source() == Some(layer) || found.next() == Some(layer)
            };
            if !found.is_some_and(is_back) {
                self.unsubscribe(layer, slot);
            }
        }
    }

    /// Tells the other workers of the room the bitrates of a publisher's layers, since not all of the layers are handed
    /// over.
    fn tell_rates(&mut self, now: Instant, key: usize) {
        let peer = &self.peers[key];
        let is_simulcast = peer.tracks.iter().any(|track| track.rid.is_some());
        let room = self.rooms.get(&peer.room).filter(|_| is_simulcast);
        let (Some(room), Link::Direct(_)) = (room, &peer.link) else {
            return;
        };
        for &to in &room.elsewhere {
            let layers = peer.tracks.iter().enumerate().filter(|(_, track)| track.rid.is_some());
            let rates = layers.map(|(place, track)| LayerRate {
                place,
                bits_per_second: track.bitrate.bits_per_second(now),
                rank: track.quality.rank,
            });
            self.lanes[to].post(Remote::Rates { peer: peer.id, rates: rates.collect() });
        }
    }

    /// Takes the bitrates of the layers of another worker's publisher.
    pub(super) fn take_rates(
        &mut self,
        now: Instant,
        from: WorkerNumber,
        publisher: PeerId,
        rates: &[LayerRate],
    ) {
        let Some(&key) = self.by_remote_id.get(&publisher) else {
            return;
        };
        let peer = &mut self.peers[key];
        if !matches!(peer.link, Link::Through(worker) if worker == from) {
            return;
        }
        for &LayerRate { place, bits_per_second, rank } in rates {
            if let Some(track) = peer.tracks.get_mut(place) {
                track.bitrate.tell(now, bits_per_second);
                track.quality.rank = rank;
            }
        }
    }

    /// A publisher reports that one of its streams has ended (RTCP BYE); it may start again. Stops waiting for its
    /// packets.
    pub(super) fn stream_ended(&mut self, key: usize, ssrc: u32) {
        let peer = &mut self.peers[key];
        let Some(place) = peer.streams.iter().position(|stream| stream.ssrc == ssrc) else {
            return;
        };
        let track = peer.streams[place].track;
        peer.streams[place].end();
        peer.tracks[track].end(peer.streams[place].id);
        if peer.tracks[track].live_ssrc().is_some() {
            return;
        }
        let (id, room) = (peer.id, peer.room);
        let ended = &mut peer.tracks[track];
        ended.bitrate.end();
        ended.key_frames.satisfied();
        for &to in &ended.elsewhere {
            self.lanes[to].post(Remote::Ended { peer: id, ssrc });
        }
        let is_audio = ended.kind == MediaKind::Audio;
        if let Some(room) = self.rooms.get_mut(&room).filter(|_| is_audio) {
            room.speakers.fell_silent(TrackKey { peer: key, track });
        }
    }
}
