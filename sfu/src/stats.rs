//! The counters of a worker.

use crate::keys::TrackKey;

/// Counters of one worker, since it started unless the field says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Current rooms with at least one peer. Only one worker counts a room that several workers share.
    pub rooms: u64,
    /// Current peers.
    pub peers: u64,
    /// Current peers whose ICE and DTLS are connected.
    pub connected_peers: u64,
    /// RTP packets received and authenticated.
    pub rtp_received: u64,
    /// Bytes of the RTP packets received, with headers, before decryption.
    pub rtp_received_bytes: u64,
    /// RTP packets sent.
    pub rtp_sent: u64,
    /// Bytes of the RTP packets sent, with headers, after encryption.
    pub rtp_sent_bytes: u64,
    /// RTCP packets received and authenticated.
    pub rtcp_received: u64,
    /// RTCP packets sent.
    pub rtcp_sent: u64,
    /// NACKs sent to publishers; each may name several packets.
    pub nack_sent: u64,
    /// Retransmissions received from publishers that filled a gap.
    pub rtx_received: u64,
    /// Retransmissions (RTX) sent to receivers.
    pub rtx_sent: u64,
    /// Retransmissions not sent because the receiver's budget was exhausted.
    pub rtx_refused: u64,
    /// Slots that started on a cached key frame.
    pub key_frames_cached: u64,
    /// Packets handed to another worker, for receivers of the same room there.
    pub crossed: u64,
    /// Packets not handed to another worker because it was too far behind (back-pressure).
    pub crossing_refused: u64,
    /// Picture Loss Indications (PLI) sent to publishers.
    pub pli_sent: u64,
    /// Picture Loss Indications (PLI) and Full Intra Requests (FIR) received from subscribers.
    pub pli_received: u64,
    /// Switches of a receiver to a higher layer of a camera.
    pub layers_up: u64,
    /// Switches of a receiver to a lower layer of a camera.
    pub layers_down: u64,
    /// Current receivers whose bandwidth is estimated from their TWCC feedback.
    pub estimated_by_feedback: u64,
    /// Current receivers that estimate their bandwidth themselves (REMB).
    pub estimated_by_receiver: u64,
    /// Current receivers whose bandwidth is estimated from packet loss.
    pub estimated_by_loss: u64,
    /// Datagrams dropped because their first byte belongs to no protocol of RFC 7983.
    pub dropped_unknown: u64,
    /// Datagrams dropped because no ICE check validated their source address.
    pub dropped_unvalidated: u64,
    /// STUN messages dropped: malformed, for an unknown peer, or with a wrong MESSAGE-INTEGRITY.
    pub dropped_stun: u64,
    /// SRTP and SRTCP packets dropped: malformed, replayed, or with a wrong authentication tag.
    pub dropped_srtp: u64,
    /// RTP packets dropped because their SSRC or payload type was not negotiated.
    pub dropped_unnegotiated: u64,
    /// RTP packets dropped because the media of their m-line is not permitted.
    pub dropped_forbidden: u64,
    /// RTP packets dropped because their sender exceeds a bitrate limit.
    pub dropped_excess: u64,
    /// Datagrams that could not be sent: the socket refused them (unreachable network, a full device queue), or too
    /// many were waiting.
    pub send_refused: u64,
    /// Times that sending had to wait because the kernel's buffers were full.
    pub send_waits: u64,
    /// Current TCP connections.
    pub tcp_connections: u64,
    /// TCP connections refused or closed: too many, or no valid ICE check came first.
    pub tcp_refused: u64,
    /// Datagrams dropped because the client at the other end of a TCP connection reads too slowly.
    pub tcp_dropped: u64,
}

impl Stats {
    /// Counts the switch of a slot from one layer of its source to another.
    pub(crate) fn count_layer(&mut self, from: TrackKey, to: TrackKey) {
        *(if from.track < to.track { &mut self.layers_up } else { &mut self.layers_down }) += 1;
    }

    pub(crate) fn count_crossing(&mut self, is_taken: bool) {
        *(if is_taken { &mut self.crossed } else { &mut self.crossing_refused }) += 1;
    }
}
