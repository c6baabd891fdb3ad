//! A receiving m-line: one continuous stream under a fixed SSRC, whatever source is put into it.

use std::time::Instant;

use rand::RngExt;

use crate::rewrite::{Position, Rewriter};
use crate::rtcp::{NtpTime, SenderInfo};
use crate::rtp;
use crate::sdp::{Codec, ExtensionMap, Payload, same_stream_format};
use crate::srtp::{Outbound, Profile};
use crate::track::{TrackKey, clock_rate};
use crate::worker::Packet;
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
}

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
        packet: &Packet<'_>,
        (profile, srtp): (Profile, &Outbound),
        out: &mut [u8],
    ) -> Forwarded {
        let Some(payload_type) = self.payload_type(packet.codec) else {
            return Forwarded::Dropped;
        };
        if packet.payload.is_empty() {
            self.rewriter.leave_out(packet.position.index);
            return Forwarded::Dropped;
        }
        if !self.rewriter.follows(packet.stream) {
            if self.kind == MediaKind::Video && !packet.starts_key_frame {
                return Forwarded::AwaitsKeyFrame;
            }
            self.rewriter.switch(now, packet.stream, packet.position);
        }
        let Some(position) = self.rewriter.rewrite(now, packet.position) else {
            return Forwarded::Dropped;
        };
        let length = self.write(packet, payload_type, position, profile.rtp_overhead(), out);
        let Some((header_len, length)) = length else {
            return Forwarded::Dropped;
        };
        srtp.protect_rtp(
            &mut out[..length],
            header_len,
            (position.index >> 16) as u32,
        );
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(packet.payload.len() as u32);
        Forwarded::Sent(length)
    }

    fn payload_type(&self, codec: Codec) -> Option<u8> {
        let mut payloads = self.payloads.iter();
        let same = payloads.find(|payload| same_stream_format(codec, payload.codec));
        same.map(|payload| payload.payload_type)
    }

    /// Header, payload and room for the tag; the header's length and the whole.
    fn write(
        &self,
        packet: &Packet<'_>,
        payload_type: u8,
        position: Position,
        overhead: usize,
        out: &mut [u8],
    ) -> Option<(usize, usize)> {
        let passed_on = packet.extensions().filter_map(|(extension, value)| {
            self.extensions.id_of(extension).map(|id| (id, value))
        });
        let header_len = rtp::write_header(
            out,
            packet.marker,
            payload_type,
            position.index as u16,
            position.timestamp,
            self.ssrc,
            passed_on,
        );
        let end = header_len + packet.payload.len();
        let payload = out.get_mut(header_len..end)?;
        payload.copy_from_slice(packet.payload);
        if packet.codec == Codec::Vp8 {
            rtp::vp8::rewrite(payload, position.picture_id, position.tl0_pic_idx);
        }
        (end + overhead <= out.len()).then_some((header_len, end + overhead))
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
