//! VP8 frames that a forwarding server accepts as real ones.
//!
//! They have the payload descriptor of RFC 7741 and the frame header of RFC 6386 §9.1, which are all that a server
//! reads. After the header, every packet contains a stamp instead of a picture.

use bytes::Bytes;
use rtc::rtp::codec::vp8::Vp8Packet;
use rtc::rtp::packetizer::Depacketizer;

use crate::stamp::Stamp;

/// The maximum length of a packet's payload, in bytes.
const MAX_PAYLOAD: usize = 1100;
/// The length of a payload descriptor with X, I and a 15-bit picture id.
const DESCRIPTOR: usize = 4;
const KEY_HEADER: usize = 10;
const INTER_HEADER: usize = 3;
const WIDTH: u16 = 640;
const HEIGHT: u16 = 360;

/// A frame to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The picture id.
    pub picture_id: u16,
    /// Whether it is a key frame.
    pub is_key: bool,
    /// The number of packets.
    pub packets: usize,
    /// The length of each packet's payload, in bytes.
    payload_bytes: usize,
}

impl Frame {
    /// Creates a frame of about `bytes` bytes.
    pub fn new(picture_id: u16, is_key: bool, bytes: usize) -> Frame {
        let packets = bytes.div_ceil(MAX_PAYLOAD).max(1);
        let least = DESCRIPTOR + KEY_HEADER + Stamp::BYTES;
        let payload_bytes = (bytes / packets).clamp(least, MAX_PAYLOAD);
        Frame { picture_id, is_key, packets, payload_bytes }
    }

    /// Appends the RTP payload of one of the frame's packets.
    pub fn write_payload(&self, index: usize, stamp: &Stamp, out: &mut Vec<u8>) {
        let start = out.len();
        write_descriptor(index == 0, self.picture_id, out);
        if index == 0 {
            write_header(self.is_key, self.payload_bytes, out);
        }
        let filling = self.payload_bytes - (out.len() - start) - Stamp::BYTES;
        stamp.write(filling, out);
    }
}

/// The RTP payloads of a frame of about `bytes` bytes, each with the next stamp.
pub fn packetize(
    picture_id: u16,
    is_key: bool,
    bytes: usize,
    mut stamp: impl FnMut() -> Stamp,
) -> Vec<Bytes> {
    let frame = Frame::new(picture_id, is_key, bytes);
    let payload = |index| {
        let mut out = Vec::with_capacity(frame.payload_bytes);
        frame.write_payload(index, &stamp(), &mut out);
        Bytes::from(out)
    };
    (0..frame.packets).map(payload).collect()
}

fn write_descriptor(starts_frame: bool, picture_id: u16, out: &mut Vec<u8>) {
    let [high, low] = picture_id.to_be_bytes();
    out.extend_from_slice(&[0x80 | u8::from(starts_frame) << 4, 0x80, 0x80 | high, low]);
}

fn write_header(is_key: bool, first_part_size: usize, out: &mut Vec<u8>) {
    let show_frame = 1 << 4;
    let size = u32::try_from(first_part_size).unwrap_or(0) << 5;
    let tag = u32::from(!is_key) | show_frame | size;
    out.extend_from_slice(&tag.to_le_bytes()[..3]);
    if is_key {
        out.extend_from_slice(&[0x9D, 0x01, 0x2A]);
        out.extend_from_slice(&WIDTH.to_le_bytes());
        out.extend_from_slice(&HEIGHT.to_le_bytes());
    }
}

/// A parsed payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Whether it is the first packet of its frame.
    pub starts_frame: bool,
    /// Whether it is the first packet of a key frame.
    pub starts_key_frame: bool,
    /// The picture id.
    pub picture_id: u16,
    /// The stamp; `None` when it is damaged or was not written by [`packetize`].
    pub stamp: Option<Stamp>,
}

/// Parses a received payload; `None` when it is not VP8.
pub fn read(payload: &Bytes) -> Option<Received> {
    let mut descriptor = Vp8Packet::default();
    let frame = descriptor.depacketize(payload).ok()?;
    let starts_frame = descriptor.s == 1 && descriptor.pid == 0;
    let is_key = starts_frame && frame[0] & 1 == 0;
    let header = match (starts_frame, is_key) {
        (false, _) => 0,
        (true, true) => KEY_HEADER,
        (true, false) => INTER_HEADER,
    };
    let stamp = frame.get(header..).and_then(Stamp::read);
    let has_start_code = frame.get(3..6) == Some(&[0x9D, 0x01, 0x2A]);
    Some(Received {
        starts_frame,
        starts_key_frame: is_key && has_start_code,
        picture_id: descriptor.picture_id,
        stamp,
    })
}

/// The stamp in a received payload; `None` when it is damaged or absent.
pub fn stamp_of(payload: &[u8]) -> Option<Stamp> {
    read(&Bytes::copy_from_slice(payload))?.stamp
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::{Kind, SenderId};

    fn frame(is_key: bool, bytes: usize) -> Vec<Bytes> {
        let mut seq = 0;
        packetize(300, is_key, bytes, || {
            seq += 1;
            Stamp { sender: SenderId(1), kind: Kind::Video, seq, sent_us: 5 }
        })
    }

    #[test]
    fn every_packet_of_a_frame_has_the_next_stamp() {
        for is_key in [true, false] {
            let payloads = frame(is_key, 5000);
            assert_eq!(payloads.len(), 5);
            for (index, payload) in payloads.iter().enumerate() {
                let received = read(payload).unwrap();
                assert_eq!(received.starts_frame, index == 0);
                assert_eq!(received.starts_key_frame, is_key && index == 0);
                assert_eq!(received.picture_id, 300);
                assert_eq!(received.stamp.unwrap().seq as usize, index + 1);
            }
        }
    }

    #[test]
    fn a_tiny_frame_still_has_room_for_its_stamp() {
        let payloads = frame(true, 0);

        assert_eq!(payloads.len(), 1);
        assert!(read(&payloads[0]).unwrap().stamp.is_some());
    }

    #[test]
    fn a_rewritten_descriptor_does_not_matter() {
        let payload = frame(true, 100).remove(0);
        // With a TL0PICIDX and a one-byte picture id, as a server may write it.
        let mut rewritten = vec![0x90, 0xC0, 0x05, 0x09];
        rewritten.extend_from_slice(&payload[DESCRIPTOR..]);

        let received = read(&rewritten.into()).unwrap();

        assert!(received.starts_key_frame);
        assert_eq!(received.picture_id, 5);
        assert!(received.stamp.is_some());
    }

    #[test]
    fn anything_else_has_no_stamp() {
        assert_eq!(read(&Bytes::new()), None);
        let foreign = Bytes::from_static(&[0x10, 0x00, 0x00, 0x00, 0x9D, 0x01, 0x2A, 0, 0, 0, 0]);
        assert_eq!(read(&foreign).unwrap().stamp, None);
    }
}
