//! The tables of all metric families. Their help says the same as the documentation of the counters.

use madang_sfu::Stats as SfuStats;
use madang_turn::{Refused, Stats as TurnStats};

use crate::hub::ControlStats;

/// A metric family over the counters `S`.
pub(super) struct Family<S> {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) value: fn(&S) -> u64,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Only rises.
    Counter,
    /// The value at the moment.
    Gauge,
}

const fn counter<S>(name: &'static str, help: &'static str, value: fn(&S) -> u64) -> Family<S> {
    Family { name, help, kind: Kind::Counter, value }
}

pub(super) const fn gauge<S>(
    name: &'static str,
    help: &'static str,
    value: fn(&S) -> u64,
) -> Family<S> {
    Family { name, help, kind: Kind::Gauge, value }
}

pub(super) const SFU: &[Family<SfuStats>] = &[
    gauge("madang_sfu_rooms", "Rooms with at least one peer.", |s| s.rooms),
    gauge("madang_sfu_peers", "Peers.", |s| s.peers),
    gauge("madang_sfu_connected_peers", "Peers whose ICE and DTLS are up.", |s| s.connected_peers),
    counter(
        "madang_sfu_rtp_received_packets_total",
        "RTP packets received and authenticated.",
        |s| s.rtp_received,
    ),
    counter(
        "madang_sfu_rtp_received_bytes_total",
        "Bytes of received RTP packets, with headers, before decryption.",
        |s| s.rtp_received_bytes,
    ),
    counter("madang_sfu_rtp_sent_packets_total", "RTP packets sent.", |s| s.rtp_sent),
    counter(
        "madang_sfu_rtp_sent_bytes_total",
        "Bytes of sent RTP packets, with headers, after encryption.",
        |s| s.rtp_sent_bytes,
    ),
    counter(
        "madang_sfu_rtcp_received_packets_total",
        "RTCP packets received and authenticated.",
        |s| s.rtcp_received,
    ),
    counter("madang_sfu_rtcp_sent_packets_total", "RTCP packets sent.", |s| s.rtcp_sent),
    counter(
        "madang_sfu_nack_sent_total",
        "NACKs sent to publishers; each may name several packets.",
        |s| s.nack_sent,
    ),
    counter(
        "madang_sfu_rtx_received_packets_total",
        "Lost packets that publishers retransmitted and that were still missing.",
        |s| s.rtx_received,
    ),
    counter("madang_sfu_rtx_sent_packets_total", "Packets retransmitted to receivers.", |s| {
        s.rtx_sent
    }),
    counter(
        "madang_sfu_rtx_refused_packets_total",
        "Packets not retransmitted because the receiver's budget was used up.",
        |s| s.rtx_refused,
    ),
    counter(
        "madang_sfu_crossed_packets_total",
        "RTP packets passed to other workers, for receivers of the same room there.",
        |s| s.crossed,
    ),
    counter(
        "madang_sfu_crossing_refused_packets_total",
        "RTP packets not passed to another worker because it was too far behind.",
        |s| s.crossing_refused,
    ),
    counter(
        "madang_sfu_key_frames_cached_total",
        "Slots that started on a key frame from the cache.",
        |s| s.key_frames_cached,
    ),
    counter("madang_sfu_pli_sent_total", "Picture Loss Indications sent to publishers.", |s| {
        s.pli_sent
    }),
    counter(
        "madang_sfu_pli_received_total",
        "Picture Loss Indications and Full Intra Requests received from subscribers.",
        |s| s.pli_received,
    ),
    counter(
        "madang_sfu_dropped_unknown_datagrams_total",
        "Datagrams dropped because no protocol of RFC 7983 starts with their first byte.",
        |s| s.dropped_unknown,
    ),
    counter(
        "madang_sfu_dropped_unvalidated_datagrams_total",
        "Datagrams dropped because they came from an address that no ICE check validated.",
        |s| s.dropped_unvalidated,
    ),
    counter(
        "madang_sfu_dropped_stun_messages_total",
        "STUN messages dropped: malformed, for no known peer, or with a wrong MESSAGE-INTEGRITY.",
        |s| s.dropped_stun,
    ),
    counter(
        "madang_sfu_dropped_srtp_packets_total",
        "SRTP and SRTCP packets dropped: malformed, replayed, or with a wrong authentication tag.",
        |s| s.dropped_srtp,
    ),
    counter(
        "madang_sfu_dropped_unnegotiated_packets_total",
        "RTP packets dropped because their SSRC or payload type was not negotiated.",
        |s| s.dropped_unnegotiated,
    ),
    counter(
        "madang_sfu_dropped_forbidden_packets_total",
        "RTP packets dropped because their sender was muted by others or may not publish.",
        |s| s.dropped_forbidden,
    ),
    counter(
        "madang_sfu_dropped_excess_packets_total",
        "RTP packets dropped because their sender exceeds a bitrate limit.",
        |s| s.dropped_excess,
    ),
    counter(
        "madang_sfu_layers_up_total",
        "Times that a receiver was switched to a higher simulcast layer of a camera.",
        |s| s.layers_up,
    ),
    counter(
        "madang_sfu_layers_down_total",
        "Times that a receiver was switched to a lower simulcast layer of a camera.",
        |s| s.layers_down,
    ),
    gauge(
        "madang_sfu_feedback_estimates",
        "Receivers whose bandwidth is estimated from their transport-wide feedback (TWCC).",
        |s| s.estimated_by_feedback,
    ),
    gauge(
        "madang_sfu_remb_estimates",
        "Receivers that estimate their bandwidth themselves (REMB).",
        |s| s.estimated_by_receiver,
    ),
    gauge(
        "madang_sfu_loss_estimates",
        "Receivers without another estimate whose bandwidth counts as short because of their packet loss.",
        |s| s.estimated_by_loss,
    ),
    gauge("madang_sfu_tcp_connections", "TCP connections for media.", |s| s.tcp_connections),
    counter(
        "madang_sfu_tcp_refused_connections_total",
        "TCP connections refused: too many, or no ICE check came in time.",
        |s| s.tcp_refused,
    ),
    counter(
        "madang_sfu_tcp_dropped_datagrams_total",
        "Datagrams dropped because the client at the other end of a TCP connection reads too slowly.",
        |s| s.tcp_dropped,
    ),
    counter(
        "madang_sfu_send_refused_datagrams_total",
        "Datagrams that the socket refused to send: full buffer, unreachable network.",
        |s| s.send_refused,
    ),
];

pub(super) const TURN: &[Family<TurnStats>] = &[
    counter("madang_turn_allocations_created_total", "Allocations created.", |s| {
        s.allocations_created
    }),
    counter(
        "madang_turn_allocations_expired_total",
        "Allocations that ended because nobody refreshed them.",
        |s| s.allocations_expired,
    ),
    counter("madang_turn_allocations_deleted_total", "Allocations that their client ended.", |s| {
        s.allocations_deleted
    }),
    counter(
        "madang_turn_allocations_closed_total",
        "Allocations that ended with their client's connection.",
        |s| s.allocations_closed,
    ),
    counter(
        "madang_turn_allocations_unbound_total",
        "Allocations that failed because no port could be bound for them.",
        |s| s.allocations_unbound,
    ),
    gauge("madang_turn_connections", "TCP connections of clients.", |s| s.connections),
    counter(
        "madang_turn_connections_refused_total",
        "TCP connections refused because there were too many.",
        |s| s.connections_refused,
    ),
    gauge("madang_turn_dtls_sessions", "DTLS sessions of clients.", |s| s.dtls_sessions),
    gauge("madang_turn_dtls_handshakes", "DTLS handshakes in progress.", |s| s.dtls_handshakes),
    counter(
        "madang_turn_dtls_handshakes_refused_total",
        "DTLS handshakes refused because there were too many.",
        |s| s.dtls_refused,
    ),
    counter("madang_turn_dtls_handshakes_failed_total", "DTLS handshakes that failed.", |s| {
        s.dtls_failed
    }),
    gauge(
        "madang_turn_allocations_relaying_tcp",
        "Allocations whose relayed addresses are for TCP (RFC 6062).",
        |s| s.allocations_relaying_tcp,
    ),
    gauge(
        "madang_turn_peer_connections",
        "Connections with TCP peers: being opened, waiting for their client, and carrying data.",
        |s| s.peer_connections,
    ),
    counter(
        "madang_turn_peer_connections_made_total",
        "Connections to TCP peers made for a Connect.",
        |s| s.peer_connections_made,
    ),
    counter(
        "madang_turn_peer_connections_accepted_total",
        "Connections accepted from TCP peers.",
        |s| s.peer_connections_accepted,
    ),
    counter(
        "madang_turn_peer_connections_refused_total",
        "Connections from TCP peers closed at once: no permission, not allowed, or too many.",
        |s| s.peer_connections_refused,
    ),
    counter(
        "madang_turn_peer_connections_failed_total",
        "Connections to TCP peers that failed or timed out.",
        |s| s.peer_connections_failed,
    ),
    counter(
        "madang_turn_peer_connections_unclaimed_total",
        "Connections with TCP peers closed because their client did not bind them (ConnectionBind).",
        |s| s.peer_connections_unclaimed,
    ),
    counter("madang_turn_bindings_total", "Binding requests answered with success.", |s| {
        s.bindings
    }),
    counter("madang_turn_to_media_packets_total", "Datagrams passed to the media engine.", |s| {
        s.to_media_packets
    }),
    counter(
        "madang_turn_to_media_bytes_total",
        "Bytes of datagrams passed to the media engine, without TURN framing.",
        |s| s.to_media_bytes,
    ),
    counter(
        "madang_turn_to_client_packets_total",
        "Datagrams from the media engine framed for a client.",
        |s| s.to_client_packets,
    ),
    counter(
        "madang_turn_to_client_bytes_total",
        "Bytes of datagrams from the media engine framed for a client, without TURN framing.",
        |s| s.to_client_bytes,
    ),
    counter(
        "madang_turn_to_peer_packets_total",
        "Datagrams sent to peers other than media.",
        |s| s.to_peer_packets,
    ),
    counter(
        "madang_turn_to_peer_bytes_total",
        "Bytes sent to peers other than media, over UDP and TCP.",
        |s| s.to_peer_bytes,
    ),
    counter(
        "madang_turn_from_peer_packets_total",
        "Datagrams from peers other than media framed for a client.",
        |s| s.from_peer_packets,
    ),
    counter(
        "madang_turn_from_peer_bytes_total",
        "Bytes received from peers other than media, over UDP without TURN framing, and over TCP.",
        |s| s.from_peer_bytes,
    ),
    counter(
        "madang_turn_dropped_malformed_datagrams_total",
        "Datagrams dropped because they are neither well-formed STUN nor well-formed ChannelData.",
        |s| s.dropped_malformed,
    ),
    counter(
        "madang_turn_dropped_unexpected_messages_total",
        "STUN messages dropped because a server does not expect them.",
        |s| s.dropped_unexpected,
    ),
    counter(
        "madang_turn_dropped_no_allocation_datagrams_total",
        "Datagrams dropped because there is no allocation for them.",
        |s| s.dropped_no_allocation,
    ),
    counter(
        "madang_turn_dropped_no_permission_datagrams_total",
        "Datagrams dropped because no permission for the peer is in force (RFC 8656 section 9).",
        |s| s.dropped_no_permission,
    ),
    counter(
        "madang_turn_dropped_no_channel_datagrams_total",
        "ChannelData dropped because the channel is not bound.",
        |s| s.dropped_no_channel,
    ),
    counter(
        "madang_turn_dropped_peer_datagrams_total",
        "Datagrams dropped because their peer is neither this server's media nor allowed.",
        |s| s.dropped_peer,
    ),
    counter(
        "madang_turn_dropped_bandwidth_datagrams_total",
        "Datagrams dropped because of the bandwidth limit of their allocation.",
        |s| s.dropped_bandwidth,
    ),
    counter(
        "madang_turn_dropped_strangers_requests_total",
        "Requests without valid credentials not answered because of the rate limit of their address.",
        |s| s.dropped_strangers,
    ),
    counter(
        "madang_turn_dropped_too_large_datagrams_total",
        "Datagrams from peers dropped because they are too long to be framed.",
        |s| s.dropped_too_large,
    ),
    counter(
        "madang_turn_dropped_answers_total",
        "Responses dropped because earlier ones still waited to be sent.",
        |s| s.dropped_answers,
    ),
    counter(
        "madang_turn_dropped_mailbox_full_datagrams_total",
        "Datagrams from the media engine dropped because the mailbox was full.",
        |s| s.dropped_mailbox_full,
    ),
    counter(
        "madang_turn_send_refused_datagrams_total",
        "Datagrams that the socket refused to send: full buffer, unreachable network.",
        |s| s.send_refused,
    ),
];

/// One sample for each transport of clients.
pub(super) const TURN_ALLOCATIONS: Family<TurnStats> =
    gauge("madang_turn_allocations", "Allocations, by the transport of their clients.", |_| 0);

pub(super) const TURN_REFUSED: Family<Refused> = counter(
    "madang_turn_refused_requests_total",
    "Error responses sent, by STUN error code.",
    |_| 0,
);

pub(super) type RefusedCode = (&'static str, fn(&Refused) -> u64);

pub(super) const REFUSED: &[RefusedCode] = &[
    ("400", |r| r.bad_request),
    ("401", |r| r.unauthorized),
    ("403", |r| r.forbidden),
    ("420", |r| r.unknown_attributes),
    ("437", |r| r.allocation_mismatch),
    ("438", |r| r.stale_nonce),
    ("440", |r| r.address_family),
    ("441", |r| r.wrong_credentials),
    ("442", |r| r.transport),
    ("443", |r| r.peer_family),
    ("446", |r| r.connection_exists),
    ("447", |r| r.connection_failed),
    ("486", |r| r.quota),
    ("508", |r| r.capacity),
];

pub(super) const CONTROL: &[Family<ControlStats>] = &[
    gauge("madang_control_sessions", "Connections of clients: WebSocket, SockJS and TCP.", |s| {
        s.sessions
    }),
    gauge(
        "madang_control_held_bytes",
        "Memory held for clients, in bytes: messages that wait, frames that have arrived in part, open transactions.",
        |s| s.held,
    ),
    gauge("madang_control_held_most_bytes", "The setting limits.memory_bytes.", |s| s.held_most),
    gauge("madang_control_rooms", "Open rooms.", |s| s.rooms),
    gauge("madang_control_participants", "Participants in all rooms.", |s| s.participants),
    counter("madang_control_received_bytes_total", "Bytes of STOMP received from clients.", |s| {
        s.bytes_received
    }),
    counter("madang_control_sent_bytes_total", "Bytes of STOMP sent to clients.", |s| s.bytes_sent),
    counter(
        "madang_control_refused_connections_total",
        "Connections refused because a limit was reached.",
        |s| s.connections_refused,
    ),
    counter("madang_control_chat_messages_total", "Chat messages stored.", |s| s.chat_stored),
    gauge("madang_store_trouble", "1 while nothing can be stored, or no chat; else 0.", |s| {
        u64::from(s.store.is_in_trouble)
    }),
    gauge(
        "madang_store_free_bytes",
        "Free space on the disk of the SQLite file; 0 with another database or without limits.store_free_bytes.",
        |s| s.store.free_bytes,
    ),
    counter(
        "madang_store_failed_changes_total",
        "Changes that were not stored because the database failed.",
        |s| s.store.failed_changes,
    ),
    gauge("madang_webhook_pending_calls", "Webhook calls that wait to be made.", |s| {
        s.webhooks.pending
    }),
    counter("madang_webhook_delivered_calls_total", "Webhook calls answered with success.", |s| {
        s.webhooks.delivered
    }),
    counter(
        "madang_webhook_failed_calls_total",
        "Webhook calls that failed; each is tried again.",
        |s| s.webhooks.failed,
    ),
    counter(
        "madang_webhook_given_up_calls_total",
        "Webhook calls that are not tried again: they failed for a day, or newer calls displaced them.",
        |s| s.webhooks.given_up,
    ),
    counter(
        "madang_webhook_lost_events_total",
        "Events that no webhook reports, because too many came at once.",
        |s| s.webhooks.lost,
    ),
    gauge("madang_relay_up", "1 while the external broker can be used, else 0.", |s| {
        u64::from(s.relay.is_here)
    }),
    gauge("madang_relay_connections", "Connections to the external broker.", |s| {
        s.relay.connections
    }),
    counter("madang_relay_sent_frames_total", "Frames sent to the external broker.", |s| {
        s.relay.frames_sent
    }),
    counter(
        "madang_relay_received_frames_total",
        "Frames from the external broker that were passed on to clients.",
        |s| s.relay.frames_received,
    ),
];

/// A family with one label, and its samples.
pub(super) struct Labelled {
    pub(super) family: Family<ControlStats>,
    pub(super) label: &'static str,
    pub(super) samples: fn(&ControlStats) -> &[(&'static str, u64)],
}

pub(super) const CONTROL_LABELLED: &[Labelled] = &[
    Labelled {
        family: gauge(
            "madang_control_subscriptions",
            "Subscriptions: at this server's broker, below /user, and at the external broker.",
            |_| 0,
        ),
        label: "at",
        samples: |s| &s.subscriptions,
    },
    Labelled {
        family: counter(
            "madang_control_received_frames_total",
            "STOMP frames received, by command, without heart-beats.",
            |_| 0,
        ),
        label: "command",
        samples: |s| &s.frames_received,
    },
    Labelled {
        family: counter(
            "madang_control_sent_frames_total",
            "STOMP frames sent, by command, without heart-beats.",
            |_| 0,
        ),
        label: "command",
        samples: |s| &s.frames_sent,
    },
    Labelled {
        family: counter(
            "madang_control_protocol_errors_total",
            "STOMP ERROR frames sent, by message; each ended its connection.",
            |_| 0,
        ),
        label: "kind",
        samples: |s| &s.protocol_errors,
    },
    Labelled {
        family: counter(
            "madang_control_slow_consumers_total",
            "Connections whose client did not read fast enough, by the policy that was applied.",
            |_| 0,
        ),
        label: "policy",
        samples: |s| &s.slow_consumers,
    },
    Labelled {
        family: counter(
            "madang_control_discarded_messages_total",
            "Messages that were not sent to slow clients, by policy.",
            |_| 0,
        ),
        label: "policy",
        samples: |s| &s.discarded,
    },
    Labelled {
        family: counter("madang_control_errors_total", "Error messages sent, by code.", |_| 0),
        label: "code",
        samples: |s| &s.errors,
    },
];

/// Name and help of the one histogram.
pub(super) const FAN_OUT: (&str, &str) = (
    "madang_control_fan_out_seconds",
    "Time from reading a client's SEND to a topic or queue until passing its MESSAGE to a socket.",
);
