//! The test vectors of RFC 5769 that a server sends or receives. The request with long-term credentials (§2.4) is
//! checked in `auth/credentials`, where keys are made.

use stun_types::attribute::{Attribute, AttributeStaticType, UnknownAttributes, XorMappedAddress};
use stun_types::message::{BINDING, Message, MessageClass};

use crate::world::{ALICE, Ask, World, code};

/// §2.1: a connectivity check with PRIORITY, intended for an ICE agent.
#[test]
fn a_connectivity_check_is_understood_and_refused() {
    let request = bytes(include_str!("../vectors/rfc5769_2_1.hex"));

    let answer = World::new().ask(ALICE, &request);

    assert_eq!(code(&answer), 420);
    let message = Message::from_bytes(&answer).unwrap();
    let unknown = message.attribute::<UnknownAttributes>().unwrap();
    assert!(unknown.has_attribute(0x0024.into()));
    assert_eq!(unknown.length(), 2, "ICE-CONTROLLED is optional");
}

/// §2.2: a response with an IPv4 address.
#[test]
fn an_ipv4_address_is_mapped_as_published() {
    let published = bytes(include_str!("../vectors/rfc5769_2_2.hex"));

    assert_eq!(mapped_for("192.0.2.1:32853", &published), mapped(&published));
}

/// §2.3: a response with an IPv6 address.
#[test]
fn an_ipv6_address_is_mapped_as_published() {
    let published = bytes(include_str!("../vectors/rfc5769_2_3.hex"));
    let client = "[2001:db8:1234:5678:11:2233:4455:6677]:32853";

    assert_eq!(mapped_for(client, &published), mapped(&published));
}

/// A dual-stack socket reports IPv4 clients as IPv4-mapped IPv6; the answer must contain the IPv4 address.
#[test]
fn an_ipv4_client_of_a_dual_stack_socket_is_told_its_ipv4_address() {
    let published = bytes(include_str!("../vectors/rfc5769_2_2.hex"));

    assert_eq!(mapped_for("[::ffff:192.0.2.1]:32853", &published), mapped(&published));
}

fn mapped_for(client: &str, published: &[u8]) -> Vec<u8> {
    let transaction = Message::from_bytes(published).unwrap().transaction_id();
    let request = Ask::new(MessageClass::Request, BINDING, transaction).unsigned();
    mapped(&World::new().ask(client, &request))
}

fn mapped(response: &[u8]) -> Vec<u8> {
    let message = Message::from_bytes(response).unwrap();
    let attribute = message.raw_attribute(XorMappedAddress::TYPE).unwrap();
    attribute.value.to_vec()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}
