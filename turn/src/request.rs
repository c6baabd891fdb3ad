//! The content of a request whose sender is authenticated. Parsing is complete: no value of these types is
//! contradictory.

use std::net::SocketAddr;

use stun_types::attribute::{
    Attribute, AttributeFromRaw, AttributeStaticType, AttributeType, MessageIntegrity,
    MessageIntegritySha256, Nonce, PasswordAlgorithm, Realm, Username,
};
use stun_types::message::{Message, StunParseError};
use turn_types::AddressFamily;
use turn_types::attribute::{
    AdditionalAddressFamily, ChannelNumber as ChannelNumberAttribute, ConnectionId, Data,
    DontFragment, EvenPort, Lifetime, RequestedAddressFamily, RequestedTransport, ReservationToken,
    XorPeerAddress,
};

use crate::address::canonical;
use crate::allocation::ChannelNumber;
use crate::allocation::ports::PortWish;
use crate::allocation::table::RequestedAddress;
use crate::peer_connections::PeerConnectionId;
use crate::refusal::Refusal;

/// The attributes below 0x8000 that this server understands in a TURN message.
const UNDERSTOOD: [AttributeType; 16] = [
    Username::TYPE,
    MessageIntegrity::TYPE,
    MessageIntegritySha256::TYPE,
    Realm::TYPE,
    Nonce::TYPE,
    PasswordAlgorithm::TYPE,
    ChannelNumberAttribute::TYPE,
    Lifetime::TYPE,
    XorPeerAddress::TYPE,
    Data::TYPE,
    RequestedAddressFamily::TYPE,
    EvenPort::TYPE,
    RequestedTransport::TYPE,
    DontFragment::TYPE,
    ReservationToken::TYPE,
    ConnectionId::TYPE,
];

/// The attributes that an Allocate for TCP must not have (RFC 6062 §4.1).
const FOR_UDP_ALONE: [AttributeType; 3] =
    [DontFragment::TYPE, EvenPort::TYPE, ReservationToken::TYPE];

/// Parses a datagram as exactly one STUN message, so that no byte of it remains unchecked.
pub(crate) fn parse_message(datagram: &[u8]) -> Option<Message<'_>> {
    let (_type, rest) = datagram.split_first_chunk::<2>()?;
    let (length, _rest) = rest.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length % 4 != 0 || datagram.len() != length + 20 {
        return None;
    }
    Message::from_bytes(datagram).ok()
}

/// Refuses a message with unknown comprehension-required attributes (RFC 8489 §6.3.1).
pub(crate) fn refuse_unknown_attributes(message: &Message<'_>) -> Result<(), Refusal> {
    let unknown: Vec<AttributeType> = message
        .iter_attributes()
        .map(|(_offset, attribute)| attribute.get_type())
        .filter(|kind| kind.comprehension_required() && !UNDERSTOOD.contains(kind))
        .collect();
    if unknown.is_empty() { Ok(()) } else { Err(Refusal::UnknownAttributes(unknown)) }
}

/// An Allocate request (RFC 8656 §7.1).
#[derive(Debug)]
pub(crate) struct Allocate {
    /// The requested lifetime in seconds.
    pub(crate) lifetime: Option<u32>,
    /// The requested relayed address; IPv4 if the client doesn't say.
    pub(crate) address: RequestedAddress,
    /// Whether the relayed address is for TCP (RFC 6062) rather than for UDP.
    pub(crate) relays_tcp: bool,
}

impl Allocate {
    pub(crate) fn parse(request: &Message<'_>) -> Result<Allocate, Refusal> {
        let transport = optional::<RequestedTransport>(request)?.ok_or(Refusal::BadRequest)?;
        let relays_tcp = match transport.protocol() {
            RequestedTransport::UDP => false,
            RequestedTransport::TCP => true,
            _ => return Err(Refusal::UnsupportedTransportProtocol),
        };
        // RFC 6062 §5.1
        if relays_tcp && FOR_UDP_ALONE.into_iter().any(|kind| request.has_attribute(kind)) {
            return Err(Refusal::BadRequest);
        }
        let lifetime = optional::<Lifetime>(request)?.map(|lifetime| lifetime.seconds());
        Ok(Allocate { lifetime, address: requested_address(request)?, relays_tcp })
    }
}

fn requested_address(request: &Message<'_>) -> Result<RequestedAddress, Refusal> {
    let even_port = optional::<EvenPort>(request)?;
    let names_family = request.has_attribute(RequestedAddressFamily::TYPE);
    let additional = optional::<AdditionalAddressFamily>(request)?;
    if let Some(token) = optional::<ReservationToken>(request)? {
        return match even_port.is_some() || names_family || additional.is_some() {
            true => Err(Refusal::BadRequest),
            false => Ok(RequestedAddress::Reserved(token.token())),
        };
    }
    let port = match even_port.map(|even| even.requested()) {
        None => PortWish::Any,
        Some(false) => PortWish::Even,
        Some(true) => PortWish::Pair,
    };
    if additional.is_some() {
        return match names_family || port == PortWish::Pair {
            true => Err(Refusal::BadRequest),
            false => Ok(RequestedAddress::Both(port)),
        };
    }
    Ok(RequestedAddress::Port(requested_family(request)?.unwrap_or(AddressFamily::IPV4), port))
}

/// A Refresh request (RFC 8656 §8.1).
#[derive(Debug)]
pub(crate) struct Refresh {
    /// The requested lifetime in seconds.
    pub(crate) lifetime: Option<u32>,
    /// The family to which the request is restricted.
    pub(crate) family: Option<AddressFamily>,
}

impl Refresh {
    pub(crate) fn parse(request: &Message<'_>) -> Result<Refresh, Refusal> {
        Ok(Refresh {
            lifetime: optional::<Lifetime>(request)?.map(|lifetime| lifetime.seconds()),
            family: requested_family(request)?,
        })
    }
}

/// A CreatePermission request (RFC 8656 §10.1).
#[derive(Debug)]
pub(crate) struct CreatePermission {
    /// The peers; at least one.
    pub(crate) peers: Vec<SocketAddr>,
}

impl CreatePermission {
    pub(crate) fn parse(request: &Message<'_>) -> Result<CreatePermission, Refusal> {
        let peers: Vec<SocketAddr> = request
            .iter_attributes()
            .filter(|(_offset, attribute)| attribute.get_type() == XorPeerAddress::TYPE)
            .map(|(_offset, attribute)| {
                XorPeerAddress::from_raw_ref(&attribute)
                    .map(|peer| canonical(peer.addr(request.transaction_id())))
                    .map_err(|_| Refusal::BadRequest)
            })
            .collect::<Result<_, _>>()?;
        if peers.is_empty() {
            return Err(Refusal::BadRequest);
        }
        Ok(CreatePermission { peers })
    }
}

/// A ChannelBind request (RFC 8656 §12.1).
#[derive(Debug)]
pub(crate) struct ChannelBind {
    pub(crate) number: ChannelNumber,
    pub(crate) peer: SocketAddr,
}

impl ChannelBind {
    pub(crate) fn parse(request: &Message<'_>) -> Result<ChannelBind, Refusal> {
        let number = optional::<ChannelNumberAttribute>(request)?
            .and_then(|n| ChannelNumber::parse(n.channel()));
        let (Some(number), Some(peer)) = (number, peer(request)?) else {
            return Err(Refusal::BadRequest);
        };
        Ok(ChannelBind { number, peer })
    }
}

/// A Connect request (RFC 6062 §4.3).
#[derive(Debug)]
pub(crate) struct Connect {
    pub(crate) peer: SocketAddr,
}

impl Connect {
    pub(crate) fn parse(request: &Message<'_>) -> Result<Connect, Refusal> {
        Ok(Connect { peer: peer(request)?.ok_or(Refusal::BadRequest)? })
    }
}

/// A ConnectionBind request (RFC 6062 §4.3).
#[derive(Debug)]
pub(crate) struct ConnectionBind {
    pub(crate) id: PeerConnectionId,
}

impl ConnectionBind {
    pub(crate) fn parse(request: &Message<'_>) -> Result<ConnectionBind, Refusal> {
        let id = optional::<ConnectionId>(request)?.ok_or(Refusal::BadRequest)?;
        Ok(ConnectionBind { id: PeerConnectionId::new(id.id()) })
    }
}

/// The XOR-PEER-ADDRESS of a message that has at most one.
pub(crate) fn peer(message: &Message<'_>) -> Result<Option<SocketAddr>, Refusal> {
    let peer = optional::<XorPeerAddress>(message)?;
    Ok(peer.map(|peer| canonical(peer.addr(message.transaction_id()))))
}

/// Parses the requested family. An unknown family is refused with 440, like a known one without relay address, rather
/// than with 400.
fn requested_family(request: &Message<'_>) -> Result<Option<AddressFamily>, Refusal> {
    match optional::<RequestedAddressFamily>(request) {
        Ok(family) => Ok(family.map(|family| family.family())),
        Err(_) => Err(Refusal::AddressFamilyNotSupported),
    }
}

/// Parses an attribute: `None` when it is absent, 400 when it is malformed.
fn optional<'m, A>(message: &'m Message<'m>) -> Result<Option<A>, Refusal>
where
    A: AttributeFromRaw<'m> + AttributeStaticType,
{
    match message.attribute::<A>() {
        Ok(attribute) => Ok(Some(attribute)),
        Err(StunParseError::MissingAttribute(_)) => Ok(None),
        Err(_) => Err(Refusal::BadRequest),
    }
}
