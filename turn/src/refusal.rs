//! Why a request is refused.

use stun_types::attribute::{AttributeType, ErrorCode};

/// One variant for each error response that this server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400: an attribute is missing or malformed, or they contradict each other.
    BadRequest,
    /// 401: no credentials, wrong ones, or expired ones.
    Unauthorized,
    /// 403: this server doesn't relay to that peer.
    Forbidden,
    /// 420: these attributes must be understood, and aren't.
    UnknownAttributes(Vec<AttributeType>),
    /// 437: an allocation where there must be none, or none where there must be one.
    AllocationMismatch,
    /// 438: the nonce is too old, or was never issued to this address.
    StaleNonce,
    /// 440: no relayed address of that family here.
    AddressFamilyNotSupported,
    /// 441: the allocation belongs to another user.
    WrongCredentials,
    /// 442: neither UDP nor TCP, or TCP where there are no peers besides media.
    UnsupportedTransportProtocol,
    /// 443: the peer's family is not that of the relayed address.
    PeerAddressFamilyMismatch,
    /// 446: the allocation has a connection to that peer, or is about to.
    ConnectionAlreadyExists,
    /// 447: the peer could not be reached by TCP, or not in time.
    ConnectionTimeoutOrFailure,
    /// 486: the user's, or the address's, share is used up.
    AllocationQuotaReached,
    /// 508: the server's share is used up, or can't serve this wish.
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
