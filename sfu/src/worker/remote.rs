//! Rooms that several workers share: the messages between workers, and how a worker represents the peers of others.
//!
//! ```text
//!   publisher → its worker ──packets, once──→ another worker → slots of the receivers there
//!                          ←─wanted, key frame, lost packets─
//! ```
//!
//! A worker represents every publishing peer of its rooms, also those connected to another worker: as a peer with
//! tracks, streams and histories, but without a connection. So slots, retransmissions, the key frame cache and active
//! speaker detection work as for its own peers. Only the packets come in parcels, and requests go to the publisher's
//! worker. Audio is always handed over, because every worker detects speakers itself; video only while the other worker
//! has a receiver for it.
//!
//! Workers discover each other: a worker that opens a room tells all others, and those that have the room too respond
//! with what their peers publish. Messages between two workers stay in order, and no worker ever waits for another.

use std::time::Instant;

use super::lane::Lane;
use super::message::{Published, Remote, RemoteTrack};
use super::peer::{Link, Peer};
use super::room::Room;
use super::{Worker, ntp_time};
use crate::incoming::lip_sync::SenderClock;
use crate::incoming::meter::Meter;
use crate::incoming::track::{KeyFrameRequests, Track};
use crate::keys::WorkerNumber;
use crate::keys::{SlotKey, TrackKey};
use crate::rtcp::NtpTime;
use crate::{MediaKind, PeerId, RoomId, Source};

impl Worker {
    /// The next message to another worker, and that worker's number.
    pub(crate) fn poll_remote(&mut self) -> Option<(WorkerNumber, Remote)> {
        let mut lanes = self.lanes.iter_mut().enumerate();
        lanes.find_map(|(to, lane)| Some((to, lane.poll()?)))
    }

    /// Whether the burst has room for the packets in a message. If not, the burst must be forwarded first.
    pub(crate) fn has_room_for(&self, message: &Remote) -> bool {
        message.packets() <= self.burst.room()
    }

    /// Handles a message from another worker.
    pub(crate) fn handle_remote(&mut self, now: Instant, from: WorkerNumber, message: Remote) {
        match message {
            Remote::Packets(parcel) => {
                for (crossing, opened) in parcel.packets() {
                    self.handle_crossing(now, from, crossing, opened);
                }
            }
            Remote::Present { room, wants_answer } => self.meet(from, room, wants_answer),
            Remote::Absent { room } => {
                self.part(from, room);
                self.assign_audio(room);
            }
            Remote::Published { room, peer, tracks, forbidden } => {
                if let Some(key) = self.remote_peer(from, room, peer) {
                    self.peers[key].forbidden = forbidden;
                    self.publish_remote(now, room, key, &tracks);
                }
            }
            Remote::Permit { peer, mid, is_permitted } => {
                self.permit_elsewhere(now, from, peer, &mid, is_permitted);
            }
            Remote::Gone { peer } => self.forget_remote(from, peer),
            Remote::Want { track, is_wanted } => self.want_elsewhere(from, track, is_wanted),
            Remote::KeyFrame { track, known } => self.key_frame_elsewhere(now, from, track, known),
            Remote::SenderReport { peer, ssrc, said } => {
                let here = ntp_time(self.started, now);
                if let Some(&key) = self.by_remote_id.get(&peer) {
                    self.peers[key].reported(now, here, ssrc, said);
                }
            }
            Remote::Rates { peer, rates } => self.take_rates(now, from, peer, &rates),
            Remote::Ended { peer, ssrc } => {
                if let Some(&key) = self.by_remote_id.get(&peer) {
                    self.stream_ended(key, ssrc);
                }
            }
            Remote::Missing { peer, stream, indexes } => {
                self.missing_elsewhere(from, peer, stream, &indexes);
            }
        }
    }

    /// Opens a room for its first peer, and asks the other workers whether they have it too.
    pub(super) fn open_room(&mut self, id: RoomId) -> &mut Room {
        if !self.rooms.contains_key(&id) {
            for (_, lane) in others(&mut self.lanes, self.number) {
                lane.post(Remote::Present { room: id, wants_answer: true });
            }
        }
        self.rooms.entry(id).or_insert_with(|| Room::new(id))
    }

    /// Closes a room after its last peer has left.
    pub(super) fn close_room(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get(&id) else {
            return;
        };
        let elsewhere = room.elsewhere.clone();
        for other in elsewhere {
            self.part(other, id);
            self.lanes[other].post(Remote::Absent { room: id });
        }
        self.rooms.remove(&id);
    }

    /// Tells the other workers of a peer's room what it publishes.
    pub(super) fn publish_elsewhere(&mut self, key: usize) {
        let peer = &self.peers[key];
        if let Some(room) = self.rooms.get(&peer.room)
            && !peer.tracks.is_empty()
        {
            room.elsewhere.iter().for_each(|&to| self.lanes[to].post(publication(peer)));
        }
    }

    /// Tells the other workers of a peer's room that it has left.
    pub(super) fn leave_elsewhere(&mut self, peer: &Peer) {
        if let Some(room) = self.rooms.get(&peer.room)
            && !peer.tracks.is_empty()
        {
            let gone = |&to: &WorkerNumber| self.lanes[to].post(Remote::Gone { peer: peer.id });
            room.elsewhere.iter().for_each(gone);
        }
    }

    /// Passes a sender report on to the workers that receive the stream, which need it for lip sync.
    pub(super) fn report_elsewhere(&mut self, key: usize, ssrc: u32, said: (NtpTime, u32)) {
        let peer = &self.peers[key];
        let Some(stream) = peer.stream(ssrc) else {
            return;
        };
        for &to in &peer.tracks[peer.streams[stream].track].elsewhere {
            self.lanes[to].post(Remote::SenderReport { peer: peer.id, ssrc, said });
        }
    }

    /// Another worker has peers in a room.
    fn meet(&mut self, from: WorkerNumber, id: RoomId, wants_answer: bool) {
        self.part(from, id);
        let Worker { rooms, lanes, peers, .. } = self;
        let Some(room) = rooms.get_mut(&id) else {
            return;
        };
        room.elsewhere.push(from);
        let lane = &mut lanes[from];
        if wants_answer {
            lane.post(Remote::Present { room: id, wants_answer: false });
        }
        for &key in &room.peers {
            let peer = &mut peers[key];
            if !peer.tracks.is_empty() {
                lane.post(publication(peer));
            }
            for track in &mut peer.tracks {
                if track.is_open && track.kind == MediaKind::Audio {
                    track.elsewhere.push(from);
                }
            }
        }
        self.assign_audio(id);
    }

    /// Another worker has no more peers in a room, or starts over: forgets its peers, and hands nothing more over to
    /// it.
    fn part(&mut self, from: WorkerNumber, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        room.elsewhere.retain(|other| *other != from);
        for &key in &room.peers {
            for track in &mut self.peers[key].tracks {
                track.elsewhere.retain(|other| *other != from);
            }
        }
        for key in room.remote.clone() {
            if matches!(self.peers[key].link, Link::Through(worker) if worker == from) {
                self.remove_remote(key);
            }
        }
    }

    /// Applies what a peer of another worker publishes.
    fn publish_remote(&mut self, now: Instant, room: RoomId, key: usize, tracks: &[Published]) {
        let id = self.peers[key].id;
        for (track, published) in tracks.iter().enumerate() {
            let Published { mid, rid, negotiated, is_open } = published;
            let is_known = self.peers[key].tracks.get(track).is_some();
            if *is_open || !is_known {
                self.open_track(room, key, mid, rid.as_ref(), negotiated);
            }
        }
        for (track, published) in tracks.iter().enumerate() {
            if !published.is_open {
                self.close_track(TrackKey { peer: key, track });
            }
        }
        self.assign_awaited(now, room, id);
        self.assign_audio(room);
    }

    /// The index of a peer of another worker, which is added if necessary.
    fn remote_peer(&mut self, from: WorkerNumber, room: RoomId, id: PeerId) -> Option<usize> {
        if let Some(&key) = self.by_remote_id.get(&id) {
            if matches!(self.peers[key].link, Link::Through(worker) if worker == from) {
                return Some(key);
            }
            self.remove_remote(key);
        }
        let is_own = self.by_id.contains_key(&id);
        if is_own || self.peers.len() >= super::negotiate::MAX_PEERS {
            return None;
        }
        let members = &mut self.rooms.get_mut(&room)?.remote;
        let key = self.peers.insert(Peer {
            id,
            room,
            link: Link::Through(from),
            tracks: Vec::new(),
            forbidden: Vec::new(),
            slots: Vec::new(),
            streams: Vec::new(),
            received: Meter::default(),
            clock: SenderClock::default(),
            sent_codecs: Vec::new(),
        });
        members.push(key);
        self.by_remote_id.insert(id, key);
        Some(key)
    }

    fn forget_remote(&mut self, from: WorkerNumber, id: PeerId) {
        let Some(&key) = self.by_remote_id.get(&id) else {
            return;
        };
        let Peer { link: Link::Through(worker), room, .. } = self.peers[key] else {
            return;
        };
        if worker == from {
            self.remove_remote(key);
            self.assign_audio(room);
        }
    }

    /// Forgets a peer of another worker. The slots that carried its tracks become empty.
    pub(super) fn remove_remote(&mut self, key: usize) {
        for track in 0..self.peers[key].tracks.len() {
            self.close_track(TrackKey { peer: key, track });
        }
        self.burst.forget_peer(key);
        let peer = self.peers.remove(key);
        self.by_remote_id.remove(&peer.id);
        if let Some(room) = self.rooms.get_mut(&peer.room) {
            room.remote.retain(|member| *member != key);
        }
    }

    /// Remembers which source a slot waits for, until another worker publishes it: the command may overtake that
    /// message.
    pub(super) fn await_source(&mut self, slot: SlotKey, source: Option<&Source>) {
        if let Some(room) = self.rooms.get_mut(&self.peers[slot.peer].room) {
            room.awaited.retain(|(waiting, _)| *waiting != slot);
            room.awaited.extend(source.map(|source| (slot, source.clone())));
        }
    }

    fn assign_awaited(&mut self, now: Instant, room: RoomId, published: PeerId) {
        let Some(room) = self.rooms.get_mut(&room) else {
            return;
        };
        let here = room.awaited.extract_if(.., |(_, source)| source.peer == published);
        for (slot, source) in here.collect::<Vec<_>>() {
            let peer = &self.peers[slot.peer];
            let (id, mid) = (peer.id, peer.slots[slot.slot].mid.clone());
            self.assign(now, id, &mid, Some(&source));
        }
    }

    /// Tells the publisher's worker that its track has got its first subscriber here, or has lost its last. Forgets the
    /// streams of a track without subscribers, since they would have a gap before the next packet.
    pub(super) fn wanted_changed(&mut self, key: TrackKey) {
        let Peer { id, link: Link::Through(worker), tracks, streams, .. } =
            &mut self.peers[key.peer]
        else {
            return;
        };
        let track = &mut tracks[key.track];
        if track.kind != MediaKind::Video || !track.is_open {
            return;
        }
        let is_wanted = !track.subscribers.is_empty();
        if !is_wanted {
            streams.retain(|stream| stream.track != key.track);
            // The next subscriber need not wait because of a recent request.
            track.key_frames = KeyFrameRequests::default();
        }
        let track = RemoteTrack { peer: *id, place: key.track };
        self.lanes[*worker].post(Remote::Want { track, is_wanted });
    }

    /// The open video track that another worker names, if its peer is connected to this worker.
    pub(super) fn own_track(&mut self, track: RemoteTrack) -> Option<(TrackKey, &mut Track)> {
        let key = TrackKey { peer: *self.by_id.get(&track.peer)?, track: track.place };
        let track = self.peers[key.peer].tracks.get_mut(key.track)?;
        (track.is_open && track.kind == MediaKind::Video).then_some((key, track))
    }

    fn want_elsewhere(&mut self, from: WorkerNumber, track: RemoteTrack, is_wanted: bool) {
        if let Some((_, track)) = self.own_track(track) {
            track.elsewhere.retain(|other| *other != from);
            track.elsewhere.extend(is_wanted.then_some(from));
        }
    }
}

fn publication(peer: &Peer) -> Remote {
    let tracks = peer.tracks.iter().map(|track| Published {
        mid: track.mid.clone(),
        rid: track.rid.clone(),
        negotiated: track.negotiated(),
        is_open: track.is_open,
    });
    let (tracks, forbidden) = (tracks.collect(), peer.forbidden.clone());
    Remote::Published { room: peer.room, peer: peer.id, tracks, forbidden }
}

fn others(
    lanes: &mut [Lane],
    own: WorkerNumber,
) -> impl Iterator<Item = (WorkerNumber, &mut Lane)> {
    lanes.iter_mut().enumerate().filter(move |(number, _)| *number != own)
}
