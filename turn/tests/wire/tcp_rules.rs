//! One row for each rule of RFC 6062 about relayed TCP connections.

use std::net::SocketAddr;

use madang_turn::{Command, Config, PeerConnectionId};
use stun_types::attribute::AttributeStaticType;
use stun_types::message::Message;
use turn_types::AddressFamily;
use turn_types::attribute::{
    AdditionalAddressFamily, ConnectionId, DontFragment, EvenPort, Lifetime,
    RequestedAddressFamily, RequestedTransport, ReservationToken, XorRelayedAddress,
};
use turn_types::message::{ALLOCATE, CONNECT, CONNECTION_BIND};

use crate::rules::Expect::{Error, Silence, Success};
use crate::rules::{NOTHING, Rule, SIGNED, check};
use crate::world::{
    ALICE, Ask, MEDIA, World, allocate, bind, client_addr, dual_stack, open_to, permission,
    refresh, relayed,
};

pub(crate) const CONTROL: &str = "203.0.113.5:40000/tcp";
pub(crate) const DATA: &str = "203.0.113.5:40001/tcp";
pub(crate) const PEER: &str = "192.0.2.9:7000";
pub(crate) const PEER_V6: &str = "[2001:db8:1::9]:7000";

#[rustfmt::skip]
const ALLOCATION: &[Rule] = &[
    ("a relayed TCP address", |w| tcp(w, CONTROL, allocate_tcp()), Success(&[XorRelayedAddress::TYPE, Lifetime::TYPE])),
    ("a relayed TCP address by TLS", |w| tcp(w, "203.0.113.5:40000/tls", allocate_tcp()), Success(SIGNED)),
    ("a relayed TCP address by UDP", |w| tcp(w, ALICE, allocate_tcp()), Error(400, SIGNED)),
    ("a relayed TCP address by DTLS", |w| tcp(w, "203.0.113.5:40000/dtls", allocate_tcp()), Error(400, SIGNED)),
    ("a relayed TCP address that mustn't fragment", |w| tcp(w, CONTROL, allocate_tcp().with(&DontFragment::new())), Error(400, NOTHING)),
    ("an even TCP port", |w| tcp(w, CONTROL, allocate_tcp().with(&EvenPort::new(false))), Error(400, NOTHING)),
    ("a pair of TCP ports", |w| tcp(w, CONTROL, allocate_tcp().with(&EvenPort::new(true))), Error(400, NOTHING)),
    ("a TCP port that was kept", |w| tcp(w, CONTROL, allocate_tcp().with(&ReservationToken::new(7))), Error(400, NOTHING)),
    ("a lifetime", |w| tcp(w, CONTROL, allocate_tcp().with(&Lifetime::new(900))), Success(&[Lifetime::TYPE])),
    ("IPv6 by name", |w| { both_families(w); w.ask_as(CONTROL, "alice", allocate_tcp().with(&RequestedAddressFamily::new(AddressFamily::IPV6))) }, Success(&[XorRelayedAddress::TYPE])),
    ("both families", |w| { both_families(w); w.ask_as(CONTROL, "alice", both()) }, Success(&[XorRelayedAddress::TYPE])),
    ("where media is all there is", |w| w.ask_as(CONTROL, "alice", allocate_tcp()), Error(442, NOTHING)),
    ("neither UDP nor TCP", |w| tcp(w, CONTROL, Ask::request(ALLOCATE).with(&RequestedTransport::new(132))), Error(442, NOTHING)),
    ("a second allocation", |w| { allocated(w); w.ask_as(CONTROL, "alice", allocate()) }, Error(437, NOTHING)),
    ("no port to listen at", |w| { *w = World::with(Config { relay_ports: 50000..=50000, ..open_to("192.0.2.0/24") }); w.taken = vec![50000]; w.ask_as(CONTROL, "alice", allocate_tcp()) }, Error(508, NOTHING)),
    ("refreshing", |w| { allocated(w); w.ask_as(CONTROL, "alice", refresh(600)) }, Success(&[Lifetime::TYPE])),
    ("a permission", |w| { allocated(w); w.ask_as(CONTROL, "alice", permission(PEER)) }, Success(NOTHING)),
    ("a permission for media, which has no TCP here", |w| { allocated(w); w.ask_as(CONTROL, "alice", permission(MEDIA)) }, Error(403, NOTHING)),
    ("a permission for media that a rule names", |w| { *w = World::with(open_to("198.51.100.7")); w.ask_as(CONTROL, "alice", allocate_tcp()); w.ask_as(CONTROL, "alice", permission(MEDIA)) }, Success(NOTHING)),
    ("a channel where TCP is relayed", |w| { allocated(w); w.ask_as(CONTROL, "alice", bind(0x4000, PEER)) }, Error(437, NOTHING)),
];

#[rustfmt::skip]
const CONNECTING: &[Rule] = &[
    ("a peer that comes", |w| { allocated(w); connect(w, PEER); called(w, true) }, Success(&[ConnectionId::TYPE])),
    ("the answer is signed", |w| { allocated(w); connect(w, PEER); called(w, true) }, Success(SIGNED)),
    ("a peer is waited for", |w| { allocated(w); connect(w, PEER) }, Silence),
    ("a peer that doesn't come", |w| { allocated(w); connect(w, PEER); called(w, false) }, Error(447, SIGNED)),
    ("a peer that doesn't come within half a minute", |w| { allocated(w); connect(w, PEER); w.advance(30); overdue(w) }, Error(447, SIGNED)),
    ("a peer is called for half a minute", |w| { allocated(w); connect(w, PEER); w.advance(29); overdue(w) }, Silence),
    ("a peer without a permission", |w| { allocated(w); connect(w, PEER); called(w, true) }, Success(NOTHING)),
    ("Connect without credentials", |w| { allocated(w); w.ask(CONTROL, &Ask::request(CONNECT).peer(PEER).unsigned()) }, Error(401, NOTHING)),
    ("no allocation", |w| tcp(w, CONTROL, Ask::request(CONNECT).peer(PEER)), Error(437, NOTHING)),
    ("an allocation for UDP", |w| { tcp(w, CONTROL, allocate()); connect(w, PEER) }, Error(437, NOTHING)),
    ("an allocation for UDP, by UDP", |w| { tcp(w, ALICE, allocate()); w.ask_as(ALICE, "alice", Ask::request(CONNECT).peer(PEER)) }, Error(437, NOTHING)),
    ("somebody else's allocation", |w| { allocated(w); w.ask_as(CONTROL, "mallory", Ask::request(CONNECT).peer(PEER)) }, Error(441, NOTHING)),
    ("no peer", |w| { allocated(w); w.ask_as(CONTROL, "alice", Ask::request(CONNECT)) }, Error(400, SIGNED)),
    ("a malformed peer", |w| { allocated(w); w.ask_as(CONTROL, "alice", Ask::request(CONNECT).raw(0x0012, &[0, 1, 2, 3])) }, Error(400, NOTHING)),
    ("a peer of the other family", |w| { allocated(w); connect(w, PEER_V6) }, Error(443, NOTHING)),
    ("a peer of the other family where both are", |w| { both_families(w); w.ask_as(CONTROL, "alice", both()); connect(w, PEER_V6); called(w, true) }, Success(NOTHING)),
    ("an unknown required attribute", |w| { allocated(w); w.ask_as(CONTROL, "alice", Ask::request(CONNECT).peer(PEER).raw(0x7777, &[])) }, Error(420, NOTHING)),
    ("a peer that is called already", |w| { allocated(w); connect(w, PEER); connect(w, PEER) }, Error(446, SIGNED)),
    ("a peer that waits", |w| { pending(w); connect(w, PEER) }, Error(446, NOTHING)),
    ("a peer in disguise that waits", |w| { pending(w); connect(w, "[::ffff:192.0.2.9]:7000") }, Error(446, NOTHING)),
    ("a peer that is bound", |w| { let id = pending(w); claim(w, DATA, "alice", id); connect(w, PEER) }, Error(446, NOTHING)),
    ("a peer that came by itself", |w| { arrived(w); connect(w, PEER) }, Error(446, NOTHING)),
    ("another port of the peer", |w| { pending(w); connect(w, "192.0.2.9:7001"); called(w, true) }, Success(NOTHING)),
    ("the same peer after it was lost", |w| { pending(w); w.advance(30); overdue(w); connect(w, PEER); called(w, true) }, Success(NOTHING)),
    ("the same peer after it didn't come", |w| { allocated(w); connect(w, PEER); called(w, false); connect(w, PEER); called(w, true) }, Success(NOTHING)),
    ("the same peer after the data connection", |w| { let id = pending(w); claim(w, DATA, "alice", id); w.server.handle_closed(client_addr(DATA)); connect(w, PEER); called(w, true) }, Success(NOTHING)),
    ("a peer that nobody allowed", |w| { allocated(w); connect(w, "192.0.3.9:7000") }, Error(403, SIGNED)),
    ("loopback", |w| { allocated(w); connect(w, "127.0.0.1:80") }, Error(403, NOTHING)),
    ("the cloud's metadata where all are allowed", |w| { all_peers(w); connect(w, "169.254.169.254:80") }, Error(403, NOTHING)),
    ("the unspecified address where all are allowed", |w| { all_peers(w); connect(w, "0.0.0.0:80") }, Error(403, NOTHING)),
    ("port 0", |w| { allocated(w); connect(w, "192.0.2.9:0") }, Error(403, NOTHING)),
    ("media", |w| { allocated(w); connect(w, MEDIA) }, Error(403, NOTHING)),
    ("media that a rule names", |w| { *w = World::with(open_to("198.51.100.7")); w.ask_as(CONTROL, "alice", allocate_tcp()); connect(w, MEDIA); called(w, true) }, Success(NOTHING)),
    ("a port that isn't allowed", |w| { *w = World::with(open_to("192.0.2.9:7000")); w.ask_as(CONTROL, "alice", allocate_tcp()); connect(w, "192.0.2.9:7001") }, Error(403, NOTHING)),
];

#[rustfmt::skip]
const BINDING: &[Rule] = &[
    ("a data connection", |w| { let id = pending(w); claim(w, DATA, "alice", id) }, Success(SIGNED)),
    ("a data connection by TLS", |w| { let id = pending(w); claim(w, "203.0.113.5:2/tls", "alice", id) }, Success(NOTHING)),
    ("a data connection from elsewhere", |w| { let id = pending(w); claim(w, "203.0.113.77:2/tcp", "alice", id) }, Success(NOTHING)),
    ("a data connection to a peer that came", |w| { let id = arrived(w); claim(w, DATA, "alice", id) }, Success(NOTHING)),
    ("a data connection with renewed credentials", |w| { let id = pending(w); w.advance(1); claim(w, DATA, "alice", id) }, Success(NOTHING)),
    ("without credentials", |w| { let id = pending(w); w.ask(DATA, &claiming(id).unsigned()) }, Error(401, NOTHING)),
    ("a data connection by UDP", |w| { let id = pending(w); claim(w, ALICE, "alice", id) }, Error(400, SIGNED)),
    ("a data connection by DTLS", |w| { let id = pending(w); claim(w, "203.0.113.5:2/dtls", "alice", id) }, Error(400, SIGNED)),
    ("no number", |w| { pending(w); w.ask_as(DATA, "alice", Ask::request(CONNECTION_BIND)) }, Error(400, SIGNED)),
    ("a malformed number", |w| { pending(w); w.ask_as(DATA, "alice", Ask::request(CONNECTION_BIND).raw(0x002a, &[1, 2])) }, Error(400, NOTHING)),
    ("a number too long", |w| { pending(w); w.ask_as(DATA, "alice", Ask::request(CONNECTION_BIND).raw(0x002a, &[0; 8])) }, Error(400, NOTHING)),
    ("an unknown number", |w| { let id = pending(w); claim(w, DATA, "alice", id ^ 1) }, Error(400, NOTHING)),
    ("another user's connection", |w| { let id = pending(w); claim(w, DATA, "mallory", id) }, Error(441, SIGNED)),
    ("another user's claim takes nothing away", |w| { let id = pending(w); claim(w, DATA, "mallory", id); claim(w, DATA, "alice", id) }, Success(NOTHING)),
    ("a second claim", |w| { let id = pending(w); claim(w, DATA, "alice", id); claim(w, "203.0.113.5:3/tcp", "alice", id) }, Error(400, NOTHING)),
    ("a second claim by the data connection", |w| { let id = pending(w); claim(w, DATA, "alice", id); claim(w, DATA, "alice", id) }, Error(400, NOTHING)),
    ("a claim within half a minute", |w| { let id = pending(w); w.advance(29); claim(w, DATA, "alice", id) }, Success(NOTHING)),
    ("a claim that comes too late", |w| { let id = pending(w); w.advance(30); claim(w, DATA, "alice", id) }, Error(400, NOTHING)),
    ("a claim of a peer that is not there yet", |w| { let id = pending(w); allocated(w); connect(w, PEER); claim(w, DATA, "alice", id) }, Error(400, NOTHING)),
    ("a claim by the control connection", |w| { let id = pending(w); claim(w, CONTROL, "alice", id) }, Error(437, NOTHING)),
    ("a claim after the allocation", |w| { let id = pending(w); w.ask_as(CONTROL, "alice", refresh(0)); claim(w, DATA, "alice", id) }, Error(400, NOTHING)),
    ("an unknown required attribute", |w| { let id = pending(w); w.ask_as(DATA, "alice", claiming(id).raw(0x7777, &[])) }, Error(420, NOTHING)),
];

#[test]
fn allocation() {
    check(ALLOCATION);
}

#[test]
fn connecting() {
    check(CONNECTING);
}

#[test]
fn binding() {
    check(BINDING);
}

/// Sends Alice's request to a server that allows peers.
pub(crate) fn tcp(world: &mut World, client: &str, request: Ask) -> Vec<u8> {
    *world = World::with(open_to("192.0.2.0/24"));
    world.ask_as(client, "alice", request)
}

pub(crate) fn allocate_tcp() -> Ask {
    Ask::request(ALLOCATE).with(&RequestedTransport::new(RequestedTransport::TCP))
}

pub(crate) fn both() -> Ask {
    allocate_tcp().with(&AdditionalAddressFamily::new(AddressFamily::IPV6))
}

pub(crate) fn both_families(world: &mut World) {
    let allow_peers = open_to("192.0.2.0/24,[2001:db8:1::/48]").allow_peers;
    *world = World::with(Config { allow_peers, ..dual_stack() });
}

/// Creates Alice's allocation for TCP in a fresh world, whose connection ids are always the same; returns the relayed
/// address.
pub(crate) fn allocated(world: &mut World) -> SocketAddr {
    relayed(&tcp(world, CONTROL, allocate_tcp()))
}

pub(crate) fn all_peers(world: &mut World) {
    *world = World::with(open_to("0.0.0.0/0"));
    world.ask_as(CONTROL, "alice", allocate_tcp());
}

/// Creates Alice's allocation for TCP in the given world, with a permission for the peer; returns the relayed address.
pub(crate) fn permitted(world: &mut World) -> SocketAddr {
    let relayed = relayed(&world.ask_as(CONTROL, "alice", allocate_tcp()));
    world.ask_as(CONTROL, "alice", permission(PEER));
    relayed
}

pub(crate) fn connect(world: &mut World, peer: &str) -> Vec<u8> {
    world.ask_as(CONTROL, "alice", Ask::request(CONNECT).peer(peer))
}

/// Reports the result of the last connection attempt; returns the answer.
pub(crate) fn called(world: &mut World, is_connected: bool) -> Vec<u8> {
    let Some(&Command::Connect { id, .. }) = world.commands.last() else { panic!() };
    world.server.handle_connected(world.now, id, is_connected);
    world.server.poll_transmit().unwrap().payload
}

/// Runs the timeouts; returns the answer.
pub(crate) fn overdue(world: &mut World) -> Vec<u8> {
    world.server.handle_timeout(world.now);
    world.carry_out_commands();
    world.server.poll_transmit().map(|answer| answer.payload).unwrap_or_default()
}

/// A peer connection that Alice has requested and not yet bound; returns its id.
pub(crate) fn pending(world: &mut World) -> u32 {
    allocated(world);
    connect(world, PEER);
    number(&called(world, true))
}

/// A connection from a peer; returns its id.
pub(crate) fn arrived(world: &mut World) -> u32 {
    *world = World::with(open_to("192.0.2.0/24"));
    let relayed = permitted(world);
    incoming(world, relayed, PEER).unwrap();
    number(&world.server.poll_transmit().unwrap().payload)
}

pub(crate) fn incoming(
    world: &mut World,
    relayed: SocketAddr,
    peer: &str,
) -> Option<PeerConnectionId> {
    world.server.handle_incoming(world.now, relayed, peer.parse().unwrap())
}

pub(crate) fn claiming(number: u32) -> Ask {
    Ask::request(CONNECTION_BIND).with(&ConnectionId::new(number))
}

pub(crate) fn claim(world: &mut World, client: &str, user: &str, number: u32) -> Vec<u8> {
    world.ask_as(client, user, claiming(number))
}

pub(crate) fn number(message: &[u8]) -> u32 {
    number_of(message).unwrap()
}

/// The CONNECTION-ID of a message, if present.
pub(crate) fn number_of(message: &[u8]) -> Option<u32> {
    Some(Message::from_bytes(message).unwrap().attribute::<ConnectionId>().ok()?.id())
}
