//! The RTCP that the media plane reads and writes: RFC 3550 §6, NACK (RFC 4585 §6.2.1), PLI (RFC 4585 §6.3.1), FIR (RFC
//! 5104 §4.3.1), REMB, and TWCC feedback ([`twcc`]).

pub(crate) mod twcc;

use std::time::Duration;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const FMT_NACK: u8 = 1;
const FMT_TRANSPORT_CC: u8 = 15;
const FMT_PLI: u8 = 1;
const FMT_FIR: u8 = 4;
const FMT_APPLICATION: u8 = 15;
const SDES_CNAME: u8 = 1;

/// Upper bound of an estimate (REMB), in bits per second: more than any receiver gets.
const MAX_ESTIMATE: u64 = 100_000_000_000;

/// The most report blocks that the five-bit count allows (RFC 3550 §6.4.1).
const MAX_BLOCKS: usize = 31;

/// A part of a compound packet that the server acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// A sender's clock: this RTP timestamp was sampled at this wall-clock time.
    SenderReport { ssrc: u32, ntp: NtpTime, rtp_timestamp: u32 },
    /// A receiver needs a key frame of this stream (PLI or FIR).
    KeyFrameRequest { ssrc: u32 },
    /// A receiver misses these packets: the first one, and a bit for each of the 16 behind it.
    Nack { ssrc: u32, first: u16, following: u16 },
    /// A receiver's report block about one of our streams.
    Report {
        ssrc: u32,
        /// Since the stream began.
        cumulative_lost: i32,
        highest_sequence: u32,
        last_sender_report: u32,
        delay_since_last_sender_report: u32,
    },
    /// The bandwidth that a receiver estimates for everything it gets, in bits per second (REMB,
    /// draft-alvestrand-rmcat-remb-03).
    Estimate { bits_per_second: u64 },
    /// TWCC feedback: when packets with transport-wide sequence numbers arrived. `payload` follows the two SSRCs.
    TransportFeedback { payload: &'a [u8] },
    /// A stream of the sender has ended.
    Bye { ssrc: u32 },
}

impl Message<'_> {
    /// The sequence numbers that a generic NACK names.
    pub(crate) fn missing(first: u16, following: u16) -> impl Iterator<Item = u16> {
        let behind = (0..16).filter(move |bit| following >> bit & 1 == 1);
        std::iter::once(first).chain(behind.map(move |bit| first.wrapping_add(bit + 1)))
    }
}

/// A 64-bit NTP timestamp: seconds since 1900 and their fraction (RFC 3550 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NtpTime(pub(crate) u64);

impl NtpTime {
    const UNIX_EPOCH_SECONDS: u64 = 2_208_988_800;

    /// Converts the time since 1970.
    pub(crate) fn from_unix(time: Duration) -> NtpTime {
        let seconds = (time.as_secs() + Self::UNIX_EPOCH_SECONDS) & 0xffff_ffff;
        let fraction = (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000;
        NtpTime((seconds << 32) | fraction)
    }

    /// The middle 32 bits, as in report blocks.
    pub(crate) fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// Reads a compound packet up to the first malformed part.
pub(crate) fn messages(compound: &[u8]) -> impl Iterator<Item = Message<'_>> {
    packets(compound).flat_map(|packet| {
        let key_frames = key_frame_requests(packet).map(|ssrc| Message::KeyFrameRequest { ssrc });
        sender_report(packet)
            .into_iter()
            .chain(reports(packet))
            .chain(key_frames)
            .chain(nacks(packet))
            .chain(transport_feedback(packet))
            .chain(estimate(packet))
            .chain(ended(packet))
    })
}

fn packets(compound: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = compound;
    std::iter::from_fn(move || {
        let header = rest.first_chunk::<4>()?;
        let length = 4 * (usize::from(u16::from_be_bytes([header[2], header[3]])) + 1);
        if header[0] >> 6 != 2 || length > rest.len() {
            return None;
        }
        let (packet, after) = rest.split_at(length);
        rest = after;
        Some(packet)
    })
}

fn word(packet: &[u8], at: usize) -> Option<u32> {
    packet.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

fn sender_report(packet: &[u8]) -> Option<Message<'_>> {
    if packet[1] != SENDER_REPORT {
        return None;
    }
    let ntp = (u64::from(word(packet, 8)?) << 32) | u64::from(word(packet, 12)?);
    Some(Message::SenderReport {
        ssrc: word(packet, 4)?,
        ntp: NtpTime(ntp),
        rtp_timestamp: word(packet, 16)?,
    })
}

/// The report blocks of sender and receiver reports.
fn reports(packet: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let start = match packet[1] {
        SENDER_REPORT => 28,
        RECEIVER_REPORT => 8,
        _ => packet.len(),
    };
    let count = usize::from(packet[0] & 0x1f);
    let blocks = packet.get(start..).unwrap_or_default().chunks_exact(24).take(count);
    blocks.filter_map(|block| {
        Some(Message::Report {
            ssrc: word(block, 0)?,
            // A signed number of 24 bits.
            cumulative_lost: (word(block, 4)? << 8) as i32 >> 8,
            highest_sequence: word(block, 8)?,
            last_sender_report: word(block, 16)?,
            delay_since_last_sender_report: word(block, 20)?,
        })
    })
}

fn nacks(packet: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let is_nack = packet[1] == TRANSPORT_FEEDBACK && packet[0] & 0x1f == FMT_NACK;
    let entries = if is_nack { packet.get(12..).unwrap_or_default() } else { &[] };
    entries.chunks_exact(4).filter_map(|entry| {
        let ssrc = word(packet, 8)?;
        let first = u16::from_be_bytes([entry[0], entry[1]]);
        let following = u16::from_be_bytes([entry[2], entry[3]]);
        Some(Message::Nack { ssrc, first, following })
    })
}

fn transport_feedback(packet: &[u8]) -> Option<Message<'_>> {
    let is_it = packet[1] == TRANSPORT_FEEDBACK && packet[0] & 0x1f == FMT_TRANSPORT_CC;
    // With padding, the last byte is its length; there are enough deltas without it.
    let payload = packet.get(12..).filter(|_| is_it)?;
    Some(Message::TransportFeedback { payload })
}

fn key_frame_requests(packet: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let format = (packet[1] == PAYLOAD_FEEDBACK).then_some(packet[0] & 0x1f);
    let pli = (format == Some(FMT_PLI)).then(|| word(packet, 8)).flatten();
    let entries = if format == Some(FMT_FIR) { packet.get(12..).unwrap_or_default() } else { &[] };
    pli.into_iter().chain(entries.chunks_exact(8).filter_map(|entry| word(entry, 0)))
}

/// REMB §2.2: the identifier, the number of SSRCs, six bits of exponent and 18 of mantissa. The SSRCs that follow are
/// those of everything that a browser receives.
fn estimate(packet: &[u8]) -> Option<Message<'_>> {
    let is_estimate = packet[1] == PAYLOAD_FEEDBACK
        && packet[0] & 0x1f == FMT_APPLICATION
        && packet.get(12..16) == Some(b"REMB");
    let value = word(packet, 16).filter(|_| is_estimate)?;
    let (exponent, mantissa) = (value >> 18 & 0x3f, u64::from(value & 0x3_ffff));
    let bits_per_second = u128::from(mantissa) << exponent;
    let bits_per_second = bits_per_second.min(MAX_ESTIMATE.into()) as u64;
    Some(Message::Estimate { bits_per_second })
}

/// RFC 3550 §6.6.
fn ended(packet: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let count = if packet[1] == BYE { usize::from(packet[0] & 0x1f) } else { 0 };
    (0..count).map_while(|at| Some(Message::Bye { ssrc: word(packet, 4 + 4 * at)? }))
}

/// One report block of a receiver report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReportBlock {
    pub(crate) ssrc: u32,
    /// Share of the packets expected since the last report, in 1/256.
    pub(crate) fraction_lost: u8,
    /// Since the stream began; 24 bits, negative if there were duplicates.
    pub(crate) cumulative_lost: i32,
    pub(crate) highest_sequence: u32,
    /// In units of the RTP clock.
    pub(crate) jitter: u32,
    /// The middle 32 bits of the NTP timestamp in the last sender report; 0 if there was none.
    pub(crate) last_sender_report: u32,
    /// In 1/65536 seconds.
    pub(crate) delay_since_last_sender_report: u32,
}

/// The contents of a sender report about one of our streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SenderInfo {
    pub(crate) ssrc: u32,
    pub(crate) ntp: NtpTime,
    pub(crate) rtp_timestamp: u32,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

fn header(out: &mut Vec<u8>, count_or_format: u8, packet_type: u8, words_after_header: usize) {
    out.extend([0x80 | count_or_format, packet_type]);
    out.extend((words_after_header as u16).to_be_bytes());
}

/// Appends a sender report without report blocks.
pub(crate) fn write_sender_report(out: &mut Vec<u8>, info: &SenderInfo) {
    header(out, 0, SENDER_REPORT, 6);
    out.extend(info.ssrc.to_be_bytes());
    out.extend(info.ntp.0.to_be_bytes());
    out.extend(info.rtp_timestamp.to_be_bytes());
    out.extend(info.packets.to_be_bytes());
    out.extend(info.octets.to_be_bytes());
}

/// Appends a receiver report with the first 31 blocks.
pub(crate) fn write_receiver_report(out: &mut Vec<u8>, sender: u32, blocks: &[ReportBlock]) {
    let blocks = &blocks[..blocks.len().min(MAX_BLOCKS)];
    header(out, blocks.len() as u8, RECEIVER_REPORT, 1 + 6 * blocks.len());
    out.extend(sender.to_be_bytes());
    for block in blocks {
        out.extend(block.ssrc.to_be_bytes());
        let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        out.extend(((u32::from(block.fraction_lost) << 24) | lost).to_be_bytes());
        out.extend(block.highest_sequence.to_be_bytes());
        out.extend(block.jitter.to_be_bytes());
        out.extend(block.last_sender_report.to_be_bytes());
        out.extend(block.delay_since_last_sender_report.to_be_bytes());
    }
}

/// Appends a source description with the first 255 bytes of the CNAME.
pub(crate) fn write_cname(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    let cname = &cname.as_bytes()[..cname.len().min(255)];
    // The chunk ends with at least one zero byte and on a word boundary (RFC 3550 §6.5).
    let item = 2 + cname.len();
    let padding = 4 - item % 4;
    header(out, 1, SOURCE_DESCRIPTION, 1 + (item + padding) / 4);
    out.extend(ssrc.to_be_bytes());
    out.extend([SDES_CNAME, cname.len() as u8]);
    out.extend(cname);
    out.extend(&[0; 4][..padding]);
}

/// Appends a Picture Loss Indication.
pub(crate) fn write_pli(out: &mut Vec<u8>, sender: u32, media: u32) {
    header(out, FMT_PLI, PAYLOAD_FEEDBACK, 2);
    out.extend(sender.to_be_bytes());
    out.extend(media.to_be_bytes());
}

/// Appends a generic NACK for these packets, which must be in the order of their sequence numbers.
pub(crate) fn write_nack(out: &mut Vec<u8>, sender: u32, media: u32, missing: &[u16]) {
    let start = out.len();
    header(out, FMT_NACK, TRANSPORT_FEEDBACK, 2);
    out.extend(sender.to_be_bytes());
    out.extend(media.to_be_bytes());
    let mut entry: Option<(u16, u16)> = None;
    for &number in missing {
        entry = match entry {
            Some((first, following)) if (1..=16).contains(&number.wrapping_sub(first)) => {
                Some((first, following | 1 << (number.wrapping_sub(first) - 1)))
            }
            full => {
                out.extend(full.into_iter().flat_map(nack_entry));
                Some((number, 0))
            }
        };
    }
    out.extend(entry.into_iter().flat_map(nack_entry));
    let words = (out.len() - start) / 4 - 1;
    out[start + 2..start + 4].copy_from_slice(&(words as u16).to_be_bytes());
}

/// Appends TWCC feedback; `payload` follows the two SSRCs, and is a whole number of words.
pub(crate) fn write_transport_feedback(out: &mut Vec<u8>, sender: u32, media: u32, payload: &[u8]) {
    header(out, FMT_TRANSPORT_CC, TRANSPORT_FEEDBACK, 2 + payload.len() / 4);
    out.extend(sender.to_be_bytes());
    out.extend(media.to_be_bytes());
    out.extend(payload);
}

/// Whether a datagram starts with a report, as every RTCP datagram must unless reduced size was negotiated (RFC 3550
/// §6.1).
pub(crate) fn starts_with_report(compound: &[u8]) -> bool {
    matches!(compound.get(1), Some(&(SENDER_REPORT | RECEIVER_REPORT)))
}

/// The bytes of a compound that are whole packets and fit into `limit`; at least the first packet.
pub(crate) fn fitting(compound: &[u8], limit: usize) -> usize {
    let mut end = 0;
    while let Some([_, _, high, low]) = compound.get(end..).and_then(<[u8]>::first_chunk) {
        let next = end + 4 * (usize::from(u16::from_be_bytes([*high, *low])) + 1);
        if next > compound.len() || (next > limit && end > 0) {
            break;
        }
        end = next;
    }
    // Bytes that are not RTCP packets can't be cut.
    if end == 0 { compound.len() } else { end }
}

fn nack_entry((first, following): (u16, u16)) -> [u8; 4] {
    let [a, b] = first.to_be_bytes();
    let [c, d] = following.to_be_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn compounds_are_cut_between_packets() {
        let mut compound = Vec::new();
        for _ in 0..3 {
            write_pli(&mut compound, 1, 2);
        }
        assert_eq!(compound.len(), 36);
        let cuts = [(100, 36), (36, 36), (35, 24), (12, 12), (5, 12), (0, 12)];
        for (limit, cut) in cuts {
            assert_eq!(fitting(&compound, limit), cut, "{limit}");
        }
        assert_eq!(fitting(&compound[..10], 100), 10);
    }

    #[test]
    fn a_compound_packet_is_read_part_by_part() {
        let mut compound = Vec::new();
        let info = SenderInfo {
            ssrc: 7,
            ntp: NtpTime(0x0123_4567_89ab_cdef),
            rtp_timestamp: 9,
            packets: 1,
            octets: 2,
        };
        write_sender_report(&mut compound, &info);
        write_cname(&mut compound, 7, "마당");
        let block = ReportBlock {
            cumulative_lost: -3,
            highest_sequence: 70_000,
            last_sender_report: 3,
            delay_since_last_sender_report: 4,
            ..ReportBlock::default()
        };
        write_receiver_report(&mut compound, 7, &[block]);
        write_pli(&mut compound, 7, 8);
        // FIR with two entries.
        compound.extend([0x84, 206, 0, 6, 0, 0, 0, 7, 0, 0, 0, 0]);
        compound.extend([0, 0, 0, 10, 1, 0, 0, 0, 0, 0, 0, 11, 1, 0, 0, 0]);

        let read: Vec<Message> = messages(&compound).collect();

        assert_eq!(
            read,
            [
                Message::SenderReport { ssrc: 7, ntp: info.ntp, rtp_timestamp: 9 },
                Message::Report {
                    ssrc: 0,
                    cumulative_lost: -3,
                    highest_sequence: 70_000,
                    last_sender_report: 3,
                    delay_since_last_sender_report: 4,
                },
                Message::KeyFrameRequest { ssrc: 8 },
                Message::KeyFrameRequest { ssrc: 10 },
                Message::KeyFrameRequest { ssrc: 11 },
            ]
        );
    }

    #[test]
    fn a_nack_names_each_packet_once() {
        let missing = [65_530u16, 65_535, 3, 10, 11, 12, 500];
        let mut compound = Vec::new();
        write_nack(&mut compound, 1, 9, &missing);
        assert_eq!(compound.len(), 12 + 3 * 4, "packets close to each other share an entry");
        let read: Vec<u16> = messages(&compound)
            .flat_map(|message| match message {
                Message::Nack { ssrc: 9, first, following } => Message::missing(first, following),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(read, missing);
    }

    #[test]
    fn remb_is_read_and_bounded() {
        let estimate = |bits_per_second| [Message::Estimate { bits_per_second }];
        let check = |exponent: u8, mantissa: u32, expected| {
            let mut packet = vec![0x8f, 206, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0];
            packet.extend(b"REMB");
            packet.extend((2 << 24 | u32::from(exponent) << 18 | mantissa).to_be_bytes());
            packet.extend([0; 8]);
            assert_eq!(messages(&packet).collect::<Vec<_>>(), estimate(expected));
        };
        check(0, 0, 0);
        check(3, 100_000, 800_000);
        check(63, 0x3_ffff, MAX_ESTIMATE);
        let mut other = vec![0x8f, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0];
        other.extend(b"RIMB");
        other.extend([1, 0, 0, 1]);
        assert_eq!(messages(&other).count(), 0, "another application's");
    }

    #[test]
    fn bye_names_each_stream_listed() {
        let bye = [0x83, 203, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8];
        let read: Vec<Message> = messages(&bye).collect();
        assert_eq!(read, [Message::Bye { ssrc: 7 }, Message::Bye { ssrc: 8 }]);
    }

    #[test]
    fn every_part_ends_on_a_word_boundary() {
        for length in 0..10 {
            let mut part = Vec::new();
            write_cname(&mut part, 1, &"x".repeat(length));
            let words = usize::from(u16::from_be_bytes([part[2], part[3]]));
            assert_eq!(part.len(), 4 * (words + 1), "cname of {length}");
            assert_eq!(part.last(), Some(&0));
        }
    }

    #[test]
    fn ntp_counts_from_1900() {
        let time = NtpTime::from_unix(Duration::new(1, 500_000_000));
        assert_eq!(time.0, (2_208_988_801 << 32) | 0x8000_0000);
        assert_eq!(time.middle(), ((2_208_988_801u64 << 16) as u32) | 0x8000);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            messages(&bytes).for_each(drop);
        }
    }
}
