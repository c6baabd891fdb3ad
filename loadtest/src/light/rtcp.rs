//! RTCP of a light peer, written and parsed by the `rtc` crate.

use rtc::rtcp::packet::{self, Packet};
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};

use super::publishing::SenderInfo;
use super::stream::ReportBlock;

/// A message from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A sender report.
    SenderReport {
        /// The SSRC of the stream.
        ssrc: u32,
        /// The NTP time.
        ntp_time: u64,
    },
    /// A NACK: the server misses packets.
    Nack {
        /// The SSRC of the stream.
        ssrc: u32,
        /// The sequence numbers of the missing packets.
        numbers: Vec<u16>,
    },
    /// A key frame request (PLI or FIR).
    KeyFrame,
}

/// Parses a compound packet; `None` when it is malformed. Irrelevant packets are omitted.
pub fn read(mut compound: &[u8]) -> Option<Vec<Message>> {
    let packets = packet::unmarshal(&mut compound).ok()?;
    let message = |packet: &dyn Packet| {
        let packet = packet.as_any();
        if let Some(report) = packet.downcast_ref::<SenderReport>() {
            let (ssrc, ntp_time) = (report.ssrc, report.ntp_time);
            return Some(Message::SenderReport { ssrc, ntp_time });
        }
        if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
            let numbers = nack.nacks.iter().flat_map(|pair| pair.packet_list()).collect();
            return Some(Message::Nack { ssrc: nack.media_ssrc, numbers });
        }
        let wants = packet.is::<PictureLossIndication>() || packet.is::<FullIntraRequest>();
        wants.then_some(Message::KeyFrame)
    };
    Some(packets.iter().filter_map(|packet| message(packet.as_ref())).collect())
}

/// Writes sender reports for an NTP time.
pub fn sender_reports(ntp_time: u64, infos: &[SenderInfo]) -> Vec<u8> {
    let report = |info: &SenderInfo| {
        let report = SenderReport {
            ssrc: info.ssrc,
            ntp_time,
            rtp_time: info.timestamp,
            packet_count: info.packets,
            octet_count: info.octets,
            ..SenderReport::default()
        };
        Box::new(report) as Box<dyn Packet>
    };
    marshal(&infos.iter().map(report).collect::<Vec<_>>())
}

/// Writes receiver reports; one holds at most 31 blocks (RFC 3550 §6.4.2), further blocks go into further reports.
pub fn receiver_reports(reporter: u32, blocks: &[(u32, ReportBlock)]) -> Vec<u8> {
    let block = |(ssrc, block): &(u32, ReportBlock)| ReceptionReport {
        ssrc: *ssrc,
        fraction_lost: block.fraction_lost,
        total_lost: block.total_lost,
        last_sequence_number: block.highest,
        jitter: 0,
        last_sender_report: block.last_sender_report,
        delay: block.delay,
    };
    let report = |blocks: &[(u32, ReportBlock)]| {
        let reports = blocks.iter().map(block).collect();
        Box::new(ReceiverReport { ssrc: reporter, reports, ..ReceiverReport::default() })
            as Box<dyn Packet>
    };
    marshal(&blocks.chunks(31).map(report).collect::<Vec<_>>())
}

/// Writes a NACK for packets of a stream.
pub fn nack(reporter: u32, ssrc: u32, numbers: &[u16]) -> Vec<u8> {
    let nacks = nack_pairs_from_sequence_numbers(numbers);
    marshal(&[Box::new(TransportLayerNack { sender_ssrc: reporter, media_ssrc: ssrc, nacks })])
}

/// Writes a key frame request (PLI).
pub fn picture_loss(reporter: u32, ssrc: u32) -> Vec<u8> {
    marshal(&[Box::new(PictureLossIndication { sender_ssrc: reporter, media_ssrc: ssrc })])
}

/// Empty when the crate rejects its own packets, which does not happen for these lengths.
fn marshal(packets: &[Box<dyn Packet>]) -> Vec<u8> {
    packet::marshal(packets).map(Vec::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_read() {
        let info = SenderInfo { ssrc: 7, timestamp: 1, packets: 2, octets: 3 };
        let mut compound = sender_reports(99, &[info]);
        compound.extend(nack(1, 7, &[65_535, 3, 5]));
        compound.extend(picture_loss(1, 7));

        let expected = [
            Message::SenderReport { ssrc: 7, ntp_time: 99 },
            Message::Nack { ssrc: 7, numbers: vec![65_535, 3, 5] },
            Message::KeyFrame,
        ];
        assert_eq!(read(&compound).unwrap(), expected);
        assert_eq!(read(&compound[..10]), None);
    }

    #[test]
    fn many_blocks_go_into_several_reports() {
        let block = ReportBlock {
            fraction_lost: 1,
            total_lost: 2,
            highest: 3,
            last_sender_report: 4,
            delay: 5,
        };
        let blocks: Vec<_> = (0..40).map(|ssrc| (ssrc, block)).collect();
        let compound = receiver_reports(1, &blocks);
        assert_eq!(compound.len(), 2 * 8 + 40 * 24);
        assert_eq!(read(&compound), Some(Vec::new()));
    }
}
