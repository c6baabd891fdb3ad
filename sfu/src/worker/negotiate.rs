//! Peers come, change and go: offers, the assignment of sources to slots, and the end.

use std::time::Instant;

use rand::RngExt;

use super::{TICK, Worker};
use crate::budget::Budget;
use crate::feedback::Arrivals;
use crate::ice::{Agent, Credentials};
use crate::lip_sync::SenderClock;
use crate::peer::{Connection, Link, Peer};
use crate::sdp::{self, Answerer, Negotiable, Offer, OfferedMedia, Use};
use crate::slot::Slot;
use crate::track::{KeyFrameRequests, SlotKey, Track, TrackKey};
use crate::{Answer, Event, MediaKind, MediaLine, Mid, OfferError, PeerId, RoomId, Source};

/// Peers that one worker knows. Beyond, offers are refused, and publishers of other workers not seen.
pub(super) const MAX_PEERS: usize = 16_384;

/// The CNAME of everything that this server sends to a peer; RFC 7022 §4.2: random, and not linkable between peers.
pub(super) fn cname(connection: &Connection) -> String {
    format!("{:016x}", connection.session_id)
}

impl Worker {
    /// Answers an offer; see [`crate::io::Handle::offer`].
    pub(crate) fn offer(
        &mut self,
        now: Instant,
        room: RoomId,
        id: PeerId,
        sdp: &str,
    ) -> Result<Answer, OfferError> {
        let offer = Offer::parse(sdp)?;
        let key = match self.by_id.get(&id) {
            Some(&key) => {
                self.renegotiate(now, key, &offer)?;
                key
            }
            None => self.add_peer(now, room, id, &offer)?,
        };
        let room = self.peers[key].room;
        self.apply_media(room, key, &offer);
        self.publish_elsewhere(key);
        self.assign_audio(room);
        self.answer(key, &offer)
    }

    fn add_peer(
        &mut self,
        now: Instant,
        room: RoomId,
        id: PeerId,
        offer: &Offer,
    ) -> Result<usize, OfferError> {
        if self.peers.len() >= MAX_PEERS {
            return Err(OfferError::Overloaded);
        }
        // It was another worker's before, and the news of its end is still on the way.
        if let Some(&remote) = self.by_remote_id.get(&id) {
            self.remove_remote(remote);
        }
        let local = self.fresh_credentials();
        let ufrag = local.ufrag.clone();
        let connection = Connection {
            ice: Agent::new(now, local, offer.ufrag.clone()),
            fingerprints: offer.fingerprints.clone(),
            dtls: None,
            keys: None,
            reporter_ssrc: self.rng.random(),
            // RFC 8866 §5.2: a number; below 2⁶³, because some readers take it as signed.
            session_id: self.rng.random::<u64>() >> 1,
            session_version: 0,
            reports_at: now,
            round_trip: None,
            budget: Budget::new(now),
            arrivals: Arrivals::default(),
        };
        let key = self.peers.insert(Peer {
            id,
            room,
            link: Link::Direct(connection),
            tracks: Vec::new(),
            slots: Vec::new(),
            streams: Vec::new(),
            clock: SenderClock::default(),
        });
        self.by_id.insert(id, key);
        self.by_ufrag.insert(ufrag, key);
        self.open_room(room).peers.push(key);
        self.next_tick.get_or_insert(now + TICK);
        Ok(key)
    }

    fn fresh_credentials(&mut self) -> Credentials {
        loop {
            let credentials = Credentials::random(&mut self.rng);
            if !self.by_ufrag.contains_key(&credentials.ufrag) {
                return credentials;
            }
        }
    }

    fn renegotiate(&mut self, now: Instant, key: usize, offer: &Offer) -> Result<(), OfferError> {
        let Some(connection) = self.peers[key].link.connection() else {
            return Err(OfferError::Overloaded);
        };
        let known = &connection.fingerprints;
        if !offer.fingerprints.iter().any(|fingerprint| known.contains(fingerprint)) {
            let reason = "its a=fingerprint isn't that of the peer's earlier offers; a new certificate needs a new peer";
            return Err(OfferError::BadSdp(reason.into()));
        }
        if offer.ufrag != connection.ice.remote_ufrag() {
            self.restart_ice(now, key, offer);
        }
        Ok(())
    }

    /// RFC 8445 §9: both ends take new credentials.
    fn restart_ice(&mut self, now: Instant, key: usize, offer: &Offer) {
        let fresh = self.fresh_credentials();
        if let Some(connection) = self.peers[key].link.connection_mut() {
            self.by_ufrag.remove(&connection.ice.local().ufrag);
            self.by_ufrag.insert(fresh.ufrag.clone(), key);
            connection.ice.restart(now, fresh, offer.ufrag.clone());
        }
    }

    /// Brings tracks and slots into line with the offer; those of m-lines that stay keep their streams.
    fn apply_media(&mut self, room: RoomId, key: usize, offer: &Offer) {
        self.close_media(key, |is_for, mid| {
            !offer.media.iter().any(|line| line.mid == *mid && is_for(&line.purpose))
        });
        for line in &offer.media {
            match &line.purpose {
                Use::Publish(negotiable) => self.open_track(room, key, &line.mid, negotiable),
                Use::Receive(negotiable) => self.open_slot(key, line, negotiable),
                Use::Inactive(_) | Use::Refuse => {}
            }
        }
    }

    pub(super) fn open_track(&mut self, room: RoomId, key: usize, mid: &Mid, common: &Negotiable) {
        let peer = &mut self.peers[key];
        let place = match peer.tracks.iter().position(|track| track.mid == *mid) {
            Some(place) => place,
            None => {
                peer.tracks.push(Track {
                    mid: mid.clone(),
                    kind: common.kind,
                    payloads: Vec::new(),
                    extensions: common.extensions.clone(),
                    announced: Vec::new(),
                    retransmissions: Vec::new(),
                    is_open: false,
                    subscribers: Vec::new(),
                    elsewhere: Vec::new(),
                    key_frames: KeyFrameRequests::default(),
                });
                peer.tracks.len() - 1
            }
        };
        let track = &mut peer.tracks[place];
        track.kind = common.kind;
        track.payloads = common.payloads.clone();
        track.extensions = common.extensions.clone();
        track.announced = common.ssrcs.clone();
        track.retransmissions = common.retransmissions.clone();
        track.is_open = true;
        if let (MediaKind::Audio, Some(room)) = (track.kind, self.rooms.get_mut(&room)) {
            room.speakers.add(TrackKey { peer: key, track: place }, peer.id);
            if matches!(peer.link, Link::Direct(_)) {
                track.elsewhere.clone_from(&room.elsewhere);
            }
        }
    }

    fn open_slot(&mut self, key: usize, line: &OfferedMedia, common: &Negotiable) {
        let peer = &mut self.peers[key];
        let (payloads, extensions) = (common.payloads.clone(), common.extensions.clone());
        match peer.slots.iter_mut().find(|slot| slot.mid == line.mid && slot.kind == common.kind) {
            Some(slot) => slot.renegotiate(payloads, extensions),
            None => {
                let mid = line.mid.clone();
                let slot = Slot::new(mid, common.kind, payloads, extensions, &mut self.rng);
                peer.slots.push(slot);
            }
        }
    }

    /// Closes the tracks and slots that `is_over` names.
    fn close_media(&mut self, key: usize, is_over: impl Fn(fn(&Use) -> bool, &Mid) -> bool) {
        let publishes: fn(&Use) -> bool = |purpose| matches!(purpose, Use::Publish(_));
        let receives: fn(&Use) -> bool = |purpose| matches!(purpose, Use::Receive(_));
        let peer = &self.peers[key];
        let tracks: Vec<usize> =
            (0..peer.tracks.len()).filter(|&at| is_over(publishes, &peer.tracks[at].mid)).collect();
        let slots: Vec<usize> =
            (0..peer.slots.len()).filter(|&at| is_over(receives, &peer.slots[at].mid)).collect();
        for track in tracks {
            self.close_track(TrackKey { peer: key, track });
        }
        for slot in slots {
            self.put(SlotKey { peer: key, slot }, None);
            self.peers[key].slots[slot].is_open = false;
        }
    }

    pub(super) fn close_track(&mut self, key: TrackKey) {
        let peer = &mut self.peers[key.peer];
        peer.tracks[key.track].is_open = false;
        peer.tracks[key.track].elsewhere.clear();
        peer.streams.retain(|stream| stream.track != key.track);
        let room = peer.room;
        for slot in peer.tracks[key.track].subscribers.clone() {
            self.put(slot, None);
        }
        if let Some(room) = self.rooms.get_mut(&room) {
            room.speakers.remove(key);
        }
    }

    fn answer(&mut self, key: usize, offer: &Offer) -> Result<Answer, OfferError> {
        let fingerprint = self.identity.fingerprint_text();
        let Peer { link, slots, .. } = &mut self.peers[key];
        let Some(connection) = link.connection_mut() else {
            return Err(OfferError::Overloaded);
        };
        connection.session_version += 1;
        let answerer = Answerer {
            session_id: connection.session_id,
            version: connection.session_version,
            credentials: connection.ice.local(),
            fingerprint: &fingerprint,
            candidates: &self.candidates,
            cname: &cname(connection),
        };
        let sdp = sdp::write_answer(&answerer, offer, |line| {
            let mut slots = slots.iter().filter(|slot| slot.is_open);
            slots
                .find(|slot| slot.mid == line.mid)
                .map(|slot| sdp::Slot { ssrc: slot.ssrc, rtx_ssrc: slot.offered_rtx_ssrc() })
        });
        let lines = |wanted: fn(&Use) -> Option<&Negotiable>| {
            let media = offer.media.iter();
            let line = |line: &OfferedMedia| {
                wanted(&line.purpose)
                    .map(|negotiable| MediaLine { mid: line.mid.clone(), kind: negotiable.kind })
            };
            media.filter_map(line).collect()
        };
        Ok(Answer {
            sdp,
            published: lines(|purpose| match purpose {
                Use::Publish(negotiable) => Some(negotiable),
                Use::Receive(_) | Use::Inactive(_) | Use::Refuse => None,
            }),
            slots: lines(|purpose| match purpose {
                Use::Receive(negotiable) => Some(negotiable),
                Use::Publish(_) | Use::Inactive(_) | Use::Refuse => None,
            }),
        })
    }

    /// Puts a source into a video slot; see [`crate::io::Handle::assign`].
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
        let is_it = |candidate: &Slot| {
            candidate.is_open && candidate.kind == MediaKind::Video && candidate.mid == *slot
        };
        let Some(slot) = self.peers[key].slots.iter().position(is_it) else {
            return;
        };
        let to = SlotKey { peer: key, slot };
        let named = source;
        let source = named.and_then(|named| self.video_track(self.peers[key].room, named));
        self.await_source(to, named.filter(|_| source.is_none()));
        if self.peers[key].slots[slot].source() == source {
            return;
        }
        self.put(to, source);
        if let Some(track) = source
            && !self.catch_up(now, to, track)
        {
            self.want_key_frame(now, track);
        }
    }

    /// The open video track of a source in the same room.
    fn video_track(&self, room: RoomId, source: &Source) -> Option<TrackKey> {
        let by_id = self.by_id.get(&source.peer);
        let peer = *by_id.or_else(|| self.by_remote_id.get(&source.peer))?;
        let tracks = &self.peers.get(peer).filter(|found| found.room == room)?.tracks;
        let track = tracks.iter().position(|track| {
            track.is_open && track.kind == MediaKind::Video && track.mid == source.mid
        })?;
        Some(TrackKey { peer, track })
    }

    /// Changes what a slot carries, in the tables of both ends.
    fn put(&mut self, key: SlotKey, source: Option<TrackKey>) {
        let before = self.peers[key.peer].slots[key.slot].source();
        if before == source {
            return;
        }
        if let Some(track) = before {
            let subscribers = &mut self.peers[track.peer].tracks[track.track].subscribers;
            subscribers.retain(|slot| *slot != key);
            if subscribers.is_empty() {
                self.wanted_changed(track);
            }
        }
        if let Some(track) = source {
            let subscribers = &mut self.peers[track.peer].tracks[track.track].subscribers;
            subscribers.push(key);
            if subscribers.len() == 1 {
                self.wanted_changed(track);
            }
        }
        let slot = &mut self.peers[key.peer].slots[key.slot];
        slot.set_source(source);
        if slot.kind == MediaKind::Audio {
            self.announce_audio(key, source);
        }
    }

    /// Gives every audio slot of a room one of the loudest others; slots that carry one already keep it.
    pub(super) fn assign_audio(&mut self, room: RoomId) {
        let Some(members) = self.rooms.get(&room).map(|room| room.peers.clone()) else {
            return;
        };
        let front = members.iter().map(|&peer| self.peers[peer].audio_slots()).max();
        if let Some(room) = self.rooms.get_mut(&room) {
            room.front = front.unwrap_or_default();
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
        let wanted: Vec<TrackKey> = room.speakers.loudest(listener).take(slots.len()).collect();
        let carried = |slot: usize| peer.slots[slot].source();
        let is_wanted = |slot: &usize| carried(*slot).is_some_and(|track| wanted.contains(&track));
        let (kept, free): (Vec<usize>, Vec<usize>) = slots.into_iter().partition(is_wanted);
        let is_new = |track: &TrackKey| !kept.iter().any(|&slot| carried(slot) == Some(*track));
        let mut coming: Vec<TrackKey> = wanted.iter().copied().filter(is_new).rev().collect();
        for slot in free {
            self.put(SlotKey { peer: listener, slot }, coming.pop());
        }
    }

    /// Tells what an audio slot carries, which nobody but this worker decides.
    fn announce_audio(&mut self, key: SlotKey, source: Option<TrackKey>) {
        let named = source.map(|track| {
            let publisher = &self.peers[track.peer];
            Source { peer: publisher.id, mid: publisher.tracks[track.track].mid.clone() }
        });
        let peer = &self.peers[key.peer];
        let slot = peer.slots[key.slot].mid.clone();
        self.events.push_back(Event::AudioSlot { peer: peer.id, slot, source: named });
    }

    /// Forgets a peer that said goodbye or was told to go; see [`crate::io::Handle::remove`].
    pub(crate) fn remove(&mut self, id: PeerId) {
        let Some(&key) = self.by_id.get(&id) else {
            return;
        };
        let Worker { peers, outbox, stats, .. } = self;
        if let Some(Connection { dtls: Some(dtls), ice, .. }) = peers[key].link.connection_mut()
            && let Some(path) = ice.selected()
        {
            dtls.close(|record| super::enqueue(outbox, stats, path, record.to_vec()));
        }
        self.forget(key);
    }

    /// Forgets a peer whose transport is over, and says so.
    pub(super) fn disconnect(&mut self, key: usize, reason: &'static str) {
        let peer = self.peers[key].id;
        self.forget(key);
        self.events.push_back(Event::Disconnected { peer, reason });
    }

    fn forget(&mut self, key: usize) {
        self.close_media(key, |_, _| true);
        // Packets of a burst that was not forwarded yet belong to a track that may soon be another's.
        self.burst.forget_peer(key);
        let peer = self.peers.remove(key);
        self.by_id.remove(&peer.id);
        if let Some(connection) = peer.link.connection() {
            self.by_ufrag.remove(&connection.ice.local().ufrag);
            for path in connection.ice.paths() {
                self.by_path.remove(&path);
            }
        }
        let Some(room) = self.rooms.get_mut(&peer.room) else {
            return;
        };
        room.peers.retain(|member| *member != key);
        room.awaited.retain(|(slot, _)| slot.peer != key);
        let is_empty = room.peers.is_empty();
        self.leave_elsewhere(&peer);
        if is_empty {
            self.close_room(peer.room);
        } else {
            self.assign_audio(peer.room);
        }
    }
}
