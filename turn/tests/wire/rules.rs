//! One row for each client-visible rule of RFC 8489 and RFC 8656.

use madang_turn::{Config, Secret};
use stun_types::attribute::{
    AttributeStaticType, AttributeType, ErrorCode, Fingerprint, MessageIntegrity,
    MessageIntegritySha256, Nonce, PasswordAlgorithm, PasswordAlgorithmValue, PasswordAlgorithms,
    Realm, Software, UnknownAttributes, Userhash, XorMappedAddress,
};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message, MessageClass, MessageWrite, MessageWriteExt,
    MessageWriteVec, ShortTermCredentials,
};
use turn_types::AddressFamily;
use turn_types::attribute::{
    AdditionalAddressFamily, AddressErrorCode, DontFragment, EvenPort, Lifetime,
    RequestedAddressFamily, RequestedTransport, ReservationToken, XorRelayedAddress,
};
use turn_types::message::{
    ALLOCATE, CHANNEL_BIND, CONNECTION_ATTEMPT, CREATE_PERMISSION, REFRESH, SEND,
};

use crate::world::{
    ALICE, Ask, Login, MEDIA, MEDIA_OTHER_PORT, World, allocate, bind, code, config, dual_stack,
    kinds, open_to, permission, refresh,
};

/// A rule: its title, what is done to a fresh server, and the expected last answer.
pub(crate) type Rule = (&'static str, fn(&mut World) -> Vec<u8>, Expect);

pub(crate) enum Expect {
    /// Success, with at least these attributes.
    Success(&'static [AttributeType]),
    /// This error, with at least these attributes.
    Error(u16, &'static [AttributeType]),
    /// No answer.
    Silence,
}
use Expect::{Error, Silence, Success};

pub(crate) const NOTHING: &[AttributeType] = &[];
pub(crate) const SIGNED: &[AttributeType] = &[MessageIntegrity::TYPE, Software::TYPE];
const SIGNED_SHA256: &[AttributeType] = &[MessageIntegritySha256::TYPE, Software::TYPE];
const CHALLENGE: &[AttributeType] = &[Realm::TYPE, Nonce::TYPE, ErrorCode::TYPE];
const OFFER: &[AttributeType] = &[Realm::TYPE, Nonce::TYPE, PasswordAlgorithms::TYPE];
const SHA256: PasswordAlgorithmValue = PasswordAlgorithmValue::SHA256;
const MD5: PasswordAlgorithmValue = PasswordAlgorithmValue::MD5;

#[rustfmt::skip]
const STUN: &[Rule] = &[
    ("Binding needs no credentials", |w| w.ask(ALICE, &Ask::request(BINDING).unsigned()), Success(&[XorMappedAddress::TYPE])),
    ("Binding over IPv6", |w| w.ask("[2001:db8::1]:4000", &Ask::request(BINDING).unsigned()), Success(&[XorMappedAddress::TYPE])),
    ("FINGERPRINT is answered with FINGERPRINT", |w| w.ask(ALICE, &Ask::request(BINDING).fingerprint().unsigned()), Success(&[Fingerprint::TYPE])),
    ("Binding with an unknown required attribute", |w| w.ask(ALICE, &Ask::request(BINDING).raw(0x0003, &[0; 4]).unsigned()), Error(420, &[UnknownAttributes::TYPE])),
    ("Binding with an unknown optional attribute", |w| w.ask(ALICE, &Ask::request(BINDING).raw(0xc001, &[0; 4]).unsigned()), Success(NOTHING)),
    ("a Binding indication is not answered", |w| w.ask(ALICE, &Ask::new(MessageClass::Indication, BINDING, 1.into()).unsigned()), Silence),
    ("a response is not answered", |w| w.ask(ALICE, &Ask::new(MessageClass::Success, BINDING, 1.into()).unsigned()), Silence),
    ("an error response is not answered", |w| w.ask(ALICE, &Ask::new(MessageClass::Error, BINDING, 1.into()).unsigned()), Silence),
    ("a ConnectionAttempt request is not answered", |w| w.ask_as(ALICE, "alice", Ask::request(CONNECTION_ATTEMPT)), Silence),
    ("an Allocate indication is not answered", |w| w.ask(ALICE, &Ask::new(MessageClass::Indication, ALLOCATE, 1.into()).unsigned()), Silence),
    ("a Send request is not answered", |w| w.ask(ALICE, &Ask::request(SEND).unsigned()), Silence),
    ("a wrong FINGERPRINT", |w| { let mut b = Ask::request(BINDING).fingerprint().unsigned(); *b.last_mut().unwrap() ^= 1; w.ask(ALICE, &b) }, Silence),
    ("no magic cookie (RFC 3489)", |w| { let mut b = Ask::request(BINDING).unsigned(); b[4] ^= 1; w.ask(ALICE, &b) }, Silence),
    ("a byte too many", |w| { let mut b = Ask::request(BINDING).unsigned(); b.push(0); w.ask(ALICE, &b) }, Silence),
    ("an attribute behind the message's end", |w| { let mut b = Ask::request(BINDING).unsigned(); b.extend([0xc0, 1, 0, 0]); w.ask(ALICE, &b) }, Silence),
    ("a byte too few", |w| { let mut b = Ask::request(BINDING).unsigned(); b.pop(); w.ask(ALICE, &b) }, Silence),
    ("an empty datagram", |w| w.ask(ALICE, &[]), Silence),
    ("DTLS", |w| w.ask(ALICE, &[22, 254, 253, 0]), Silence),
];

#[rustfmt::skip]
const AUTHENTICATION: &[Rule] = &[
    ("Allocate without credentials", |w| w.ask(ALICE, &allocate().unsigned()), Error(401, CHALLENGE)),
    ("Refresh without credentials", |w| w.ask(ALICE, &refresh(0).unsigned()), Error(401, CHALLENGE)),
    ("CreatePermission without credentials", |w| { w.allocated(); w.ask(ALICE, &permission(MEDIA).unsigned()) }, Error(401, CHALLENGE)),
    ("ChannelBind without credentials", |w| { w.allocated(); w.ask(ALICE, &bind(0x4000, MEDIA).unsigned()) }, Error(401, CHALLENGE)),
    ("credentials come before unknown attributes", |w| w.ask(ALICE, &allocate().raw(0x7777, &[]).unsigned()), Error(401, CHALLENGE)),
    ("a wrong password", |w| with_login(w, |l| l.password.push('x')), Error(401, CHALLENGE)),
    ("a username that isn't ours", |w| with_login(w, |l| l.username = "alice".into()), Error(401, CHALLENGE)),
    ("a changed expiry", |w| with_login(w, |l| l.username.insert(0, '9')), Error(401, CHALLENGE)),
    ("another realm", |w| with_login(w, |l| l.realm = "elsewhere".into()), Error(401, CHALLENGE)),
    ("expired credentials", |w| { let old = w.credentials("alice"); w.advance(86_400); with_login(w, |l| { l.username = old.username.clone(); l.password = old.password.clone(); }) }, Error(401, CHALLENGE)),
    ("Refresh with credentials that expired since", |w| outlived(w, refresh(600)), Success(SIGNED)),
    ("CreatePermission with credentials that expired since", |w| outlived(w, permission(MEDIA)), Success(SIGNED)),
    ("ChannelBind with credentials that expired since", |w| outlived(w, bind(0x4000, MEDIA)), Success(SIGNED)),
    ("Refresh to 0 with credentials that expired since", |w| outlived(w, refresh(0)), Success(SIGNED)),
    ("a second Allocate with credentials that expired since", |w| outlived(w, allocate()), Error(401, CHALLENGE)),
    ("expired credentials of another user", |w| { w.allocated(); let l = w.expired_login(ALICE, "mallory"); w.ask(ALICE, &refresh(600).signed(&l)) }, Error(401, CHALLENGE)),
    ("expired credentials with a wrong password", |w| { w.allocated(); let mut l = w.expired_login(ALICE, "alice"); l.password.push('x'); w.ask(ALICE, &refresh(600).signed(&l)) }, Error(401, CHALLENGE)),
    ("expired credentials with a stale nonce", |w| { w.allocated(); let mut l = w.expired_login(ALICE, "alice"); l.nonce = "12345678".into(); w.ask(ALICE, &refresh(600).signed(&l)) }, Error(438, CHALLENGE)),
    ("expired credentials without an allocation", |w| { let l = w.expired_login(ALICE, "alice"); w.ask(ALICE, &refresh(600).signed(&l)) }, Error(401, CHALLENGE)),
    ("a nonce that was never issued", |w| with_login(w, |l| l.nonce = "12345678".into()), Error(438, CHALLENGE)),
    ("a nonce of two hours ago", |w| { let l = w.login(ALICE, "alice"); w.advance(7200); w.ask(ALICE, &allocate().signed(&l)) }, Error(438, CHALLENGE)),
    ("the nonce of another client", |w| { let l = w.login("203.0.113.6:40000", "alice"); w.ask(ALICE, &allocate().signed(&l)) }, Error(438, CHALLENGE)),
    ("a wrong password comes before a stale nonce", |w| with_login(w, |l| { l.password.push('x'); l.nonce = "12345678".into(); }), Error(401, CHALLENGE)),
    ("an unknown user comes before a stale nonce", |w| with_login(w, |l| { l.username = "alice".into(); l.nonce = "12345678".into(); }), Error(401, CHALLENGE)),
    ("another realm comes before a stale nonce", |w| with_login(w, |l| { l.realm = "elsewhere".into(); l.nonce = "12345678".into(); }), Error(401, CHALLENGE)),
    ("credentials that expired with their nonce", |w| { let l = w.login(ALICE, "alice"); w.advance(86_400); w.ask(ALICE, &allocate().signed(&l)) }, Error(401, CHALLENGE)),
    ("a choice without the list comes before a stale nonce", |w| { let l = w.login_sha256(ALICE, "alice"); w.advance(7200); w.ask(ALICE, &allocate().with(&PasswordAlgorithm::new(SHA256)).signed_with(&l, IntegrityAlgorithm::Sha256)) }, Error(400, NOTHING)),
    ("a wrong password with SHA-256 comes before a stale nonce", |w| { let mut l = w.login_sha256(ALICE, "alice"); l.password.push('x'); w.advance(7200); w.ask(ALICE, &allocate().signed_sha256(&l)) }, Error(401, OFFER)),
    ("a nonce of two hours ago with SHA-256", |w| { let l = w.login_sha256(ALICE, "alice"); w.advance(7200); w.ask(ALICE, &allocate().signed_sha256(&l)) }, Error(438, OFFER)),
    ("a signature without NONCE, USERNAME, REALM", |w| w.ask(ALICE, &anonymous_signature()), Error(400, NOTHING)),
    ("MESSAGE-INTEGRITY-SHA256 was not offered", |w| { let l = w.login(ALICE, "alice"); w.ask(ALICE, &allocate().signed_with(&l, IntegrityAlgorithm::Sha256)) }, Error(401, CHALLENGE)),
    ("a short request without any attribute is no request", |w| w.ask(ALICE, &Ask::request(ALLOCATE).unsigned()), Error(400, NOTHING)),
    ("a request with room for it is offered SHA-256", |w| w.ask(ALICE, &named_allocate().unsigned()), Error(401, OFFER)),
    ("a stale request is offered SHA-256", |w| with_login(w, |l| l.nonce = "12345678".into()), Error(438, OFFER)),
    ("SHA-256 as offered", |w| { let l = w.login_sha256(ALICE, "alice"); w.ask(ALICE, &allocate().signed_sha256(&l)) }, Success(SIGNED_SHA256)),
    ("refusals to who signs with SHA-256", |w| { let l = w.login_sha256(ALICE, "alice"); w.ask(ALICE, &refresh(0).signed_sha256(&l)) }, Error(437, SIGNED_SHA256)),
    ("MD5 although SHA-256 was offered", |w| { let l = w.login_sha256(ALICE, "alice"); w.ask(ALICE, &allocate().signed(&l)) }, Success(SIGNED)),
    ("SHA-256 that was not offered", |w| { let l = w.login(ALICE, "alice"); w.ask(ALICE, &allocate().signed_sha256(&l)) }, Error(400, NOTHING)),
    ("a wrong password with SHA-256", |w| { let mut l = w.login_sha256(ALICE, "alice"); l.password.push('x'); w.ask(ALICE, &allocate().signed_sha256(&l)) }, Error(401, OFFER)),
    ("a choice without the list", |w| { let l = w.login_sha256(ALICE, "alice"); w.ask(ALICE, &allocate().with(&PasswordAlgorithm::new(SHA256)).signed_with(&l, IntegrityAlgorithm::Sha256)) }, Error(400, NOTHING)),
    ("the list without a choice", |w| { let l = w.login_sha256(ALICE, "alice"); w.ask(ALICE, &allocate().with(&PasswordAlgorithms::new(&[SHA256])).signed(&l)) }, Error(400, NOTHING)),
    ("another list than the one that was offered (bid-down)", |w| { let l = w.login_sha256(ALICE, "alice"); w.ask(ALICE, &allocate().with(&PasswordAlgorithms::new(&[MD5])).with(&PasswordAlgorithm::new(MD5)).signed(&l)) }, Error(400, NOTHING)),
    ("a choice that is not in the list", |w| { let l = w.login_sha256(ALICE, "alice"); w.ask(ALICE, &allocate().with(&PasswordAlgorithms::new(&[SHA256])).with(&PasswordAlgorithm::new(MD5)).signed(&l)) }, Error(400, NOTHING)),
    ("an algorithm that doesn't exist", |w| { let l = w.login_sha256(ALICE, "alice"); w.ask(ALICE, &allocate().with(&PasswordAlgorithms::new(&[SHA256])).raw(0x001d, &[0, 9, 0, 0]).signed(&l)) }, Error(400, NOTHING)),
    ("a nonce without its cookie", |w| { let mut l = w.login_sha256(ALICE, "alice"); l.nonce = l.nonce.split_off(13); w.ask(ALICE, &allocate().signed(&l)) }, Error(438, CHALLENGE)),
    ("a username as a hash", |w| { let l = w.login_sha256(ALICE, "alice"); w.ask(ALICE, &userhash(&l)) }, Error(400, NOTHING)),
    ("a user of the configuration", |w| static_user(w, "carol", "a pass:word"), Success(SIGNED)),
    ("a user of the configuration with a wrong password", |w| static_user(w, "carol", "guess"), Error(401, CHALLENGE)),
    ("nobody of the configuration", |w| static_user(w, "dave", "a pass:word"), Error(401, CHALLENGE)),
    ("a good signature", |w| w.ask_as(ALICE, "alice", allocate()), Success(SIGNED)),
    ("a Korean user", |w| w.ask_as(ALICE, "마당:참가자", allocate()), Success(SIGNED)),
    ("refusals to known callers are signed", |w| w.ask_as(ALICE, "alice", Ask::request(ALLOCATE)), Error(400, SIGNED)),
];

#[rustfmt::skip]
const ALLOCATION: &[Rule] = &[
    ("an allocation tells both addresses and its lifetime", |w| w.ask_as(ALICE, "alice", allocate().fingerprint()), Success(&[XorRelayedAddress::TYPE, XorMappedAddress::TYPE, Lifetime::TYPE, Fingerprint::TYPE])),
    ("no REQUESTED-TRANSPORT", |w| w.ask_as(ALICE, "alice", Ask::request(ALLOCATE)), Error(400, NOTHING)),
    ("a malformed REQUESTED-TRANSPORT", |w| w.ask_as(ALICE, "alice", Ask::request(ALLOCATE).raw(0x0019, &[17])), Error(400, NOTHING)),
    ("TCP is not relayed where media is all", |w| w.ask_as(ALICE, "alice", Ask::request(ALLOCATE).with(&RequestedTransport::new(6))), Error(442, NOTHING)),
    ("an unknown required attribute", |w| w.ask_as(ALICE, "alice", allocate().raw(0x7777, &[1])), Error(420, &[UnknownAttributes::TYPE])),
    ("DONT-FRAGMENT is kept", |w| w.ask_as(ALICE, "alice", allocate().with(&DontFragment::new())), Success(NOTHING)),
    ("a second allocation", |w| { w.allocated(); w.ask_as(ALICE, "alice", allocate()) }, Error(437, NOTHING)),
    ("IPv4 by name", |w| w.ask_as(ALICE, "alice", allocate().with(&RequestedAddressFamily::new(AddressFamily::IPV4))), Success(NOTHING)),
    ("IPv6 where there is none", |w| w.ask_as(ALICE, "alice", allocate().with(&RequestedAddressFamily::new(AddressFamily::IPV6))), Error(440, NOTHING)),
    ("a family that doesn't exist", |w| w.ask_as(ALICE, "alice", allocate().raw(0x0017, &[9, 0, 0, 0])), Error(440, NOTHING)),
    ("IPv6 by name where there is some", |w| { ipv6(w); w.ask_as(ALICE, "alice", allocate().with(&RequestedAddressFamily::new(AddressFamily::IPV6))) }, Success(&[XorRelayedAddress::TYPE])),
    ("unnamed is IPv4, which isn't here", |w| { ipv6(w); w.ask_as(ALICE, "alice", allocate()) }, Error(440, NOTHING)),
    ("a second family is granted in part", |w| w.ask_as(ALICE, "alice", allocate().with(&AdditionalAddressFamily::new(AddressFamily::IPV6))), Success(&[XorRelayedAddress::TYPE, AddressErrorCode::TYPE])),
    ("both families", |w| { *w = World::with(dual_stack()); w.ask_as(ALICE, "alice", both()) }, Success(&[XorRelayedAddress::TYPE, Lifetime::TYPE])),
    ("both families and even ports", |w| { *w = World::with(dual_stack()); w.ask_as(ALICE, "alice", both().with(&EvenPort::new(false))) }, Success(NOTHING)),
    ("both families where there is no IPv4", |w| { ipv6(w); w.ask_as(ALICE, "alice", both()) }, Error(440, NOTHING)),
    ("IPv6 by name with both families", |w| { *w = World::with(dual_stack()); w.ask_as(ALICE, "alice", allocate().with(&RequestedAddressFamily::new(AddressFamily::IPV6))) }, Success(&[XorRelayedAddress::TYPE])),
    ("a token and a second family", |w| w.ask_as(ALICE, "alice", allocate().with(&ReservationToken::new(7)).with(&AdditionalAddressFamily::new(AddressFamily::IPV6))), Error(400, NOTHING)),
    ("somebody else's token", |w| { let t = token(w); w.ask_as("203.0.113.9:1", "mallory", allocate().with(&ReservationToken::new(t))) }, Error(508, NOTHING)),
    ("a token of half a minute ago", |w| { let t = token(w); w.advance(30); w.ask_as("203.0.113.9:1", "alice", allocate().with(&ReservationToken::new(t))) }, Error(508, NOTHING)),
    ("a token that was used", |w| { let t = token(w); w.ask_as("203.0.113.9:1", "alice", allocate().with(&ReservationToken::new(t))); w.ask_as("203.0.113.9:2", "alice", allocate().with(&ReservationToken::new(t))) }, Error(508, NOTHING)),
    ("a token", |w| { let t = token(w); w.advance(29); w.ask_as("203.0.113.9:1", "alice", allocate().with(&ReservationToken::new(t))) }, Success(&[XorRelayedAddress::TYPE])),
    ("no pair of ports left", |w| { *w = World::with(Config { relay_ports: 50001..=50002, ..config() }); w.ask_as(ALICE, "alice", allocate().with(&EvenPort::new(true))) }, Error(508, NOTHING)),
    ("a kept port is nobody else's", |w| { *w = World::with(Config { relay_ports: 50000..=50001, ..config() }); token(w); w.ask_as("203.0.113.9:1", "alice", allocate()) }, Error(508, NOTHING)),
    ("a malformed token", |w| w.ask_as(ALICE, "alice", allocate().raw(0x0022, &[1, 2, 3])), Error(400, NOTHING)),
    ("IPv4 as the second family", |w| w.ask_as(ALICE, "alice", allocate().raw(0x8000, &[1, 0, 0, 0])), Error(400, NOTHING)),
    ("both family attributes", |w| w.ask_as(ALICE, "alice", allocate().with(&RequestedAddressFamily::new(AddressFamily::IPV4)).with(&AdditionalAddressFamily::new(AddressFamily::IPV6))), Error(400, NOTHING)),
    ("an even port", |w| w.ask_as(ALICE, "alice", allocate().with(&EvenPort::new(false))), Success(NOTHING)),
    ("a pair of ports is reserved", |w| w.ask_as(ALICE, "alice", allocate().with(&EvenPort::new(true))), Success(&[ReservationToken::TYPE])),
    ("a pair and a second family", |w| w.ask_as(ALICE, "alice", allocate().with(&EvenPort::new(true)).with(&AdditionalAddressFamily::new(AddressFamily::IPV6))), Error(400, NOTHING)),
    ("a token that was never issued", |w| w.ask_as(ALICE, "alice", allocate().with(&ReservationToken::new(7))), Error(508, NOTHING)),
    ("a token and EVEN-PORT", |w| w.ask_as(ALICE, "alice", allocate().with(&ReservationToken::new(7)).with(&EvenPort::new(false))), Error(400, NOTHING)),
    ("a token and a family", |w| w.ask_as(ALICE, "alice", allocate().with(&ReservationToken::new(7)).with(&RequestedAddressFamily::new(AddressFamily::IPV4))), Error(400, NOTHING)),
    ("a malformed LIFETIME", |w| w.ask_as(ALICE, "alice", allocate().raw(0x000d, &[1, 2])), Error(400, NOTHING)),
    ("too many for one user", |w| { limit(w, 1, 9, 9); w.allocated(); w.ask_as("203.0.113.9:1", "alice", allocate()) }, Error(486, NOTHING)),
    ("renewed credentials are the same user", |w| { limit(w, 1, 9, 9); w.allocated(); w.advance(1); w.ask_as("203.0.113.9:1", "alice", allocate()) }, Error(486, NOTHING)),
    ("too many for one address", |w| { limit(w, 9, 1, 9); w.allocated(); w.ask_as("203.0.113.5:1", "bob", allocate()) }, Error(486, NOTHING)),
    ("an IPv6 /64 is one address", |w| { limit(w, 9, 1, 9); w.ask_as("[2001:db8::1]:1", "alice", allocate()); w.ask_as("[2001:db8::ffff]:1", "bob", allocate()) }, Error(486, NOTHING)),
    ("too many for the server", |w| { limit(w, 9, 9, 1); w.allocated(); w.ask_as("203.0.113.9:1", "bob", allocate()) }, Error(508, NOTHING)),
    ("no port left", |w| { *w = World::with(Config { relay_ports: 50000..=50000, ..config() }); w.allocated(); w.ask_as("203.0.113.9:1", "bob", allocate()) }, Error(508, NOTHING)),
    ("no even port left", |w| { *w = World::with(Config { relay_ports: 50001..=50001, ..config() }); w.ask_as(ALICE, "alice", allocate().with(&EvenPort::new(false))) }, Error(508, NOTHING)),
];

#[rustfmt::skip]
const REFRESHING: &[Rule] = &[
    ("Refresh tells the lifetime", |w| { w.allocated(); w.ask_as(ALICE, "alice", refresh(600)) }, Success(&[Lifetime::TYPE, MessageIntegrity::TYPE])),
    ("Refresh without LIFETIME", |w| { w.allocated(); w.ask_as(ALICE, "alice", Ask::request(REFRESH)) }, Success(&[Lifetime::TYPE])),
    ("Refresh without allocation", |w| w.ask_as(ALICE, "alice", refresh(600)), Error(437, NOTHING)),
    ("Refresh from another port", |w| { w.allocated(); w.ask_as("203.0.113.5:40001", "alice", refresh(600)) }, Error(437, NOTHING)),
    ("Refresh by somebody else", |w| { w.allocated(); w.ask_as(ALICE, "mallory", refresh(0)) }, Error(441, NOTHING)),
    ("Refresh with renewed credentials", |w| { w.allocated(); w.advance(60); w.ask_as(ALICE, "alice", refresh(600)) }, Success(NOTHING)),
    ("Refresh of the other family", |w| { w.allocated(); w.ask_as(ALICE, "alice", refresh(600).with(&RequestedAddressFamily::new(AddressFamily::IPV6))) }, Error(443, NOTHING)),
    ("deleting", |w| { w.allocated(); w.ask_as(ALICE, "alice", refresh(0)) }, Success(&[Lifetime::TYPE])),
    ("deleting the IPv6 half leaves the other", |w| { *w = World::with(dual_stack()); w.ask_as(ALICE, "alice", both()); w.ask_as(ALICE, "alice", half(0)); w.ask_as(ALICE, "alice", refresh(600)) }, Success(&[Lifetime::TYPE])),
    ("the deleted half", |w| { *w = World::with(dual_stack()); w.ask_as(ALICE, "alice", both()); w.ask_as(ALICE, "alice", half(0)); w.ask_as(ALICE, "alice", half(600)) }, Error(443, NOTHING)),
    ("refreshing one of both families", |w| { *w = World::with(dual_stack()); w.ask_as(ALICE, "alice", both()); w.ask_as(ALICE, "alice", half(600)) }, Success(&[Lifetime::TYPE])),
    ("deleting twice", |w| { w.allocated(); w.ask_as(ALICE, "alice", refresh(0)); w.ask_as(ALICE, "alice", refresh(0)) }, Error(437, NOTHING)),
    ("allocating again after deleting", |w| { w.allocated(); w.ask_as(ALICE, "alice", refresh(0)); w.ask_as(ALICE, "alice", allocate()) }, Success(NOTHING)),
];

#[rustfmt::skip]
const PERMISSIONS: &[Rule] = &[
    ("media is permitted", |w| permit(w, MEDIA), Success(SIGNED)),
    ("any port of media's address is permitted", |w| permit(w, "198.51.100.7:1"), Success(NOTHING)),
    ("media in disguise is still media", |w| permit(w, "[::ffff:198.51.100.7]:5004"), Success(NOTHING)),
    ("loopback", |w| permit(w, "127.0.0.1:80"), Error(403, SIGNED)),
    ("loopback in disguise", |w| permit(w, "[::ffff:127.0.0.1]:80"), Error(403, NOTHING)),
    ("the cloud's metadata", |w| permit(w, "169.254.169.254:80"), Error(403, NOTHING)),
    ("a private network", |w| permit(w, "10.0.0.1:80"), Error(403, NOTHING)),
    ("the internet", |w| permit(w, "8.8.8.8:53"), Error(403, NOTHING)),
    ("the unspecified address", |w| permit(w, "0.0.0.0:0"), Error(403, NOTHING)),
    ("broadcast", |w| permit(w, "255.255.255.255:9"), Error(403, NOTHING)),
    ("NAT64 of the internet", |w| permit(w, "[64:ff9b::808:808]:53"), Error(443, NOTHING)),
    ("IPv6 with both families", |w| { *w = World::with(dual_stack()); w.ask_as(ALICE, "alice", both()); w.ask_as(ALICE, "alice", permission("[2001:db8::1]:80")) }, Error(403, NOTHING)),
    ("IPv6 loopback with both families", |w| { *w = World::with(dual_stack()); w.ask_as(ALICE, "alice", both()); w.ask_as(ALICE, "alice", permission("[::1]:80")) }, Error(403, NOTHING)),
    ("a peer that is named", |w| { *w = World::with(open_to("192.0.2.0/24")); permit(w, "192.0.2.9:1") }, Success(NOTHING)),
    ("a peer beside it", |w| { *w = World::with(open_to("192.0.2.0/24")); permit(w, "192.0.3.9:1") }, Error(403, NOTHING)),
    ("a special address where all are allowed", |w| { *w = World::with(open_to("0.0.0.0/0")); permit(w, "169.254.169.254:80") }, Error(403, NOTHING)),
    ("64 permissions at a time", |w| { *w = World::with(open_to("192.0.2.0/24")); w.allocated(); many_peers(w, 64) }, Success(NOTHING)),
    ("and not one more", |w| { *w = World::with(open_to("192.0.2.0/24")); w.allocated(); many_peers(w, 65) }, Error(508, NOTHING)),
    ("IPv6 from IPv4", |w| permit(w, "[2001:db8::1]:80"), Error(443, NOTHING)),
    ("IPv6 loopback", |w| permit(w, "[::1]:80"), Error(443, NOTHING)),
    ("one bad peer among good ones", |w| { w.allocated(); w.ask_as(ALICE, "alice", permission(MEDIA).peer("10.0.0.1:80")) }, Error(403, NOTHING)),
    ("two good peers", |w| { w.allocated(); w.ask_as(ALICE, "alice", permission(MEDIA).peer("198.51.100.8:5004")) }, Success(NOTHING)),
    ("no peer", |w| { w.allocated(); w.ask_as(ALICE, "alice", Ask::request(CREATE_PERMISSION)) }, Error(400, NOTHING)),
    ("a malformed peer", |w| { w.allocated(); w.ask_as(ALICE, "alice", Ask::request(CREATE_PERMISSION).raw(0x0012, &[0, 1, 2, 3])) }, Error(400, NOTHING)),
    ("a permission without allocation", |w| w.ask_as(ALICE, "alice", permission(MEDIA)), Error(437, NOTHING)),
    ("a permission for somebody else", |w| { w.allocated(); w.ask_as(ALICE, "mallory", permission(MEDIA)) }, Error(441, NOTHING)),
];

#[rustfmt::skip]
const CHANNELS: &[Rule] = &[
    ("a channel to media", |w| channels(w, &[(0x4000, MEDIA)]), Success(SIGNED)),
    ("the last channel number", |w| channels(w, &[(0x4fff, MEDIA)]), Success(NOTHING)),
    ("a number below the range", |w| channels(w, &[(0x3fff, MEDIA)]), Error(400, NOTHING)),
    ("a number above the range", |w| channels(w, &[(0x5000, MEDIA)]), Error(400, NOTHING)),
    ("a number above RFC 5766's range", |w| channels(w, &[(0xffff, MEDIA)]), Error(400, NOTHING)),
    ("a channel is refreshed", |w| channels(w, &[(0x4000, MEDIA), (0x4000, MEDIA)]), Success(NOTHING)),
    ("a number for two peers", |w| channels(w, &[(0x4000, MEDIA), (0x4000, "198.51.100.8:5004")]), Error(400, NOTHING)),
    ("a peer with two numbers", |w| channels(w, &[(0x4000, MEDIA), (0x4001, MEDIA)]), Error(400, NOTHING)),
    ("two peers with two numbers", |w| channels(w, &[(0x4000, MEDIA), (0x4001, "198.51.100.8:5004")]), Success(NOTHING)),
    ("a channel to a port without media", |w| channels(w, &[(0x4000, MEDIA_OTHER_PORT)]), Error(403, NOTHING)),
    ("a channel to loopback", |w| channels(w, &[(0x4000, "127.0.0.1:5004")]), Error(403, NOTHING)),
    ("a channel to a peer that is named", |w| { *w = World::with(open_to("192.0.2.0/24:5000")); channels(w, &[(0x4000, "192.0.2.9:5000")]) }, Success(NOTHING)),
    ("a channel to its other port", |w| { *w = World::with(open_to("192.0.2.0/24:5000")); channels(w, &[(0x4000, "192.0.2.9:5001")]) }, Error(403, NOTHING)),
    ("a channel to IPv6", |w| channels(w, &[(0x4000, "[2001:db8::1]:5004")]), Error(443, NOTHING)),
    ("no number", |w| { w.allocated(); w.ask_as(ALICE, "alice", Ask::request(CHANNEL_BIND).peer(MEDIA)) }, Error(400, NOTHING)),
    ("no peer", |w| { w.allocated(); w.ask_as(ALICE, "alice", Ask::request(CHANNEL_BIND).raw(0x000c, &[0x40, 0, 0, 0])) }, Error(400, NOTHING)),
    ("a channel without allocation", |w| w.ask_as(ALICE, "alice", bind(0x4000, MEDIA)), Error(437, NOTHING)),
    ("a channel for somebody else", |w| { w.allocated(); w.ask_as(ALICE, "mallory", bind(0x4000, MEDIA)) }, Error(441, NOTHING)),
];

#[test]
fn stun() {
    check(STUN);
}

#[test]
fn authentication() {
    check(AUTHENTICATION);
}

#[test]
fn allocation() {
    check(ALLOCATION);
}

#[test]
fn refreshing() {
    check(REFRESHING);
}

#[test]
fn permissions() {
    check(PERMISSIONS);
}

#[test]
fn channel_bindings() {
    check(CHANNELS);
}

pub(crate) fn check(rules: &[Rule]) {
    let broken: Vec<String> = rules
        .iter()
        .filter_map(|(name, act, expect)| {
            let answer = act(&mut World::new());
            let found =
                if answer.is_empty() { None } else { Some((code(&answer), kinds(&answer))) };
            let kept = match (expect, &found) {
                (Silence, None) => true,
                (Success(wanted), Some((0, kinds))) => wanted.iter().all(|k| kinds.contains(k)),
                (Error(wanted_code, wanted), Some((code, kinds))) => {
                    code == wanted_code && wanted.iter().all(|k| kinds.contains(k))
                }
                _ => false,
            };
            (!kept).then(|| format!("{name}: {found:?}"))
        })
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

fn named_allocate() -> Ask {
    allocate().with(&Software::new("a client with a name").unwrap())
}

fn both() -> Ask {
    allocate().with(&AdditionalAddressFamily::new(AddressFamily::IPV6))
}

/// A Refresh of the IPv6 half.
fn half(seconds: u32) -> Ask {
    refresh(seconds).with(&RequestedAddressFamily::new(AddressFamily::IPV6))
}

/// Creates Alice's allocation with a reserved port; returns the token.
fn token(world: &mut World) -> u64 {
    let answer = world.ask_as(ALICE, "alice", allocate().with(&EvenPort::new(true)));
    Message::from_bytes(&answer).unwrap().attribute::<ReservationToken>().unwrap().token()
}

fn many_peers(world: &mut World, count: u32) -> Vec<u8> {
    let request = (1..=count).fold(Ask::request(CREATE_PERMISSION), |request, last| {
        request.peer(&format!("192.0.2.{last}:1"))
    });
    world.ask_as(ALICE, "alice", request)
}

fn static_user(world: &mut World, name: &str, password: &str) -> Vec<u8> {
    let users = vec![("carol".to_owned(), Secret::new("a pass:word"))];
    *world = World::with(Config { users, ..config() });
    with_login(world, |login| {
        login.username = name.to_owned();
        login.password = password.to_owned();
    })
}

/// A valid signature, but with USERHASH in place of USERNAME.
fn userhash(login: &Login) -> Vec<u8> {
    let hash = Userhash::compute(&login.username, &login.realm);
    let mut ask = allocate()
        .with(&Userhash::new(hash))
        .with(&Realm::new(&login.realm).unwrap())
        .with(&Nonce::new(&login.nonce).unwrap());
    ask.sign(login, IntegrityAlgorithm::Sha256);
    ask.unsigned()
}

fn permit(world: &mut World, peer: &str) -> Vec<u8> {
    world.allocated();
    world.ask_as(ALICE, "alice", permission(peer))
}

fn channels(world: &mut World, bindings: &[(u16, &str)]) -> Vec<u8> {
    world.allocated();
    let mut last = Vec::new();
    for (number, peer) in bindings {
        last = world.ask_as(ALICE, "alice", bind(*number, peer));
    }
    last
}

fn limit(world: &mut World, per_user: usize, per_address: usize, total: usize) {
    *world = World::with(Config {
        max_allocations_per_user: per_user,
        max_allocations_per_address: per_address,
        max_allocations: total,
        ..config()
    });
}

fn ipv6(world: &mut World) {
    *world = World::with(Config { relay_ips: vec!["2001:db8::7".parse().unwrap()], ..config() });
}

/// A request for Alice's allocation, whose credentials have expired.
fn outlived(world: &mut World, request: Ask) -> Vec<u8> {
    world.allocated();
    let login = world.expired_login(ALICE, "alice");
    world.ask(ALICE, &request.signed(&login))
}

fn with_login(world: &mut World, change: impl Fn(&mut Login)) -> Vec<u8> {
    let mut login = world.login(ALICE, "alice");
    change(&mut login);
    world.ask(ALICE, &allocate().signed(&login))
}

/// A signed request without a user name.
fn anonymous_signature() -> Vec<u8> {
    let mut message = Message::builder_request(ALLOCATE, MessageWriteVec::new());
    message
        .add_message_integrity(
            &ShortTermCredentials::new("x".to_owned()).into(),
            IntegrityAlgorithm::Sha1,
        )
        .unwrap();
    message.finish()
}
