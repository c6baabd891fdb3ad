//! RTCP: handles what peers send, and sends key frame requests (PLI), sender and receiver reports, and TWCC feedback.

use std::time::{Duration, Instant};

use super::message::{Remote, RemoteTrack};
use super::peer::{Connection, Link, Peer};
use super::{Worker, ntp_time};
use crate::MediaKind;
use crate::keys::WorkerNumber;
use crate::keys::{SlotKey, TrackKey};
use crate::outgoing::slot::Slot;
use crate::rtcp::twcc::Feedback;
use crate::rtcp::{self, Message, SenderInfo};
use crate::transport::dtls::MTU;

/// How often reports are sent to a peer. RFC 3550 §6.2 requires at least 5 s, which RFC 4585 §3.4 lifts for AVPF;
/// browsers report every second for video.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Sender reports in one datagram. With CNAMEs and report blocks they stay below any MTU.
const SENDER_REPORTS_PER_DATAGRAM: usize = 8;
/// Report blocks in one datagram.
const REPORT_BLOCKS_PER_DATAGRAM: usize = 16;
/// The most bytes that a profile adds to an RTCP datagram: a tag of 16 bytes and the index.
const MAX_RTCP_OVERHEAD: usize = 20;
/// Bytes that turn a single packet into a compound: an empty report, and a CNAME of 16 bytes with the end of its chunk.
const REPORT_AND_CNAME: usize = 8 + 28;

impl Worker {
    /// Handles an SRTCP packet. Returns whether it was authentic.
    pub(super) fn handle_rtcp(&mut self, now: Instant, key: usize, datagram: &mut [u8]) -> bool {
        let peer = &mut self.peers[key];
        let keys = peer.link.connection_mut().and_then(|connection| connection.keys.as_mut());
        let opened = keys.map(|keys| keys.inbound.unprotect_rtcp(datagram));
        let Some(Ok(length)) = opened else {
            self.stats.dropped_srtp += 1;
            return false;
        };
        self.stats.rtcp_received += 1;
        for message in rtcp::messages(&datagram[..length]) {
            match message {
                Message::SenderReport { ssrc, ntp, rtp_timestamp } => {
                    let here = ntp_time(self.started, now);
                    self.peers[key].reported(now, here, ssrc, (ntp, rtp_timestamp));
                    self.report_elsewhere(key, ssrc, (ntp, rtp_timestamp));
                }
                Message::Nack { ssrc, first, following } => {
                    self.resend(now, key, ssrc, Message::missing(first, following));
                }
                Message::Report {
                    ssrc,
                    cumulative_lost,
                    highest_sequence,
                    last_sender_report,
                    delay_since_last_sender_report,
                } => {
                    self.note_loss(now, key, ssrc, (highest_sequence, cumulative_lost));
                    let delay = delay_since_last_sender_report;
                    self.measure_round_trip(now, key, last_sender_report, delay);
                }
                Message::Estimate { bits_per_second } => {
                    if let Some(connection) = self.peers[key].link.connection_mut() {
                        connection.chooser.estimated(now, bits_per_second);
                    }
                }
                Message::TransportFeedback { payload } => {
                    let connection = self.peers[key].link.connection_mut();
                    if let Some((connection, feedback)) = connection.zip(Feedback::parse(payload)) {
                        connection.told(now, &feedback);
                    }
                }
                Message::Bye { ssrc } => self.stream_ended(key, ssrc),
                Message::KeyFrameRequest { ssrc } => {
                    self.stats.pli_received += 1;
                    let slots = &self.peers[key].slots;
                    let slot = slots.iter().position(|slot| slot.is_open && slot.ssrc == ssrc);
                    if let Some((slot, track)) = slot.and_then(|at| Some((at, slots[at].source()?)))
                        && self.can_show(SlotKey { peer: key, slot }, track)
                    {
                        self.want_key_frame(now, track);
                    }
                }
            }
        }
        true
    }

    /// Requests a key frame of a track from its publisher, now or as soon as the interval allows, unless nobody who
    /// receives the track can decode it.
    pub(super) fn want_key_frame(&mut self, now: Instant, key: TrackKey) {
        if self.peers.contains(key.peer) && self.is_shown(key) {
            let peer = &mut self.peers[key.peer];
            peer.tracks[key.track].key_frames.want();
            self.request_key_frames(now, key.peer);
        }
    }

    /// Starts all slots of a peer that has just connected.
    pub(super) fn start_slots(&mut self, now: Instant, key: usize) {
        for slot in 0..self.peers[key].slots.len() {
            self.start_slot(now, SlotKey { peer: key, slot });
        }
    }

    /// Sends due Picture Loss Indications (PLI) to one publisher.
    pub(super) fn request_key_frames(&mut self, now: Instant, key: usize) {
        let peer = &mut self.peers[key];
        let connection = match &peer.link {
            Link::Direct(connection) if connection.keys.is_some() => connection,
            Link::Direct(_) => return,
            Link::Through(worker) => {
                let worker = *worker;
                return self.request_key_frames_elsewhere(now, key, worker);
            }
        };
        let reporter = connection.reporter_ssrc;
        let mut compound = Vec::new();
        for track in 0..peer.tracks.len() {
            let Some(ssrc) = peer.ssrc_of(track) else {
                continue;
            };
            let track = &mut peer.tracks[track];
            // A paused layer can't answer, and the others would: senders answer with key frames of all layers.
            let is_there = track.rid.is_none() || track.bitrate.is_active(now);
            let is_received = !track.subscribers.is_empty() || !track.elsewhere.is_empty();
            if track.is_open
                && track.is_permitted
                && track.kind == MediaKind::Video
                && is_there
                && is_received
                && track.key_frames.is_due(now)
            {
                rtcp::write_pli(&mut compound, reporter, ssrc);
                self.stats.pli_sent += 1;
            }
        }
        if !compound.is_empty() {
            self.send_rtcp(key, compound);
        }
    }

    /// Sends due key frame requests to a publisher's worker.
    fn request_key_frames_elsewhere(&mut self, now: Instant, key: usize, worker: WorkerNumber) {
        let peer = &mut self.peers[key];
        for place in 0..peer.tracks.len() {
            let known = peer.last_key_frame(place);
            let track = &mut peer.tracks[place];
            let may_come = track.is_open && track.is_permitted;
            if may_come && !track.subscribers.is_empty() && track.key_frames.is_due(now) {
                let track = RemoteTrack { peer: peer.id, place };
                self.lanes[worker].post(Remote::KeyFrame { track, known });
            }
        }
    }

    /// Sends due sender reports about what a peer receives, and receiver reports about what it publishes.
    pub(super) fn report(&mut self, now: Instant, key: usize) {
        let peer = &mut self.peers[key];
        let Some(connection) = peer.link.connection_mut() else {
            return;
        };
        if connection.keys.is_none() || now < connection.reports_at {
            return;
        }
        connection.reports_at = now + REPORT_INTERVAL;
        let cname = super::negotiate::cname(connection);
        let blocks: Vec<_> = peer
            .streams
            .iter_mut()
            .filter_map(|stream| stream.reception.report(now, stream.ssrc))
            .collect();
        let reporter = connection.reporter_ssrc;
        let infos = self.sender_infos(now, key);
        for infos in infos.chunks(SENDER_REPORTS_PER_DATAGRAM) {
            let mut compound = Vec::new();
            for info in infos {
                rtcp::write_sender_report(&mut compound, info);
                rtcp::write_cname(&mut compound, info.ssrc, &cname);
            }
            self.send_rtcp(key, compound);
        }
        for blocks in blocks.chunks(REPORT_BLOCKS_PER_DATAGRAM) {
            let mut compound = Vec::new();
            rtcp::write_receiver_report(&mut compound, reporter, blocks);
            rtcp::write_cname(&mut compound, reporter, &cname);
            self.send_rtcp(key, compound);
        }
    }

    /// Takes a receiver's report about a video slot: the loss shows how much of the bitrate comes through.
    fn note_loss(&mut self, now: Instant, key: usize, ssrc: u32, reported: (u32, i32)) {
        let Peer { slots, link, .. } = &mut self.peers[key];
        let mut slots = slots.iter_mut();
        let slot = slots.find(|slot| slot.ssrc == ssrc && slot.kind == MediaKind::Video);
        let lost = slot.and_then(|slot| slot.loss.reported(now, reported));
        if let (Some(of_256), Some(connection)) = (lost, link.connection_mut()) {
            connection.chooser.lost(of_256);
        }
    }

    /// RFC 3550 §6.4.1: the time since the report that the peer refers to, minus the time that the peer held it.
    fn measure_round_trip(&mut self, now: Instant, key: usize, last: u32, delay: u32) {
        let passed = ntp_time(self.started, now).middle().wrapping_sub(last).wrapping_sub(delay);
        // In 1/65536 s. More than ten seconds means that a clock ran backwards, or that the report is invalid.
        if last != 0 && passed < 10 << 16 {
            let round_trip = Duration::from_micros((u64::from(passed) * 1_000_000) >> 16);
            if let Some(connection) = self.peers[key].link.connection_mut() {
                connection.measured(round_trip);
            }
        }
    }

    /// Sends TWCC feedback to a publisher.
    pub(super) fn report_arrivals(&mut self, key: usize) {
        loop {
            let (started, _) = self.started;
            let Some(peer) = self.peers.get_mut(key) else {
                return;
            };
            let mut payload = Vec::new();
            let Some(connection) = peer.link.connection_mut() else {
                return;
            };
            if !connection.arrivals.write(started, &mut payload) {
                return;
            }
            let Some(ssrc) = peer.streams.first().map(|stream| stream.ssrc) else {
                return;
            };
            let mut compound = Vec::new();
            rtcp::write_transport_feedback(&mut compound, connection.reporter_ssrc, ssrc, &payload);
            self.send_rtcp(key, compound);
        }
    }

    /// The contents of the sender reports about a peer's slots, by the clocks of the publishers that they carry.
    fn sender_infos(&mut self, now: Instant, key: usize) -> Vec<SenderInfo> {
        let ntp = ntp_time(self.started, now);
        let live = |slot: &Slot| {
            let publisher = self.peers.get(slot.source()?.peer)?;
            let id = slot.stream()?;
            let stream = publisher.streams.iter().find(|stream| stream.id == id)?;
            publisher.timestamp_at(now, ntp, stream)
        };
        let live: Vec<Option<u32>> = self.peers[key].slots.iter().map(live).collect();
        let slots = self.peers[key].slots.iter_mut().zip(live);
        slots.filter_map(|(slot, live)| slot.sender_info(now, ntp, live)).collect()
    }

    /// Sends RTCP packets in as few datagrams as possible (RFC 5506 allows any compound).
    pub(super) fn send_rtcp(&mut self, key: usize, mut compound: Vec<u8>) {
        while !compound.is_empty() {
            let rest = compound
                .split_off(rtcp::fitting(&compound, MTU - MAX_RTCP_OVERHEAD - REPORT_AND_CNAME));
            self.send_rtcp_datagram(key, compound);
            compound = rest;
        }
    }

    fn send_rtcp_datagram(&mut self, key: usize, compound: Vec<u8>) {
        let connection = self.peers.get_mut(key).and_then(|peer| peer.link.connection_mut());
        let Some(connection) = connection else {
            return;
        };
        let mut compound = if connection.has_reduced_size || rtcp::starts_with_report(&compound) {
            compound
        } else {
            let mut whole = Vec::new();
            rtcp::write_receiver_report(&mut whole, connection.reporter_ssrc, &[]);
            rtcp::write_cname(
                &mut whole,
                connection.reporter_ssrc,
                &super::negotiate::cname(connection),
            );
            whole.extend(compound);
            whole
        };
        let Connection { keys, ice, .. } = connection;
        let (Some(keys), Some(path)) = (keys, ice.selected()) else {
            return;
        };
        compound.resize(compound.len() + keys.profile.rtcp_overhead(), 0);
        if keys.outbound.protect_rtcp(&mut compound).is_err() {
            self.disconnect(key, "the SRTCP key is exhausted");
            return;
        }
        self.stats.rtcp_sent += 1;
        self.send(path, compound);
    }
}
