//! The server's counters.

use crate::refusal::Refusal;

/// Counters since the start of the server; a field that is a current value says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Current allocations.
    pub allocations: u64,
    /// Current allocations of clients that use UDP.
    pub allocations_udp: u64,
    /// Current allocations of clients that use TCP.
    pub allocations_tcp: u64,
    /// Current allocations of clients that use TLS.
    pub allocations_tls: u64,
    /// Current allocations of clients that use DTLS.
    pub allocations_dtls: u64,
    /// Current allocations whose relayed addresses are for TCP (RFC 6062).
    pub allocations_relaying_tcp: u64,
    /// Allocations created.
    pub allocations_created: u64,
    /// Allocations that failed because no port could be bound for them.
    pub allocations_unbound: u64,
    /// Allocations that ended because they were not refreshed.
    pub allocations_expired: u64,
    /// Allocations that their client deleted with a Refresh of lifetime 0.
    pub allocations_deleted: u64,
    /// Allocations that ended because their client's connection or DTLS session was closed.
    pub allocations_closed: u64,
    /// Current client connections (TCP and TLS).
    pub connections: u64,
    /// Connections refused because the total quota or that of a network was used up.
    pub connections_refused: u64,
    /// Current DTLS sessions.
    pub dtls_sessions: u64,
    /// Current DTLS handshakes.
    pub dtls_handshakes: u64,
    /// DTLS handshakes refused because the total quota or that of a network was used up.
    pub dtls_refused: u64,
    /// DTLS handshakes that were started and failed.
    pub dtls_failed: u64,
    /// Current connections to TCP peers: connecting, waiting for their client, and carrying data.
    pub peer_connections: u64,
    /// Connections to TCP peers made for a Connect request.
    pub peer_connections_made: u64,
    /// Connections accepted from TCP peers.
    pub peer_connections_accepted: u64,
    /// Connections from TCP peers closed at once: no permission, not allowed by the policy, or too many.
    pub peer_connections_refused: u64,
    /// Connections to TCP peers that failed or timed out.
    pub peer_connections_failed: u64,
    /// Connections to or from TCP peers closed because their client did not bind them in time.
    pub peer_connections_unclaimed: u64,
    /// Binding requests answered with success.
    pub bindings: u64,
    /// Error responses, by code.
    pub refused: Refused,
    /// Datagrams handed to the media engine.
    pub to_media_packets: u64,
    /// Bytes of those, without TURN framing.
    pub to_media_bytes: u64,
    /// Datagrams from the media engine framed for a client.
    pub to_client_packets: u64,
    /// Bytes of those, without TURN framing.
    pub to_client_bytes: u64,
    /// Datagrams sent to peers other than media.
    pub to_peer_packets: u64,
    /// Bytes of those, and bytes sent to TCP peers.
    pub to_peer_bytes: u64,
    /// Datagrams from such peers framed for a client.
    pub from_peer_packets: u64,
    /// Bytes of those, without TURN framing, and bytes received from TCP peers.
    pub from_peer_bytes: u64,
    /// Datagrams dropped because they are neither well-formed STUN nor well-formed ChannelData.
    pub dropped_malformed: u64,
    /// STUN messages dropped because they are not meant for a server or not valid there: responses, unknown methods,
    /// indications with unknown comprehension-required attributes, and Send indications for an allocation that relays
    /// TCP.
    pub dropped_unexpected: u64,
    /// Datagrams dropped because the client that sent them, or the relayed address to which the media engine sent them,
    /// has no allocation.
    pub dropped_no_allocation: u64,
    /// Datagrams dropped because no permission for the peer is in force (RFC 8656 §9).
    pub dropped_no_permission: u64,
    /// ChannelData dropped because the channel is not bound.
    pub dropped_no_channel: u64,
    /// Datagrams dropped because the policy does not allow their peer.
    pub dropped_peer: u64,
    /// Datagrams dropped because their allocation exceeded its rate limit.
    pub dropped_bandwidth: u64,
    /// Requests without valid credentials, and first messages of DTLS handshakes, dropped because their network
    /// exceeded the rate limit.
    pub dropped_strangers: u64,
    /// Datagrams from peers dropped because they are too long to be framed in a datagram.
    pub dropped_too_large: u64,
    /// Answers dropped because the caller didn't fetch the earlier ones; clients retransmit.
    pub dropped_answers: u64,
    /// Datagrams from the media engine dropped because the mailbox was full.
    pub dropped_mailbox_full: u64,
    /// Datagrams that the socket refused (full buffer, unreachable network), and messages dropped because the outbox of
    /// a slow client's connection was full.
    pub send_refused: u64,
}

/// Error responses sent, by code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// 400: an attribute is missing or malformed, or attributes contradict each other.
    pub bad_request: u64,
    /// 401: no credentials (each client's first request), wrong ones, or expired ones.
    pub unauthorized: u64,
    /// 403: the policy does not allow the peer.
    pub forbidden: u64,
    /// 420: unknown comprehension-required attributes.
    pub unknown_attributes: u64,
    /// 437: the client has an allocation where it must have none, or the reverse.
    pub allocation_mismatch: u64,
    /// 438: the nonce was too old.
    pub stale_nonce: u64,
    /// 440: a relayed address of a family that this server does not have.
    pub address_family: u64,
    /// 441: the allocation of another user.
    pub wrong_credentials: u64,
    /// 442: a relayed transport that this server does not offer.
    pub transport: u64,
    /// 443: the peer's family is not that of the relayed address.
    pub peer_family: u64,
    /// 446: a Connect to a peer that already has a connection.
    pub connection_exists: u64,
    /// 447: a Connect that failed or timed out.
    pub connection_failed: u64,
    /// 486: the quota of a user or of a network is used up.
    pub quota: u64,
    /// 508: the capacity of the server or of the allocation is used up, or the reservation is gone.
    pub capacity: u64,
}

impl Refused {
    pub(crate) fn count(&mut self, refusal: &Refusal) {
        let counter = match refusal {
            Refusal::BadRequest => &mut self.bad_request,
            Refusal::Unauthorized => &mut self.unauthorized,
            Refusal::Forbidden => &mut self.forbidden,
            Refusal::UnknownAttributes(_) => &mut self.unknown_attributes,
            Refusal::AllocationMismatch => &mut self.allocation_mismatch,
            Refusal::StaleNonce => &mut self.stale_nonce,
            Refusal::AddressFamilyNotSupported => &mut self.address_family,
            Refusal::WrongCredentials => &mut self.wrong_credentials,
            Refusal::UnsupportedTransportProtocol => &mut self.transport,
            Refusal::PeerAddressFamilyMismatch => &mut self.peer_family,
            Refusal::ConnectionAlreadyExists => &mut self.connection_exists,
            Refusal::ConnectionTimeoutOrFailure => &mut self.connection_failed,
            Refusal::AllocationQuotaReached => &mut self.quota,
            Refusal::InsufficientCapacity => &mut self.capacity,
        };
        *counter += 1;
    }
}
