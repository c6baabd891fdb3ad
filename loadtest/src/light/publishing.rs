//! The schedule of a publisher's audio and video packets. Times are microseconds of the run's clock.

use std::collections::VecDeque;
use std::sync::Arc;

use super::offer::{AUDIO_LEVEL, OPUS, Ssrcs, TRANSPORT_SEQUENCE, VP8, VP8_RTX};
use super::rtp::Header;
use crate::options::Pacing;
use crate::stamp::{Kind, Stamp};
use crate::vp8::Frame;
use crate::world::Sent;

const AUDIO_PERIOD_US: u64 = 20_000;
/// The size of an Opus frame of 20 ms at about 32 kbit/s, minus the stamp.
const AUDIO_FILLING: usize = 52;
const FRAMES_PER_SECOND: u64 = 30;
/// The number of frames between key frames when no one requests one.
const FRAMES_PER_KEY_FRAME: u32 = 900;
/// The size of a key frame relative to other frames.
const KEY_FRAME_FACTOR: usize = 4;
const BURST: usize = 8;
/// The time between two bursts of a frame.
const BURST_GAP_US: u64 = 5_000;
const SPREAD_US: u64 = 12_000;
/// The number of packets kept for retransmission, about two seconds of video. When full, the oldest is removed.
const HISTORY: usize = 512;

/// An unencrypted RTP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// Header and payload.
    pub bytes: Vec<u8>,
    /// The header's length.
    pub header_len: usize,
    /// How often the sequence number has wrapped around.
    pub rollovers: u32,
}

/// A publisher of one audio and one video stream.
pub struct Publisher {
    ssrcs: Ssrcs,
    sent: Arc<Sent>,
    pacing: Pacing,
    frame_bytes: usize,
    /// The audio level in −dBov (RFC 6464).
    level: u8,
    audio: Stream,
    video: Stream,
    rtx: Stream,
    transport_sequence: u16,
    next_audio_us: u64,
    next_frame_us: u64,
    frames: u32,
    since_key_frame: u32,
    wants_key_frame: bool,
    /// Scheduled packets in sending order: time, frame, index in the frame, timestamp. The remainder of a large key
    /// frame goes before the next frame. It holds at most the frames started in the last 33 ms.
    due: VecDeque<(u64, Frame, usize, u32)>,
    /// Sent audio and video packets, with their sequence numbers.
    history: VecDeque<(Kind, u16, Plain)>,
}

/// The counters of one RTP stream.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    next_index: u32,
    packets: u32,
    octets: u32,
    timestamp: u32,
}

/// The content of a sender report about one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// The SSRC of the stream.
    pub ssrc: u32,
    /// The RTP timestamp at the time of the report.
    pub timestamp: u32,
    /// The number of packets sent so far.
    pub packets: u32,
    /// The number of payload bytes sent so far.
    pub octets: u32,
}

impl Publisher {
    /// Creates a publisher that starts at `now_us`.
    pub fn new(
        now_us: u64,
        ssrcs: Ssrcs,
        sent: Arc<Sent>,
        pacing: Pacing,
        video_kbps: u32,
        level: u8,
    ) -> Publisher {
        // Peers that start together must not send together: each has its own phase in the frame period.
        let phase = u64::from(sent.sender.0) * 7919 % (1_000_000 / FRAMES_PER_SECOND);
        sent.begin(now_us);
        let mut publisher = Publisher {
            ssrcs,
            sent,
            pacing,
            frame_bytes: 0,
            level,
            audio: Stream::default(),
            video: Stream::default(),
            rtx: Stream::default(),
            transport_sequence: 0,
            next_audio_us: now_us + phase % AUDIO_PERIOD_US,
            next_frame_us: now_us + phase,
            frames: 0,
            since_key_frame: FRAMES_PER_KEY_FRAME,
            wants_key_frame: true,
            due: VecDeque::new(),
            history: VecDeque::new(),
        };
        publisher.set_video_kbps(video_kbps);
        publisher
    }

    /// Sets the bit rate of the video in kbit/s.
    pub fn set_video_kbps(&mut self, kbps: u32) {
        self.frame_bytes = kbps as usize * 1000 / 8 / FRAMES_PER_SECOND as usize;
    }

    /// Makes the next frame a key frame.
    pub fn request_key_frame(&mut self) {
        self.wants_key_frame = true;
    }

    /// The time of the next packet.
    pub fn next_due_us(&self) -> u64 {
        let packet = self.due.front().map_or(u64::MAX, |(at, ..)| *at);
        packet.min(self.next_audio_us).min(self.next_frame_us)
    }

    /// The next packet that is due.
    pub fn poll(&mut self, now_us: u64) -> Option<Plain> {
        if self.next_audio_us <= now_us {
            self.next_audio_us = after(self.next_audio_us, AUDIO_PERIOD_US, now_us);
            return Some(self.audio_packet(now_us));
        }
        if self.next_frame_us <= now_us {
            self.begin_frame(now_us);
        }
        let (_, frame, index, timestamp) = self.due.pop_front_if(|(at, ..)| *at <= now_us)?;
        Some(self.video_packet(now_us, frame, index, timestamp))
    }

    fn begin_frame(&mut self, now_us: u64) {
        let began = self.next_frame_us;
        self.next_frame_us = after(began, 1_000_000 / FRAMES_PER_SECOND, now_us);
        let is_key = self.wants_key_frame || self.since_key_frame >= FRAMES_PER_KEY_FRAME;
        self.since_key_frame = if is_key { 1 } else { self.since_key_frame + 1 };
        self.wants_key_frame = false;
        let bytes = self.frame_bytes * if is_key { KEY_FRAME_FACTOR } else { 1 };
        let frame = Frame::new((self.frames & 0x7FFF) as u16, is_key, bytes);
        let timestamp = self.frames.wrapping_mul(90_000 / FRAMES_PER_SECOND as u32);
        self.frames = self.frames.wrapping_add(1);
        self.video.timestamp = timestamp;
        for index in 0..frame.packets {
            let later = match self.pacing {
                Pacing::Burst | Pacing::Train => (index / BURST) as u64 * BURST_GAP_US,
                Pacing::Chromium => index as u64 * SPREAD_US / frame.packets as u64,
            };
            self.due.push_back((began + later, frame, index, timestamp));
        }
    }

    fn audio_packet(&mut self, now_us: u64) -> Plain {
        let voice = 0x80;
        let level = [voice | self.level];
        let sequence = self.next_transport_sequence();
        let extensions = [(AUDIO_LEVEL, &level[..]), (TRANSPORT_SEQUENCE, &sequence)];
        let stamp = self.stamp(Kind::Audio, now_us);
        let header = Header {
            marker: false,
            payload_type: OPUS,
            sequence_number: self.audio.next_index as u16,
            timestamp: self.audio.timestamp,
            ssrc: self.ssrcs.audio,
        };
        self.audio.timestamp = self.audio.timestamp.wrapping_add(960);
        let plain = self.audio.packet(&header, &extensions, |out| stamp.write(AUDIO_FILLING, out));
        self.remember(Kind::Audio, header.sequence_number, &plain);
        plain
    }

    fn video_packet(&mut self, now_us: u64, frame: Frame, index: usize, timestamp: u32) -> Plain {
        let sequence = self.next_transport_sequence();
        let stamp = self.stamp(Kind::Video, now_us);
        let header = Header {
            marker: index + 1 == frame.packets,
            payload_type: VP8,
            sequence_number: self.video.next_index as u16,
            timestamp,
            ssrc: self.ssrcs.video,
        };
        let extensions = [(TRANSPORT_SEQUENCE, &sequence[..])];
        let plain =
            self.video.packet(&header, &extensions, |out| frame.write_payload(index, &stamp, out));
        self.remember(Kind::Video, header.sequence_number, &plain);
        plain
    }

    /// The retransmission of a packet; `None` when it is no longer kept. Audio is repeated unchanged, video is sent as
    /// RTX (RFC 4588).
    pub fn retransmit(&mut self, ssrc: u32, sequence_number: u16) -> Option<Plain> {
        let kind = if ssrc == self.ssrcs.audio { Kind::Audio } else { Kind::Video };
        let is_it =
            |(of, number, _): &&(Kind, u16, Plain)| (*of, *number) == (kind, sequence_number);
        let plain = self.history.iter().rev().find(is_it)?.2.clone();
        if kind == Kind::Audio {
            return Some(plain);
        }
        let timestamp = Header::parse(&plain.bytes)?.timestamp;
        let sequence = self.next_transport_sequence();
        let header = Header {
            marker: false,
            payload_type: VP8_RTX,
            sequence_number: self.rtx.next_index as u16,
            timestamp,
            ssrc: self.ssrcs.video_rtx,
        };
        let payload = &plain.bytes[plain.header_len..];
        Some(self.rtx.packet(&header, &[(TRANSPORT_SEQUENCE, &sequence)], |out| {
            out.extend_from_slice(&sequence_number.to_be_bytes());
            out.extend_from_slice(payload);
        }))
    }

    /// The content of the sender reports.
    pub fn sender_infos(&self) -> [SenderInfo; 2] {
        [(self.ssrcs.audio, &self.audio), (self.ssrcs.video, &self.video)].map(|(ssrc, stream)| {
            let Stream { timestamp, packets, octets, .. } = *stream;
            SenderInfo { ssrc, timestamp, packets, octets }
        })
    }

    fn stamp(&self, kind: Kind, now_us: u64) -> Stamp {
        Stamp { sender: self.sent.sender, kind, seq: self.sent.next(kind), sent_us: now_us }
    }

    fn next_transport_sequence(&mut self) -> [u8; 2] {
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        self.transport_sequence.to_be_bytes()
    }

    fn remember(&mut self, kind: Kind, sequence_number: u16, plain: &Plain) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back((kind, sequence_number, plain.clone()));
    }
}

impl Stream {
    fn packet(
        &mut self,
        header: &Header,
        extensions: &[(u8, &[u8])],
        write_payload: impl FnOnce(&mut Vec<u8>),
    ) -> Plain {
        let mut bytes = Vec::with_capacity(1300);
        header.write(extensions, &mut bytes);
        let header_len = bytes.len();
        write_payload(&mut bytes);
        let rollovers = self.next_index >> 16;
        self.next_index = self.next_index.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add((bytes.len() - header_len) as u32);
        Plain { bytes, header_len, rollovers }
    }
}

/// The next time in a period. When this process is too slow, it sends less, rather than everything late and at once.
fn after(was_us: u64, period_us: u64, now_us: u64) -> u64 {
    let next = was_us + period_us;
    if next + period_us < now_us { now_us } else { next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    fn publisher(pacing: Pacing) -> Publisher {
        let ssrcs = Ssrcs { audio: 1, video: 2, video_rtx: 3 };
        Publisher::new(0, ssrcs, World::new().add_peer(), pacing, 1500, 30)
    }

    /// The packets sent from `from_us` until `until_us`, with their times, in steps of a millisecond.
    fn sent(publisher: &mut Publisher, from_us: u64, until_us: u64) -> Vec<(u64, Header)> {
        let mut sent = Vec::new();
        for now_us in (from_us..until_us).step_by(1000) {
            while let Some(plain) = publisher.poll(now_us) {
                sent.push((now_us, Header::parse(&plain.bytes).unwrap()));
            }
        }
        sent
    }

    #[test]
    fn a_second_has_fifty_voices_and_thirty_frames() {
        for pacing in [Pacing::Burst, Pacing::Train, Pacing::Chromium] {
            let mut publisher = publisher(pacing);
            sent(&mut publisher, 0, 1_000_000);

            let second = sent(&mut publisher, 1_000_000, 2_000_000);

            let count = |ssrc| second.iter().filter(|(_, header)| header.ssrc == ssrc).count();
            assert_eq!(count(1), 50);
            assert!((174..=186).contains(&count(2)), "{}", count(2));
            let frames = second.iter().filter(|(_, header)| header.ssrc == 2 && header.marker);
            assert!((29..=31).contains(&frames.count()));
        }
    }

    #[test]
    fn a_burst_is_at_once_and_chromium_spreads() {
        for (pacing, spread) in [(Pacing::Burst, 0..=0), (Pacing::Chromium, 9_000..=12_000)] {
            let mut publisher = publisher(pacing);
            sent(&mut publisher, 0, 1_000_000);

            let second = sent(&mut publisher, 1_000_000, 1_100_000);

            let video: Vec<_> = second.iter().filter(|(_, header)| header.ssrc == 2).collect();
            let last = video.iter().rfind(|(_, header)| header.marker).unwrap();
            let first = video.iter().find(|(_, h)| h.timestamp == last.1.timestamp).unwrap();
            assert!(spread.contains(&(last.0 - first.0)), "{pacing:?}: {}", last.0 - first.0);
        }
    }

    #[test]
    fn sequence_numbers_rise_by_one_also_when_a_key_frame_takes_long() {
        let mut publisher = publisher(Pacing::Burst);
        publisher.set_video_kbps(6000);
        let mut sent = sent(&mut publisher, 0, 300_000);
        sent.retain(|(_, header)| header.ssrc == 2);

        let numbers: Vec<u16> = sent.iter().map(|(_, header)| header.sequence_number).collect();
        assert_eq!(numbers, (0..numbers.len() as u16).collect::<Vec<_>>());
        assert!(sent.is_sorted_by_key(|(_, header)| header.timestamp));
    }

    #[test]
    fn what_was_sent_can_be_had_again() {
        let mut publisher = publisher(Pacing::Burst);
        let first = loop {
            let plain = publisher.poll(100_000).unwrap();
            if Header::parse(&plain.bytes).unwrap().ssrc == 2 {
                break plain;
            }
        };

        let again = publisher.retransmit(2, 0).unwrap();

        let header = Header::parse(&again.bytes).unwrap();
        assert_eq!((header.ssrc, header.payload_type), (3, VP8_RTX));
        let payload = &again.bytes[again.header_len..];
        assert_eq!(payload[..2], [0, 0]);
        assert_eq!(payload[2..], first.bytes[first.header_len..]);
        assert_eq!(publisher.retransmit(2, 999), None);
        assert_eq!(publisher.retransmit(1, 0).unwrap().bytes[1], OPUS);
    }

    #[test]
    fn a_stall_is_not_made_up_for() {
        let mut publisher = publisher(Pacing::Burst);
        sent(&mut publisher, 0, 1_000_000);

        let late = sent(&mut publisher, 10_000_000, 10_001_000);

        assert!(late.len() < 40, "{}", late.len());
    }
}
