//! What a worker counts.

use crate::keys::TrackKey;

/// Counters of one worker, since it started unless a field says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rooms with at least one peer, at the moment; a room on several workers counts at one of them.
    pub rooms: u64,
    /// Peers, at the moment.
    pub peers: u64,
    /// Peers whose ICE and DTLS are up, at the moment.
    pub connected_peers: u64,
    /// RTP packets received and authenticated.
    pub rtp_received: u64,
    /// Bytes of those, with headers, before decryption.
    pub rtp_received_bytes: u64,
    /// RTP packets sent.
    pub rtp_sent: u64,
    /// Bytes of those, with headers, after encryption.
    pub rtp_sent_bytes: u64,
    /// RTCP packets received and authenticated.
    pub rtcp_received: u64,
    /// RTCP packets sent.
    pub rtcp_sent: u64,
    /// NACKs sent to publishers; each may name several packets.
    pub nack_sent: u64,
    /// Lost packets that publishers sent again, and that were still missing.
    pub rtx_received: u64,
    /// Packets sent again to receivers.
    pub rtx_sent: u64,
    /// Packets not sent again because the receiver's budget was used up.
    pub rtx_refused: u64,
    /// Slots that started on a key frame from the cache.
    pub key_frames_cached: u64,
    /// Packets handed to other workers, for receivers of the same room there.
    pub crossed: u64,
    /// Packets not handed to another worker because it was too far behind.
    pub crossing_refused: u64,
    /// Picture Loss Indications sent to publishers.
    pub pli_sent: u64,
    /// Picture Loss Indications and Full Intra Requests received from subscribers.
    pub pli_received: u64,
    /// Times that a receiver got a better layer of a camera.
    pub layers_up: u64,
    /// Times that a receiver got a lesser layer of a camera.
    pub layers_down: u64,
    /// Receivers whose bandwidth is estimated by their transport-wide feedback, at the moment.
    pub estimated_by_feedback: u64,
    /// Receivers that estimate it themselves (REMB), at the moment.
    pub estimated_by_receiver: u64,
    /// Receivers whose losses say that it is little, at the moment.
    pub estimated_by_loss: u64,
    /// Datagrams dropped because no protocol of RFC 7983 starts with their first byte.
    pub dropped_unknown: u64,
    /// Datagrams dropped because they came from an address that no ICE check validated.
    pub dropped_unvalidated: u64,
    /// STUN messages dropped: malformed, for no known peer, or with a wrong MESSAGE-INTEGRITY.
    pub dropped_stun: u64,
    /// SRTP and SRTCP packets dropped: malformed, replayed, or with a wrong authentication tag.
    pub dropped_srtp: u64,
    /// RTP packets dropped because their SSRC or payload type was not negotiated.
    pub dropped_unnegotiated: u64,
    /// RTP packets dropped because the media of their m-line is forbidden.
    pub dropped_forbidden: u64,
    /// Datagrams that the socket refused to send (unreachable network, a device's queue that stays full).
    pub send_refused: u64,
    /// Times that sending waited because the kernel's buffers were full.
    pub send_waits: u64,
    /// TCP connections, at the moment.
    pub tcp_connections: u64,
    /// TCP connections refused: too many, or nothing but ICE checks was expected and something else or nothing came.
    pub tcp_refused: u64,
    /// Datagrams dropped because the client at the other end of a TCP connection reads too slowly.
    pub tcp_dropped: u64,
}

impl Stats {
    /// A slot goes from one layer of its source to another.
    pub(crate) fn count_layer(&mut self, from: TrackKey, to: TrackKey) {
        *(if from.track < to.track { &mut self.layers_up } else { &mut self.layers_down }) += 1;
    }

    pub(crate) fn count_crossing(&mut self, is_taken: bool) {
        *(if is_taken { &mut self.crossed } else { &mut self.crossing_refused }) += 1;
    }
}
