//! A receiving m-line: one continuous stream under a fixed SSRC, whatever source is put into it, and the stream of its
//! retransmissions (RFC 4588).

use std::time::{Duration, Instant};

use rand::RngExt;

use crate::history::Packet;
use crate::rewrite::{Position, Rewriter, Sent};
use crate::rtcp::{NtpTime, SenderInfo};
use crate::rtp;
use crate::sdp::{Codec, ExtensionMap, Payload, same_stream_format};
use crate::srtp::{Outbound, Profile};
use crate::track::{TrackKey, clock_rate};
use crate::{MediaKind, Mid};

/// One receiving slot of a peer.
pub(crate) struct Slot {
    pub(crate) mid: Mid,
    pub(crate) kind: MediaKind,
    pub(crate) ssrc: u32,
    pub(crate) payloads: Vec<Payload>,
    pub(crate) extensions: ExtensionMap,
    /// False once an offer closed the m-line; the place stays, because m-lines keep theirs.
    pub(crate) is_open: bool,
    source: Option<TrackKey>,
    rewriter: Rewriter,
    packets: u32,
    octets: u32,
    /// The SSRC of retransmissions, and the index of the next.
    pub(crate) rtx_ssrc: u32,
    next_rtx_index: u64,
    /// What was sent again lately, by sequence number modulo the length; empty until the first request.
    resent: Vec<Option<(u16, Instant)>>,
}

/// Retransmissions remembered, so that a repeated request is answered once in a round trip.
const RESENT: usize = 128;
/// Bytes that a retransmission has in front of the payload: the original sequence number. RFC 4588 §4.
const ORIGINAL_SEQUENCE_NUMBER: usize = 2;

/// What became of a packet at a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarded {
    /// It was written, with this length.
    Sent(usize),
    /// It isn't for this slot: no payload, too late, or a codec that was not negotiated here.
    Dropped,
    /// The slot can only go on with a key frame.
    AwaitsKeyFrame,
}

impl Slot {
    /// An empty slot with a random SSRC and start.
    pub(crate) fn new(
        mid: Mid,
        kind: MediaKind,
        payloads: Vec<Payload>,
        extensions: ExtensionMap,
        rng: &mut impl RngExt,
    ) -> Slot {
        Slot {
            mid,
            kind,
            ssrc: rng.random(),
            payloads,
            extensions,
            is_open: true,
            source: None,
            rewriter: Rewriter::new(clock_rate(kind), rng.random(), rng.random()),
            packets: 0,
            octets: 0,
            rtx_ssrc: rng.random(),
            next_rtx_index: u64::from(rng.random::<u16>() & 0x7fff),
            resent: Vec::new(),
        }
    }

    /// What it carries.
    pub(crate) fn source(&self) -> Option<TrackKey> {
        self.source
    }

    /// Puts another source in, or none.
    pub(crate) fn set_source(&mut self, source: Option<TrackKey>) {
        self.source = source;
        self.rewriter.stop();
    }

    /// Writes a packet as this slot's next, sealed, to the front of `out`, which has at least
    /// [`MAX_PACKET`](crate::batch::MAX_PACKET) bytes.
    pub(crate) fn forward(
        &mut self,
        now: Instant,
        stream: u64,
        packet: &Packet<'_>,
        keys: (Profile, &Outbound),
        out: &mut [u8],
    ) -> Forwarded {
        let Some(payload) = self.payload(packet.codec) else {
            return Forwarded::Dropped;
        };
        let payload_type = payload.payload_type;
        if packet.payload.is_empty() {
            self.rewriter.leave_out(packet.position.index);
            return Forwarded::Dropped;
        }
        if !self.rewriter.follows(stream) {
            if self.kind == MediaKind::Video && !packet.starts_key_frame {
                return Forwarded::AwaitsKeyFrame;
            }
            self.rewriter.switch(now, stream, packet.position);
        }
        let Some(position) = self.rewriter.rewrite(now, packet.position) else {
            return Forwarded::Dropped;
        };
        let header = Outgoing { payload_type, ssrc: self.ssrc, index: position.index };
        let Some(length) = self.write(packet, header, position, false, keys, out) else {
            return Forwarded::Dropped;
        };
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(packet.payload.len() as u32);
        Forwarded::Sent(length)
    }

    /// What was sent under a sequence number, unless it was sent again less than a round trip ago.
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

    /// Writes a packet that was sent before once more, sealed, to the front of `out`: as a retransmission where those
    /// are negotiated, else as it was. Returns the length.
    pub(crate) fn retransmit(
        &mut self,
        sent: &Sent,
        packet: &Packet<'_>,
        keys: (Profile, &Outbound),
        out: &mut [u8],
    ) -> Option<usize> {
        let payload = self.payload(packet.codec)?;
        let position = sent.position(packet.position);
        let header = match payload.rtx {
            Some(payload_type) => {
                Outgoing { payload_type, ssrc: self.rtx_ssrc, index: self.next_rtx_index }
            }
            None => Outgoing {
                payload_type: payload.payload_type,
                ssrc: self.ssrc,
                index: position.index,
            },
        };
        let is_rtx = payload.rtx.is_some();
        let length = self.write(packet, header, position, is_rtx, keys, out)?;
        self.next_rtx_index += u64::from(is_rtx);
        Some(length)
    }

    /// How a codec was negotiated here.
    fn payload(&self, codec: Codec) -> Option<&Payload> {
        self.payloads.iter().find(|payload| same_stream_format(codec, payload.codec))
    }

    /// The SSRC of retransmissions, when the client takes any.
    pub(crate) fn offered_rtx_ssrc(&self) -> Option<u32> {
        self.payloads.iter().any(|payload| payload.rtx.is_some()).then_some(self.rtx_ssrc)
    }

    /// Header, payload and tag; returns the whole length. `None` when that is longer than any packet may be.
    fn write(
        &self,
        packet: &Packet<'_>,
        header: Outgoing,
        position: Position,
        is_rtx: bool,
        (profile, srtp): (Profile, &Outbound),
        out: &mut [u8],
    ) -> Option<usize> {
        let passed_on = packet.extensions().filter_map(|(extension, value)| {
            self.extensions.id_of(extension).map(|id| (id, value))
        });
        let header_len = rtp::write_header(
            out,
            packet.marker,
            header.payload_type,
            header.index as u16,
            position.timestamp,
            header.ssrc,
            passed_on,
        );
        let start = if is_rtx {
            let end = header_len + ORIGINAL_SEQUENCE_NUMBER;
            out.get_mut(header_len..end)?.copy_from_slice(&(position.index as u16).to_be_bytes());
            end
        } else {
            header_len
        };
        let end = start + packet.payload.len();
        let payload = out.get_mut(start..end)?;
        payload.copy_from_slice(packet.payload);
        if packet.codec == Codec::Vp8 {
            rtp::vp8::rewrite(payload, position.picture_id, position.tl0_pic_idx);
        }
        let sealed = out.get_mut(..end + profile.rtp_overhead())?;
        srtp.protect_rtp(sealed, header_len, (header.index >> 16) as u32);
        Some(sealed.len())
    }

    /// What a sender report says at this moment; `None` while nothing was sent.
    pub(crate) fn sender_info(&self, now: Instant, ntp: NtpTime) -> Option<SenderInfo> {
        Some(SenderInfo {
            ssrc: self.ssrc,
            ntp,
            rtp_timestamp: self.rewriter.timestamp_at(now)?,
            packets: self.packets,
            octets: self.octets,
        })
    }
}

/// What of an outgoing header depends on whether the packet goes out for the first time.
#[derive(Clone, Copy)]
struct Outgoing {
    payload_type: u8,
    ssrc: u32,
    /// The extended sequence number in that SSRC.
    index: u64,
}
