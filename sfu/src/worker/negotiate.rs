//! Peers join, renegotiate and leave: offers, ICE restarts, tracks and slots, and removal.

use std::sync::Arc;
use std::time::Instant;

use rand::RngExt;

use super::agreement::Agreement;
use super::peer::{Connection, Link, Peer};
use super::{TICK, Worker};
use crate::bandwidth::budget::Budget;
use crate::bandwidth::layer_choice::LayerChooser;
use crate::bandwidth::send_history::SendHistory;
use crate::incoming::lip_sync::SenderClock;
use crate::incoming::meter::Meter;
use crate::incoming::stream::Stream;
use crate::incoming::track::Track;
use crate::keys::{SlotKey, TrackKey};
use crate::outgoing::slot::Slot;
use crate::outgoing::ssrcs::Ssrcs;
use crate::rtcp::twcc::Arrivals;
use crate::sdp::{self, Negotiable, Offer, OfferedMedia, Rid, Use};
use crate::transport::ice::{Agent, Credentials};
use crate::transport::srtp::RtpStreams;
#[cfg(any(test, fuzzing, feature = "bench"))]
use crate::{Answer, Receivers};
use crate::{Event, MediaKind, Mid, OfferError, PeerId, RoomId};

/// Peers per worker, including publishers of other workers. Beyond, offers are refused, and those publishers not shown.
pub(super) const MAX_PEERS: usize = 16_384;
/// Tracks that one peer may have had: three for each m-line of the largest offer. Closed m-lines and layers count,
/// because they keep their indexes. Beyond, offers are refused.
const MAX_TRACKS: usize = 240;

/// The CNAME of all streams that the server sends to a peer. RFC 7022 §4.2: random, and not linkable between peers.
pub(super) fn cname(connection: &Connection) -> String {
    format!("{:016x}", connection.session_id)
}

/// The server's `a=tls-id` for a connection: 20 to 255 characters, unique to the association (RFC 8842 §4).
fn tls_id(connection: &Connection) -> String {
    format!("{:016x}{:08x}", connection.session_id, connection.reporter_ssrc)
}

impl Worker {
    /// Takes an offer; see [`crate::io::Handle::offer`]. With `current`, it is a later one of the client whose peer that
    /// is; see [`crate::io::Handle::offer_again`].
    pub(crate) fn negotiate(
        &mut self,
        now: Instant,
        room: RoomId,
        peer: PeerId,
        current: Option<PeerId>,
        offer: &Offer,
    ) -> Result<Agreement, OfferError> {
        let is_same = |current: &PeerId| {
            let known = self.by_id.get(current).map(|&key| &self.peers[key].link);
            let connection = known.and_then(Link::connection);
            connection.is_some_and(|connection| connection.is_offered_by(offer))
        };
        let id = current.filter(is_same).unwrap_or(peer);
        let key = match self.by_id.get(&id) {
            Some(&key) => {
                self.renegotiate(now, key, offer)?;
                key
            }
            None => self.add_peer(now, room, id, offer)?,
        };
        if let Some(connection) = self.peers[key].link.connection_mut() {
            connection.has_reduced_size = offer.has_reduced_size;
        }
        let room = self.peers[key].room;
        self.apply_media(room, key, offer);
        self.publish_elsewhere(key);
        self.assign_audio(room);
        self.agree(key, offer)
    }

    /// Reads an offer and answers it, as [`crate::io::Handle::offer`] does in several threads.
    #[cfg(any(test, fuzzing, feature = "bench"))]
    pub(crate) fn offer(
        &mut self,
        now: Instant,
        room: RoomId,
        peer: PeerId,
        sdp: &str,
        receivers: &Receivers,
    ) -> Result<Answer, OfferError> {
        let offer = Offer::read(sdp, receivers)?;
        Ok(self.negotiate(now, room, peer, None, &offer)?.answer(&offer))
    }

    fn add_peer(
        &mut self,
        now: Instant,
        room: RoomId,
        id: PeerId,
        offer: &Offer,
    ) -> Result<usize, OfferError> {
        let Some(ufrag) = offer.ufrag.clone() else {
            return Err(OfferError::BadSdp("none of its m-lines is in use".into()));
        };
        if self.peers.len() >= MAX_PEERS {
            return Err(OfferError::Overloaded);
        }
        // The peer was connected to another worker, whose message about its end is still on the way.
        if let Some(&remote) = self.by_remote_id.get(&id) {
            self.remove_remote(remote);
        }
        let local = self.fresh_credentials();
        let own_ufrag = local.ufrag.clone();
        let mut ssrcs = Ssrcs::new(&mut self.rng);
        let connection = Connection {
            ice: Agent::new(now, local, ufrag),
            last_packet: None,
            fingerprints: offer.fingerprints.clone(),
            tls_id: offer.tls_id.clone(),
            dtls: None,
            keys: None,
            put_aside: RtpStreams::default(),
            reporter_ssrc: ssrcs.fresh(),
            ssrcs,
            // RFC 8866 §5.2: a number; below 2⁶³, because some implementations read it as signed.
            session_id: self.rng.random::<u64>() >> 1,
            session_version: 0,
            reports_at: now,
            round_trip: None,
            budget: Budget::new(now),
            arrivals: Arrivals::default(),
            send_history: SendHistory::default(),
            estimator: None,
            chooser: LayerChooser::default(),
            has_reduced_size: false,
        };
        let key = self.peers.insert(Peer {
            id,
            room,
            link: Link::Direct(connection),
            tracks: Vec::new(),
            forbidden: Vec::new(),
            slots: Vec::new(),
            streams: Vec::new(),
            received: Meter::default(),
            clock: SenderClock::default(),
            sent_codecs: Vec::new(),
        });
        self.by_id.insert(id, key);
        self.by_ufrag.insert(own_ufrag, key);
        self.open_room(room).peers.push(key);
        self.next_tick.get_or_insert(now + TICK);
        Ok(key)
    }

    fn fresh_credentials(&mut self) -> Credentials {
        loop {
            let credentials = Credentials::random(&mut self.rng, self.number);
            if !self.by_ufrag.contains_key(&credentials.ufrag) {
                return credentials;
            }
        }
    }

    fn renegotiate(&mut self, now: Instant, key: usize, offer: &Offer) -> Result<(), OfferError> {
        let Some(connection) = self.peers[key].link.connection() else {
            return Err(OfferError::Overloaded);
        };
        if !connection.is_offered_by(offer) {
            let reason = "its a=fingerprint or a=tls-id differs from the peer's earlier offers; use a new peer for a new connection";
            return Err(OfferError::BadSdp(reason.into()));
        }
        let tracks = &self.peers[key].tracks;
        let is_fresh = |(mid, rid): &(&Mid, Option<&Rid>)| {
            !tracks.iter().any(|track| track.mid == **mid && track.rid.as_ref() == *rid)
        };
        let fresh = offered_tracks(offer).filter(is_fresh).count();
        if tracks.len() + fresh > MAX_TRACKS {
            let reason = "the peer has had too many m-lines and layers; use a new peer connection";
            return Err(OfferError::BadSdp(reason.into()));
        }
        if let Some(ufrag) = &offer.ufrag
            && ufrag != connection.ice.remote_ufrag()
        {
            self.restart_ice(now, key, ufrag);
        }
        Ok(())
    }

    /// RFC 8445 §9: both sides get new credentials. The server's old ufrag leads here until the new one is used.
    fn restart_ice(&mut self, now: Instant, key: usize, remote_ufrag: &str) {
        let fresh = self.fresh_credentials();
        if let Some(connection) = self.peers[key].link.connection_mut() {
            self.by_ufrag.insert(fresh.ufrag.clone(), key);
            if let Some(void) = connection.ice.restart(now, fresh, remote_ufrag.to_owned()) {
                self.by_ufrag.remove(&void);
            }
            if let Some(dtls) = &mut connection.dtls {
                dtls.restarted(now);
            }
        }
    }

    /// Updates tracks and slots to match the offer; those of m-lines that stay keep their streams. Ended tracks are
    /// closed last, so that a slot finds the other layers of its source.
    fn apply_media(&mut self, room: RoomId, key: usize, offer: &Offer) {
        for line in &offer.media {
            match &line.purpose {
                Use::Publish(negotiable) => {
                    for rid in rids(negotiable) {
                        self.open_track(room, key, &line.mid, rid, negotiable);
                    }
                }
                Use::Receive(_) | Use::Inactive(_) | Use::Carry | Use::Refuse => {}
            }
        }
        self.close_tracks(key, |track| !offer.media.iter().any(|line| publishes(line, track)));
        self.end_moved_streams(key);
        self.apply_slots(key, offer);
    }

    /// Updates slots to match the offer. The indexes of closed ones are reused, so that a long session needs no more of
    /// them than the largest offer. A slot whose m-line is inactive keeps its index: the client is likely to open that
    /// m-line again, and the stream then continues.
    fn apply_slots(&mut self, key: usize, offer: &Offer) {
        let line_of = |slot: &Slot| {
            let is_it = |line: &&OfferedMedia| {
                let negotiable = line.purpose.negotiable();
                line.mid == slot.mid && negotiable.is_some_and(|own| own.kind == slot.kind)
            };
            offer.media.iter().find(is_it)
        };
        self.close_slots(key, |slot| {
            !matches!(line_of(slot), Some(OfferedMedia { purpose: Use::Receive(_), .. }))
        });
        let slots = self.peers[key].slots.iter().enumerate();
        let over = slots.filter(|(_, slot)| line_of(slot).is_none()).map(|(at, _)| at);
        let mut over: Vec<usize> = over.collect();
        for line in &offer.media {
            if let Use::Receive(negotiable) = &line.purpose {
                self.open_slot(key, line, negotiable, &mut over);
            }
        }
    }

    pub(super) fn open_track(
        &mut self,
        room: RoomId,
        key: usize,
        mid: &Mid,
        rid: Option<&Rid>,
        common: &Negotiable,
    ) {
        let peer = &mut self.peers[key];
        let is_it = |track: &Track| track.mid == *mid && track.rid.as_ref() == rid;
        let place = match peer.tracks.iter().position(is_it) {
            Some(place) => place,
            None => {
                let layers = peer.tracks.iter().filter(|track| track.mid == *mid).count();
                let mut track = Track::new(mid.clone(), rid.cloned(), common.kind);
                track.quality.rank = u8::try_from(layers).unwrap_or(u8::MAX);
                peer.tracks.push(track);
                peer.tracks.len() - 1
            }
        };
        let is_permitted = peer.is_permitted(mid);
        let track = &mut peer.tracks[place];
        track.open(common);
        track.is_permitted = is_permitted;
        if let (MediaKind::Audio, Some(room)) = (track.kind, self.rooms.get_mut(&room)) {
            if is_permitted {
                room.speakers.add(TrackKey { peer: key, track: place }, peer.id);
            }
            if matches!(peer.link, Link::Direct(_)) {
                track.elsewhere.clone_from(&room.elsewhere);
            }
        }
    }

    /// Opens the slot of an m-line. One that is missing gets an index of those in `over`, whose slots are closed.
    fn open_slot(
        &mut self,
        key: usize,
        line: &OfferedMedia,
        common: &Negotiable,
        over: &mut Vec<usize>,
    ) {
        let Peer { slots, link, .. } = &mut self.peers[key];
        let is_it = |slot: &&mut Slot| slot.mid == line.mid && slot.kind == common.kind;
        if let Some(slot) = slots.iter_mut().find(is_it) {
            slot.renegotiate(&common.payloads, &common.extensions);
            return;
        }
        let Some(Connection { ssrcs, .. }) = link.connection_mut() else {
            return;
        };
        let (mid, kind) = (line.mid.clone(), common.kind);
        let (payloads, extensions) = (Arc::clone(&common.payloads), common.extensions.clone());
        let slot = Slot::new(mid, kind, payloads, extensions, ssrcs, &mut self.rng);
        match over.pop() {
            Some(at) => slots[at] = slot,
            None => slots.push(slot),
        }
    }

    fn close_tracks(&mut self, key: usize, is_over: impl Fn(&Track) -> bool) {
        for track in 0..self.peers[key].tracks.len() {
            if is_over(&self.peers[key].tracks[track]) {
                self.close_track(TrackKey { peer: key, track });
            }
        }
    }

    /// Ends the streams whose SSRC an offer has moved to another m-line; they begin there with the next packet.
    fn end_moved_streams(&mut self, key: usize) {
        let peer = &mut self.peers[key];
        let announces = |track: &Track, ssrc| track.is_open && track.announced.contains(&ssrc);
        let is_moved = |stream: &Stream| {
            let is_announced = |at: usize| announces(&peer.tracks[at], stream.ssrc);
            !is_announced(stream.track) && (0..peer.tracks.len()).any(is_announced)
        };
        let moved: Vec<u64> =
            peer.streams.iter().filter(|stream| is_moved(stream)).map(|stream| stream.id).collect();
        peer.end_streams(|stream| moved.contains(&stream.id));
    }

    fn close_slots(&mut self, key: usize, is_over: impl Fn(&Slot) -> bool) {
        for slot in 0..self.peers[key].slots.len() {
            let found = &self.peers[key].slots[slot];
            if found.is_open && is_over(found) {
                let closed = SlotKey { peer: key, slot };
                self.put(closed, None);
                self.await_source(closed, None);
                self.peers[key].slots[slot].is_open = false;
                self.peers[key].slots[slot].pinned = None;
            }
        }
    }

    /// Closes a track. Slots that carried it switch to another layer of the same source, if there is one.
    pub(super) fn close_track(&mut self, key: TrackKey) {
        let peer = &mut self.peers[key.peer];
        peer.tracks[key.track].close();
        peer.end_streams(|stream| stream.track == key.track);
        let room = peer.room;
        let other = self.layers_of(key).into_iter().flatten().next();
        for slot in self.peers[key.peer].tracks[key.track].subscribers.clone() {
            self.leave_layer(slot, key, other);
        }
        if let Some(room) = self.rooms.get_mut(&room) {
            room.speakers.remove(key);
        }
    }

    fn agree(&mut self, key: usize, offer: &Offer) -> Result<Agreement, OfferError> {
        let fingerprint = self.identity.fingerprint_text();
        let Peer { id, link, slots, .. } = &mut self.peers[key];
        let Some(connection) = link.connection_mut() else {
            return Err(OfferError::Overloaded);
        };
        connection.session_version += 1;
        let announced = |slot: &Slot| {
            let streams = sdp::Slot { ssrc: slot.ssrc, rtx_ssrc: slot.offered_rtx_ssrc() };
            (slot.mid.clone(), streams)
        };
        Ok(Agreement {
            peer: *id,
            session_id: connection.session_id,
            version: connection.session_version,
            credentials: connection.ice.local().clone(),
            fingerprint,
            tls_id: offer.tls_id.is_some().then(|| tls_id(connection)),
            candidates: self.candidates.clone(),
            cname: cname(connection),
            slots: slots.iter().filter(|slot| slot.is_open).map(announced).collect(),
        })
    }

    /// Removes a peer, and closes its connection; see [`crate::io::Handle::remove`].
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

    /// Removes a peer whose transport has ended, and reports it.
    pub(super) fn disconnect(&mut self, key: usize, reason: &'static str) {
        let peer = self.peers[key].id;
        self.forget(key);
        self.events.push_back(Event::Disconnected { peer, reason });
    }

    fn forget(&mut self, key: usize) {
        self.close_tracks(key, |_| true);
        self.close_slots(key, |_| true);
        // Drop packets in the burst, because their track index may be reused.
        self.burst.forget_peer(key);
        let peer = self.peers.remove(key);
        self.by_id.remove(&peer.id);
        if let Some(connection) = peer.link.connection() {
            for ufrag in connection.ice.ufrags() {
                self.by_ufrag.remove(ufrag);
            }
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

/// The layers of a published m-line; without simulcast, one without a name.
fn rids(negotiable: &Negotiable) -> impl Iterator<Item = Option<&Rid>> {
    let plain = negotiable.layers.is_empty().then_some(None);
    plain.into_iter().chain(negotiable.layers.iter().map(|layer| Some(&layer.rid)))
}

fn offered_tracks(offer: &Offer) -> impl Iterator<Item = (&Mid, Option<&Rid>)> {
    offer.media.iter().flat_map(|line| {
        let published = match &line.purpose {
            Use::Publish(negotiable) => Some(negotiable),
            Use::Receive(_) | Use::Inactive(_) | Use::Carry | Use::Refuse => None,
        };
        published.into_iter().flat_map(rids).map(|rid| (&line.mid, rid))
    })
}

/// Whether an m-line publishes this track.
fn publishes(line: &OfferedMedia, track: &Track) -> bool {
    let Use::Publish(negotiable) = &line.purpose else {
        return false;
    };
    line.mid == track.mid && rids(negotiable).any(|rid| rid == track.rid.as_ref())
}
