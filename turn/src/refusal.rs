//! The error responses of this server.

use stun_types::attribute::{AttributeType, ErrorCode};

/// One variant for each error response that this server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400: an attribute is missing or malformed, or attributes contradict each other.
    BadRequest,
    /// 401: no credentials, wrong ones, or expired ones.
    Unauthorized,
    /// 403: this server does not relay to that peer.
    Forbidden,
    /// 420: these comprehension-required attributes are unknown.
    UnknownAttributes(Vec<AttributeType>),
    /// 437: the client has an allocation where it must have none, or has none where it must have one.
    AllocationMismatch,
    /// 438: the nonce is too old, or was not issued to this address.
    StaleNonce,
    /// 440: this server has no relay address of that family.
    AddressFamilyNotSupported,
    /// 441: the allocation belongs to another user.
    WrongCredentials,
    /// 442: neither UDP nor TCP, or TCP where there are no peers besides media.
    UnsupportedTransportProtocol,
    /// 443: the peer's family is not that of the relayed address.
    PeerAddressFamilyMismatch,
    /// 446: the allocation already has a connection to that peer, or is making one.
    ConnectionAlreadyExists,
    /// 447: the peer could not be reached by TCP in time.
    ConnectionTimeoutOrFailure,
    /// 486: the quota of the user or of the network is used up.
    AllocationQuotaReached,
    /// 508: the server's capacity is used up, or it can't serve this request.
    InsufficientCapacity,
}

impl Refusal {
    pub(crate) fn code(&self) -> u16 {
        match self {
            Refusal::BadRequest => ErrorCode::BAD_REQUEST,
            Refusal::Unauthorized => ErrorCode::UNAUTHORIZED,
            Refusal::Forbidden => ErrorCode::FORBIDDEN,
            Refusal::UnknownAttributes(_) => ErrorCode::UNKNOWN_ATTRIBUTE,
            Refusal::AllocationMismatch => ErrorCode::ALLOCATION_MISMATCH,
            Refusal::StaleNonce => ErrorCode::STALE_NONCE,
            Refusal::AddressFamilyNotSupported => ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED,
            Refusal::WrongCredentials => ErrorCode::WRONG_CREDENTIALS,
            Refusal::UnsupportedTransportProtocol => ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL,
            Refusal::PeerAddressFamilyMismatch => ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH,
            Refusal::ConnectionAlreadyExists => ErrorCode::CONNECTION_ALREADY_EXISTS,
            Refusal::ConnectionTimeoutOrFailure => ErrorCode::CONNECTION_TIMEOUT_OR_FAILURE,
            Refusal::AllocationQuotaReached => ErrorCode::ALLOCATION_QUOTA_REACHED,
            Refusal::InsufficientCapacity => ErrorCode::INSUFFICIENT_CAPACITY,
        }
    }
}
