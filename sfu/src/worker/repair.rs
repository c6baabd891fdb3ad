//! Loss repair: NACKs to publishers, retransmissions (RTX) to receivers, and slots that start on a cached key frame.

use std::time::{Duration, Instant};

use super::lane::Lane;
use super::message::Remote;
use super::peer::Link;
use super::{Worker, ntp_time};
use crate::PeerId;
use crate::incoming::stream::Stream;
use crate::keys::{SlotKey, TrackKey};
use crate::outgoing::slot::Forwarded;
use crate::outgoing::wire::{SendTime, Wire};
use crate::rtcp;
use crate::transport::batch::MAX_PACKET;

/// How often missing packets are requested.
pub(super) const REPAIR_INTERVAL: Duration = Duration::from_millis(10);
/// The round-trip time assumed until it has been measured.
const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(50);
/// A slot starts on a cached key frame if it is at most this many packets old. More would take longer to arrive than a
/// fresh one: a third of a second at 1.5 Mbit/s.
pub(super) const MAX_CATCH_UP: u64 = 60;

impl Worker {
    /// Schedules a NACK to a publisher, in this turn of the loop.
    pub(super) fn missing_from(&mut self, now: Instant, publisher: usize) {
        if !self.incomplete.contains(&publisher) {
            self.incomplete.push(publisher);
        }
        self.repair_at.get_or_insert(now);
    }

    /// Sends the NACKs that are due.
    pub(super) fn request_missing(&mut self, now: Instant) {
        if self.repair_at.is_none_or(|at| now < at) {
            return;
        }
        let publishers = std::mem::take(&mut self.incomplete);
        for key in publishers {
            if self.peers.contains(key) && self.request_missing_from(now, key) {
                self.incomplete.push(key);
            }
        }
        self.repair_at = (!self.incomplete.is_empty()).then(|| now + REPAIR_INTERVAL);
    }

    /// Returns `true` while packets are still missing.
    fn request_missing_from(&mut self, now: Instant, key: usize) -> bool {
        let peer = &mut self.peers[key];
        let connection = match &peer.link {
            Link::Direct(connection) => connection,
            Link::Through(worker) => {
                let lane = &mut self.lanes[*worker];
                return request_crossing(now, lane, peer.id, &mut peer.streams);
            }
        };
        let round_trip = connection.round_trip.unwrap_or(UNKNOWN_ROUND_TRIP);
        let mut compound = Vec::new();
        let mut is_waiting = false;
        for stream in &mut peer.streams {
            let due: Vec<u16> =
                stream.nacks.due(now, round_trip).map(|index| index as u16).collect();
            if !due.is_empty() {
                rtcp::write_nack(&mut compound, connection.reporter_ssrc, stream.ssrc, &due);
                self.stats.nack_sent += 1;
            }
            is_waiting |= !stream.nacks.is_whole();
        }
        if !compound.is_empty() {
            self.send_rtcp(key, compound);
        }
        is_waiting
    }

    /// Retransmits packets that a receiver requested, within its budget.
    pub(super) fn resend(
        &mut self,
        now: Instant,
        key: usize,
        ssrc: u32,
        sequence_numbers: impl Iterator<Item = u16>,
    ) {
        let slots = &self.peers[key].slots;
        let slot = slots.iter().position(|slot| slot.is_open && slot.ssrc == ssrc);
        let Some((slot, source)) = slot.and_then(|at| Some((at, slots[at].source()?))) else {
            return;
        };
        for number in sequence_numbers {
            self.resend_one(now, SlotKey { peer: key, slot }, source, number);
        }
    }

    fn resend_one(&mut self, now: Instant, to: SlotKey, source: TrackKey, number: u16) {
        let Some((publisher, peer)) = self.peers.get2_mut(source.peer, to.peer) else {
            return;
        };
        let Some(connection) = peer.link.connection_mut() else {
            return;
        };
        let (Some(keys), Some(path)) = (&connection.keys, connection.ice.selected()) else {
            return;
        };
        let round_trip = connection.round_trip.unwrap_or(UNKNOWN_ROUND_TRIP);
        let slot = &mut peer.slots[to.slot];
        let Some(sent) = slot.requested(now, number, round_trip) else {
            return;
        };
        let stream = publisher.streams.iter().find(|stream| stream.id == sent.stream);
        let Some(packet) = stream.and_then(|stream| stream.history.packet(sent.index)) else {
            return;
        };
        if !connection.budget.spend(now, packet.payload.len()) {
            self.stats.rtx_refused += 1;
            return;
        }
        let mut out = [0; MAX_PACKET];
        let sent_at = SendTime::new(self.started.0, now);
        let number = connection.send_history.number();
        let wire = Wire { profile: keys.profile, srtp: &keys.outbound, sent_at, number };
        if let Some(written) = slot.retransmit(&sent, &packet, wire, &mut out) {
            connection.send_history.written(sent_at, written);
            self.stats.rtx_sent += 1;
            self.send(path, out[..written.length].to_vec());
        }
    }

    /// Starts a slot on the last key frame and all packets after it, if all are stored and not too many. `false` if the
    /// publisher must be asked for a key frame.
    pub(super) fn catch_up(&mut self, now: Instant, to: SlotKey, source: TrackKey) -> bool {
        // Packets in the burst would be sent twice.
        if !self.burst.is_empty() {
            return false;
        }
        let Some((publisher, peer)) = self.peers.get2_mut(source.peer, to.peer) else {
            return false;
        };
        let Some(connection) = peer.link.connection_mut() else {
            return false;
        };
        let (Some(keys), Some(path)) = (&connection.keys, connection.ice.selected()) else {
            return false;
        };
        let Some((id, packets)) = publisher.since_key_frame(source.track, MAX_CATCH_UP) else {
            return false;
        };
        let Some(stream) = publisher.streams.iter().find(|stream| stream.id == id) else {
            return false;
        };
        let slot = &mut peer.slots[to.slot];
        let ntp = ntp_time(self.started, now);
        let sent_at = SendTime::new(self.started.0, now);
        for index in packets {
            let Some(packet) = stream.history.packet(index) else {
                continue;
            };
            let mut out = [0; MAX_PACKET];
            let live = || publisher.timestamp_about(now, ntp, stream);
            let number = connection.send_history.number();
            let wire = Wire { profile: keys.profile, srtp: &keys.outbound, sent_at, number };
            let forwarded = slot.forward(now, stream.id, live, &packet, wire, &mut out);
            if let Forwarded::Sent(written) = forwarded {
                let length = written.length;
                connection.send_history.written(sent_at, written);
                self.stats.rtp_sent += 1;
                self.stats.rtp_sent_bytes += length as u64;
                super::enqueue(&mut self.outbox, &mut self.stats, path, out[..length].to_vec());
            }
        }
        self.stats.key_frames_cached += 1;
        let slot = &mut peer.slots[to.slot];
        if slot.stream() == Some(id)
            && let Some(passed) = slot.reach(source)
        {
            self.stats.count_layer(passed, source);
            self.unsubscribe(passed, to);
        }
        true
    }
}

/// Requests packets that another worker did not hand over, because its lane was full or because it misses them itself
/// and requests them from the publisher. Returns `true` while packets are still missing.
fn request_crossing(now: Instant, lane: &mut Lane, peer: PeerId, streams: &mut [Stream]) -> bool {
    let mut is_waiting = false;
    for stream in streams {
        let indexes: Vec<u64> = stream.nacks.due(now, UNKNOWN_ROUND_TRIP).collect();
        if !indexes.is_empty() {
            lane.post(Remote::Missing { peer, stream: stream.id, indexes });
        }
        is_waiting |= !stream.nacks.is_whole();
    }
    is_waiting
}
