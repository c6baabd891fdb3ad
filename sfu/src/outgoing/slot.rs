//! A slot: an m-line on which a peer receives. It is one continuous stream under a fixed SSRC, whatever source is put
//! into it, and the stream of its retransmissions (RTX, RFC 4588).

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::loss::Loss;
use super::rewrite::{Rewriter, Sent};
use super::ssrcs::Ssrcs;
use super::wire::{Wire, Written};
use crate::codec::Codec;
use crate::incoming::history::Packet;
use crate::keys::TrackKey;
use crate::rtcp::{NtpTime, SenderInfo};
use crate::rtp::Position;
use crate::rtp::{self, Header};
use crate::sdp::{self, Extension, ExtensionMap, Payload};
use crate::{MediaKind, Mid, Source};

/// One receiving slot of a peer.
pub(crate) struct Slot {
    pub(crate) mid: Mid,
    pub(crate) kind: MediaKind,
    pub(crate) ssrc: u32,
    pub(crate) payloads: Arc<[Payload]>,
    /// The codec last sent to the slot, and the format found for it, so that packets are not matched one by one.
    matched: Option<(Codec, Option<Format>)>,
    pub(crate) extensions: ExtensionMap,
    /// False once an offer has closed the m-line. The slot then waits for the m-line to be opened again, until another
    /// m-line needs its index.
    pub(crate) is_open: bool,
    /// The voice that an audio slot carries whoever speaks, while it is published.
    pub(crate) pinned: Option<Source>,
    source: Option<TrackKey>,
    /// The layer of the same source that the slot switches to at that layer's next key frame.
    next: Option<TrackKey>,
    rewriter: Rewriter,
    packets: u32,
    octets: u32,
    /// The loss that the receiver reports.
    pub(crate) loss: Loss,
    /// The SSRC of retransmissions, and the index of the next one.
    pub(crate) rtx_ssrc: u32,
    next_rtx_index: u64,
    /// Packets retransmitted lately, indexed by sequence number modulo the length; empty until the first request.
    resent: Vec<Option<(u16, Instant)>>,
    /// The id of the header extension for transport-wide sequence numbers, if the client sends TWCC feedback.
    number_id: Option<u8>,
    /// Sequence number and transport-wide number of packets that are retransmitted unchanged (without RTX), indexed by
    /// the former modulo the length; empty until the first such packet.
    numbered: Vec<(u16, u16)>,
}

/// Retransmissions remembered, so that a repeated request is answered only once per round trip.
const RESENT: usize = 128;
/// Transport-wide numbers remembered of packets that may be retransmitted unchanged: as many as a history has packets
/// of audio. Older packets are not retransmitted.
const NUMBERED: usize = 64;
/// Bytes in front of the payload of a retransmission: the original sequence number (RFC 4588 §4).
const ORIGINAL_SEQUENCE_NUMBER: usize = 2;

/// The outcome of forwarding a packet to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarded {
    /// The packet was written.
    Sent(Written),
    /// The packet is not for this slot: it has no payload, is too late, or its codec was not negotiated here.
    Dropped,
    /// The slot needs a key frame to continue.
    AwaitsKeyFrame,
}

impl Slot {
    /// An empty slot with SSRCs of its own and random starting numbers.
    pub(crate) fn new(
        mid: Mid,
        kind: MediaKind,
        payloads: Arc<[Payload]>,
        extensions: ExtensionMap,
        ssrcs: &mut Ssrcs,
        rng: &mut impl RngExt,
    ) -> Slot {
        Slot {
            mid,
            kind,
            ssrc: ssrcs.fresh(),
            number_id: number_id(&payloads, &extensions),
            payloads,
            matched: None,
            extensions,
            is_open: true,
            pinned: None,
            source: None,
            next: None,
            rewriter: Rewriter::new(kind, rng.random(), rng.random()),
            packets: 0,
            octets: 0,
            loss: Loss::default(),
            rtx_ssrc: ssrcs.fresh(),
            next_rtx_index: first_rtx_index(rng),
            resent: Vec::new(),
            numbered: Vec::new(),
        }
    }

    /// Begins the streams of the slot anew, for a receiver that has seen nothing of them: rollover counters are 0, and
    /// video waits for a key frame.
    pub(crate) fn restart(&mut self, rng: &mut impl RngExt) {
        self.rewriter = Rewriter::new(self.kind, rng.random(), rng.random());
        self.next_rtx_index = first_rtx_index(rng);
        (self.packets, self.octets, self.loss) = (0, 0, Loss::default());
        self.resent.clear();
        self.numbered.clear();
    }

    /// The track that the slot carries.
    pub(crate) fn source(&self) -> Option<TrackKey> {
        self.source
    }

    /// Puts another source in, or none.
    pub(crate) fn set_source(&mut self, source: Option<TrackKey>) {
        self.source = source;
        self.rewriter.stop();
    }

    /// Stops everything sent so far from being retransmitted. The same source then continues as after a switch.
    pub(crate) fn interrupt(&mut self) {
        self.rewriter.forget_sent();
        self.rewriter.stop();
    }

    /// The layer that the slot is about to switch to.
    pub(crate) fn next(&self) -> Option<TrackKey> {
        self.next
    }

    /// Sets the layer whose next key frame the slot waits for; `None` to stop waiting.
    pub(crate) fn set_next(&mut self, next: Option<TrackKey>) {
        self.next = next;
    }

    /// Notes that a packet of a layer was sent. If the slot was waiting for that layer, it carries it from now on.
    /// Returns the layer that it carried before.
    pub(crate) fn reach(&mut self, layer: TrackKey) -> Option<TrackKey> {
        if self.next != Some(layer) {
            return None;
        }
        std::mem::replace(&mut self.source, self.next.take())
    }

    /// Applies a later offer. If that changes anything, packets sent before can't be retransmitted: the same sequence
    /// number must not be sealed twice with different bytes (RFC 7714 §8.1).
    pub(crate) fn renegotiate(&mut self, payloads: &Arc<[Payload]>, extensions: &ExtensionMap) {
        self.is_open = true;
        if (&self.payloads, &self.extensions) == (payloads, extensions) {
            return;
        }
        self.rewriter.forget_sent();
        self.number_id = number_id(payloads, extensions);
        (self.payloads, self.extensions) = (Arc::clone(payloads), extensions.clone());
        self.matched = None;
    }

    /// Writes a packet as the next one of this slot, sealed, to the front of `out`, which has at least
    /// [`MAX_PACKET`](crate::transport::batch::MAX_PACKET) bytes. `live` returns the timestamp that the stream has at
    /// `now`, if known.
    pub(crate) fn forward(
        &mut self,
        now: Instant,
        stream: u64,
        live: impl FnOnce() -> Option<u32>,
        packet: &Packet<'_>,
        wire: Wire<'_>,
        out: &mut [u8],
    ) -> Forwarded {
        let Some(format) = self.format(packet.codec) else {
            // The publisher has changed its codec. If it changes back, the stream goes on as after a switch.
            if self.rewriter.follows(stream) {
                self.rewriter.stop();
            }
            return Forwarded::Dropped;
        };
        let content = content(packet, format.codec).filter(|content| !content.is_empty());
        let Some(content) = content else {
            if self.rewriter.follows(stream) {
                self.rewriter.leave_out(packet.position.index);
            }
            return Forwarded::Dropped;
        };
        let live = || live().unwrap_or(packet.position.timestamp);
        if !self.rewriter.follows(stream) {
            if self.kind == MediaKind::Video && !packet.starts_key_frame {
                return Forwarded::AwaitsKeyFrame;
            }
            self.rewriter.switch(now, stream, packet.position, live());
        } else if self.rewriter.is_jump(now, packet.position) {
            self.rewriter.jump(now, packet.position, live());
        }
        let Some(position) = self.rewriter.rewrite(packet.position) else {
            return Forwarded::Dropped;
        };
        let ssrc = self.ssrc;
        let number = self.number_id.filter(|_| self.is_measured(format)).map(|_| wire.number);
        let outgoing = Outgoing { format, ssrc, index: position.index, is_rtx: false, number };
        let Some(length) = self.write(packet, content, outgoing, position, wire, out) else {
            return Forwarded::Dropped;
        };
        if let Some(number) = number.filter(|_| format.rtx.is_none()) {
            self.numbered.resize(NUMBERED, (0, 0));
            let sequence_number = position.index as u16;
            self.numbered[usize::from(sequence_number) % NUMBERED] = (sequence_number, number);
        }
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(content.len() as u32);
        Forwarded::Sent(Written { length, number })
    }

    /// The packet sent under a sequence number, unless it was already retransmitted less than a round trip ago.
    pub(crate) fn requested(
        &mut self,
        now: Instant,
        sequence_number: u16,
        round_trip: Duration,
    ) -> Option<Sent> {
        let sent = self.rewriter.sent(sequence_number)?;
        self.resent.resize(RESENT, None);
        let last = &mut self.resent[usize::from(sequence_number) % RESENT];
        let is_answered = last.is_some_and(|(number, at)| {
            number == sequence_number && now.saturating_duration_since(at) < round_trip
        });
        if is_answered {
            return None;
        }
        *last = Some((sequence_number, now));
        Some(sent)
    }

    /// Writes a packet again, sealed, to the front of `out`: as RTX if that was negotiated, else unchanged.
    pub(crate) fn retransmit(
        &mut self,
        sent: &Sent,
        packet: &Packet<'_>,
        wire: Wire<'_>,
        out: &mut [u8],
    ) -> Option<Written> {
        let format = self.format(packet.codec)?;
        let content = content(packet, format.codec)?;
        let position = sent.position(packet.position);
        let is_measured = self.number_id.is_some() && self.is_measured(format);
        let outgoing = match format.rtx {
            Some(payload_type) => Outgoing {
                format: Format { payload_type, ..format },
                ssrc: self.rtx_ssrc,
                index: self.next_rtx_index,
                is_rtx: true,
                number: is_measured.then_some(wire.number),
            },
            None => {
                let number = if is_measured { Some(self.number_of(position)?) } else { None };
                let (ssrc, index) = (self.ssrc, position.index);
                Outgoing { format, ssrc, index, is_rtx: false, number }
            }
        };
        let length = self.write(packet, content, outgoing, position, wire, out)?;
        self.next_rtx_index += u64::from(outgoing.is_rtx);
        Some(Written { length, number: outgoing.number })
    }

    /// The transport-wide number of a packet that is retransmitted unchanged. It must be the number of the first time,
    /// because the same packet is sealed again (RFC 7714 §8.1).
    fn number_of(&self, position: Position) -> Option<u16> {
        let sequence_number = position.index as u16;
        let (known, number) = *self.numbered.get(usize::from(sequence_number) % NUMBERED)?;
        (known == sequence_number).then_some(number)
    }

    /// Whether packets carry a send time or a transport-wide number. Video that is retransmitted unchanged does not.
    fn is_measured(&self, format: Format) -> bool {
        self.kind == MediaKind::Audio || format.rtx.is_some()
    }

    /// The format in which this slot sends a published codec. Redundancy (RED) is removed for receivers that don't
    /// support it.
    fn format(&mut self, published: Codec) -> Option<Format> {
        if let Some((codec, format)) = self.matched
            && codec == published
        {
            return format;
        }
        let payload = sdp::best_match(&self.payloads, published);
        let format = payload.map(|&Payload { payload_type, codec, rtx, .. }| Format {
            payload_type,
            codec,
            rtx,
        });
        self.matched = Some((published, format));
        format
    }

    /// Whether the receiver can decode a published codec.
    pub(crate) fn decodes(&self, published: Codec) -> bool {
        sdp::best_match(&self.payloads, published).is_some()
    }

    /// The SSRC of retransmissions, if the client accepts any.
    pub(crate) fn offered_rtx_ssrc(&self) -> Option<u32> {
        self.payloads.iter().any(|payload| payload.rtx.is_some()).then_some(self.rtx_ssrc)
    }

    /// Writes header, payload and tag, and returns the total length. `None` if that exceeds the longest packet.
    fn write(
        &self,
        packet: &Packet<'_>,
        content: &[u8],
        outgoing: Outgoing,
        position: Position,
        wire: Wire<'_>,
        out: &mut [u8],
    ) -> Option<usize> {
        let passed_on = packet.extensions().filter_map(|(extension, value)| {
            self.extensions.id_of(extension).map(|id| (id, value))
        });
        let stamp = match outgoing.number.map(u16::to_be_bytes) {
            Some([high, low]) => self.number_id.map(|id| (id, [high, low, 0], 2)),
            None => {
                let id = self.send_time_id(outgoing.format);
                id.map(|id| (id, wire.sent_at.absolute(), 3))
            }
        };
        let stamp = stamp.as_ref().map(|(id, value, length)| (*id, &value[..*length]));
        let header_len = rtp::write_header(
            out,
            packet.marker,
            outgoing.format.payload_type,
            outgoing.index as u16,
            position.timestamp,
            outgoing.ssrc,
            passed_on.chain(stamp),
        );
        if packet.has_dependency_descriptor() {
            self.renumber_frame(&mut out[..header_len], position);
        }
        let start = if outgoing.is_rtx {
            let end = header_len + ORIGINAL_SEQUENCE_NUMBER;
            out.get_mut(header_len..end)?.copy_from_slice(&(position.index as u16).to_be_bytes());
            end
        } else {
            header_len
        };
        let end = start + content.len();
        let payload = out.get_mut(start..end)?;
        payload.copy_from_slice(content);
        match outgoing.format.codec {
            Codec::Red => {
                let opus = sdp::best_match(&self.payloads, Codec::Opus)?;
                rtp::red::rewrite(payload, opus.payload_type);
            }
            codec => position.counters.write(codec, payload),
        }
        let sealed = out.get_mut(..end + wire.profile.rtp_overhead())?;
        wire.srtp.protect_rtp(sealed, header_len, (outgoing.index >> 16) as u32);
        Some(sealed.len())
    }

    /// The id of the `abs-send-time` extension, by which the receiver estimates the bandwidth for its video (REMB),
    /// unless it sends TWCC feedback.
    fn send_time_id(&self, format: Format) -> Option<u8> {
        let is_estimated = self.kind == MediaKind::Video && self.is_measured(format);
        is_estimated.then(|| self.extensions.id_of(Extension::AbsoluteSendTime)).flatten()
    }

    /// Puts the slot's own frame number into a header that has been written.
    fn renumber_frame(&self, header: &mut [u8], position: Position) {
        let id = self.extensions.id_of(Extension::DependencyDescriptor);
        let written = id.zip(Header::parse(header));
        if let Some(place) = written.and_then(|(id, written)| written.extension_range(header, id)) {
            rtp::dependency::rewrite(&mut header[place], position.counters.frame_number);
        }
    }

    /// The incoming stream that the slot follows.
    pub(crate) fn stream(&self) -> Option<u64> {
        self.rewriter.stream()
    }

    /// The sender report at `now`; `live` is the timestamp that the followed stream has at that time. `None` if nothing
    /// was sent yet.
    pub(crate) fn sender_info(
        &mut self,
        now: Instant,
        ntp: NtpTime,
        live: Option<u32>,
    ) -> Option<SenderInfo> {
        Some(SenderInfo {
            ssrc: self.ssrc,
            ntp,
            rtp_timestamp: self.rewriter.reported(now, live)?,
            packets: self.packets,
            octets: self.octets,
        })
    }
}

/// Not close to a rollover, so that a receiver that misses the first packets still knows the counter.
fn first_rtx_index(rng: &mut impl RngExt) -> u64 {
    u64::from(rng.random::<u16>() & 0x7fff)
}

/// The id of the header extension for transport-wide sequence numbers, if the client sends TWCC feedback.
fn number_id(payloads: &[Payload], extensions: &ExtensionMap) -> Option<u8> {
    let is_told = payloads.iter().any(Payload::has_transport_feedback);
    extensions.id_of(Extension::TransportSequence).filter(|_| is_told)
}

/// The part of a packet's payload that is sent in a format. `None` if the payload is malformed.
fn content<'a>(packet: &Packet<'a>, format: Codec) -> Option<&'a [u8]> {
    match (packet.codec, format) {
        (Codec::Red, Codec::Opus) => rtp::red::primary(packet.payload),
        _ => Some(packet.payload),
    }
}

/// A negotiated codec and its payload types.
#[derive(Clone, Copy)]
struct Format {
    payload_type: u8,
    codec: Codec,
    /// The payload type of retransmissions.
    rtx: Option<u8>,
}

/// Header fields that differ between a packet and its retransmission.
#[derive(Clone, Copy)]
struct Outgoing {
    format: Format,
    ssrc: u32,
    /// The extended sequence number under that SSRC.
    index: u64,
    /// Whether it is a retransmission (RTX, RFC 4588).
    is_rtx: bool,
    /// Its transport-wide sequence number.
    number: Option<u16>,
}
