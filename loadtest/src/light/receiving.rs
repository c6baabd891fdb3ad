//! RTP at a light peer: counts every packet, decrypts a sample.

use super::peer::{Peer, Transport};
use super::rtp::Header;
use super::srtp::Keys;
use super::stream::Stream;
use super::tally::Tally;
use crate::stamp::{Kind, Stamp};
use crate::vp8;

impl Peer {
    /// The path of most packets: only a sample is decrypted.
    pub(super) fn handle_rtp(&mut self, now_us: u64, packet: &[u8], tally: &mut Tally) {
        let Some(header) = Header::parse(packet) else {
            tally.unreadable += 1;
            return;
        };
        let Some(place) = self.streams.iter().position(|stream| stream.line.ssrc == header.ssrc)
        else {
            self.handle_retransmission(now_us, header.ssrc, packet, tally);
            return;
        };
        let stream = &mut self.streams[place];
        let (number, is_newest) = stream.packet(now_us, header.sequence_number);
        if !stream.gaps.is_whole() {
            self.next_gaps_us.get_or_insert(now_us);
        }
        tally.bytes += packet.len() as u64;
        if is_newest && tally.is_sampled() {
            self.open(now_us, place, number, packet, tally);
        }
    }

    fn open(&mut self, now_us: u64, place: usize, number: u32, packet: &[u8], t: &mut Tally) {
        let Transport::Connected(_, keys) = &self.transport else {
            t.unreadable += 1;
            return;
        };
        let stream = &mut self.streams[place];
        let opened = open_with(keys, packet, stream.rollovers(number));
        let stamp = opened.and_then(|(rollovers, payload)| {
            stream.authenticated(number, rollovers);
            stamp(stream.line.kind, &payload)
        });
        match stamp {
            Some(stamp) if stamp.kind == stream.line.kind => {
                stream.stamped(number, &stamp);
                t.latency[stamp.kind as usize].record(now_us.saturating_sub(stamp.sent_us));
            }
            _ => t.unreadable += 1,
        }
    }

    /// RFC 4588 §4: the original sequence number is at the start of the payload, so every retransmission is decrypted.
    fn handle_retransmission(&mut self, now_us: u64, ssrc: u32, packet: &[u8], tally: &mut Tally) {
        let is_it = |stream: &Stream| stream.line.rtx_ssrc == Some(ssrc);
        let place = self.streams.iter().position(is_it);
        let (Some(place), Transport::Connected(_, keys)) = (place, &self.transport) else {
            tally.unreadable += 1;
            return;
        };
        // There are so few retransmissions in a run that their sequence number wraps around at most once.
        let original = open_with(keys, packet, 0..2).and_then(|(_, payload)| {
            payload.first_chunk().map(|number| u16::from_be_bytes(*number))
        });
        match original {
            Some(original) => {
                tally.retransmissions += 1;
                self.streams[place].packet(now_us, original);
            }
            None => tally.unreadable += 1,
        }
    }
}

/// Tries to decrypt a packet; returns the number of rollovers that fits, and the payload.
fn open_with(
    keys: &Keys,
    packet: &[u8],
    mut rollovers: impl Iterator<Item = u32>,
) -> Option<(u32, Vec<u8>)> {
    let header_len = Header::length(packet)?;
    rollovers.find_map(|rollovers| {
        let mut copy = packet.to_vec();
        let length = keys.open_rtp(&mut copy, header_len, rollovers)?;
        copy.truncate(length);
        Some((rollovers, copy.split_off(header_len)))
    })
}

fn stamp(kind: Kind, payload: &[u8]) -> Option<Stamp> {
    match kind {
        Kind::Audio => Stamp::read(payload),
        Kind::Video => vp8::stamp_of(payload),
    }
}
