//! What the server counts.

use crate::refusal::Refusal;

/// Counters since the start, unless a field says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Allocations at the moment.
    pub allocations: u64,
    /// Those of them whose client comes by UDP.
    pub allocations_udp: u64,
    /// Those of them whose client comes by TCP.
    pub allocations_tcp: u64,
    /// Those of them whose client comes by TLS.
    pub allocations_tls: u64,
    /// Those of them whose client comes by DTLS.
    pub allocations_dtls: u64,
    /// Those of them whose relayed addresses are for TCP (RFC 6062).
    pub allocations_relaying_tcp: u64,
    /// Allocations made.
    pub allocations_created: u64,
    /// Allocations that came to nothing because no port of theirs could be bound.
    pub allocations_unbound: u64,
    /// Allocations that ended because nobody refreshed them.
    pub allocations_expired: u64,
    /// Allocations that their client ended with a Refresh of lifetime 0.
    pub allocations_deleted: u64,
    /// Allocations that ended because their client's connection, or DTLS session, was closed.
    pub allocations_closed: u64,
    /// Connections at the moment.
    pub connections: u64,
    /// Connections refused because there were enough, in all or from one address.
    pub connections_refused: u64,
    /// DTLS sessions at the moment.
    pub dtls_sessions: u64,
    /// DTLS handshakes under way.
    pub dtls_handshakes: u64,
    /// DTLS handshakes refused because there were enough, in all or from one address.
    pub dtls_refused: u64,
    /// DTLS handshakes that were begun and came to nothing.
    pub dtls_failed: u64,
    /// Connections to TCP peers at the moment: under way, waiting for their client, and carrying data.
    pub peer_connections: u64,
    /// Connections to TCP peers made for a Connect.
    pub peer_connections_made: u64,
    /// Connections of TCP peers accepted.
    pub peer_connections_accepted: u64,
    /// Connections of TCP peers closed at once: no permission, not allowed, or too many.
    pub peer_connections_refused: u64,
    /// Connections to TCP peers that failed, or took too long.
    pub peer_connections_failed: u64,
    /// Connections to or of TCP peers closed because their client didn't come for them.
    pub peer_connections_unclaimed: u64,
    /// Binding requests answered with success.
    pub bindings: u64,
    /// Requests refused, by reason.
    pub refused: Refused,
    /// Datagrams handed to the media engine.
    pub to_media_packets: u64,
    /// Bytes of those, without TURN framing.
    pub to_media_bytes: u64,
    /// Datagrams of the media engine framed for a client.
    pub to_client_packets: u64,
    /// Bytes of those, without TURN framing.
    pub to_client_bytes: u64,
    /// Datagrams sent to peers other than media.
    pub to_peer_packets: u64,
    /// Bytes of those, and of what was sent to TCP peers.
    pub to_peer_bytes: u64,
    /// Datagrams of such peers framed for a client.
    pub from_peer_packets: u64,
    /// Bytes of those, without TURN framing, and of what came from TCP peers.
    pub from_peer_bytes: u64,
    /// Datagrams dropped because they are neither well-formed STUN nor well-formed ChannelData.
    pub dropped_malformed: u64,
    /// STUN messages dropped because a server has no use for them: responses, unknown methods, indications with
    /// attributes that aren't understood, and Send indications where TCP is relayed.
    pub dropped_unexpected: u64,
    /// Datagrams dropped because there is no allocation for the client that sent them, or for the relayed address to
    /// which the media engine sent them.
    pub dropped_no_allocation: u64,
    /// Datagrams dropped because no permission for the peer is in force (RFC 8656 §9).
    pub dropped_no_permission: u64,
    /// ChannelData dropped because the channel is not bound.
    pub dropped_no_channel: u64,
    /// Datagrams dropped because the policy has no way to, or from, their peer.
    pub dropped_peer: u64,
    /// Datagrams dropped because their allocation carries as much as it may.
    pub dropped_bandwidth: u64,
    /// Requests without good credentials, and beginnings of DTLS handshakes, that were not answered because their
    /// network had sent too many.
    pub dropped_strangers: u64,
    /// Datagrams of peers dropped because they are too long to be framed in a datagram.
    pub dropped_too_large: u64,
    /// Answers dropped because the caller didn't fetch the earlier ones; clients ask again.
    pub dropped_answers: u64,
    /// Datagrams of the media engine dropped because the mailbox was full.
    pub dropped_mailbox_full: u64,
    /// Datagrams that the socket didn't take (full buffer, unreachable network), and messages for which a connection
    /// whose client reads slowly had no room.
    pub send_refused: u64,
}

/// Error responses sent, by code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// 400: an attribute is missing or malformed, or they contradict each other.
    pub bad_request: u64,
    /// 401: no credentials (each client's first request), wrong ones, or expired ones.
    pub unauthorized: u64,
    /// 403: the policy has no way to the peer.
    pub forbidden: u64,
    /// 420: attributes that must be understood and aren't.
    pub unknown_attributes: u64,
    /// 437: an allocation where there must be none, or the reverse.
    pub allocation_mismatch: u64,
    /// 438: the nonce was too old.
    pub stale_nonce: u64,
    /// 440: a relayed address of a family that this server hasn't.
    pub address_family: u64,
    /// 441: somebody else's allocation.
    pub wrong_credentials: u64,
    /// 442: a relayed transport that this server hasn't.
    pub transport: u64,
    /// 443: the peer's family is not that of the relayed address.
    pub peer_family: u64,
    /// 446: a Connect to a peer to which there is a connection already.
    pub connection_exists: u64,
    /// 447: a Connect that failed, or took too long.
    pub connection_failed: u64,
    /// 486: one user, or one client address, has enough allocations.
    pub quota: u64,
    /// 508: the server, or the allocation, has enough of what is asked, or the reservation is gone.
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
