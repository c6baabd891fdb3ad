//! Allocations of both families, and pairs of ports: the answers, and the traffic afterwards.

use std::net::SocketAddr;

use madang_turn::Config;
use stun_types::attribute::{Attribute, AttributeFromRaw, AttributeStaticType};
use stun_types::message::Message;
use turn_types::AddressFamily;
use turn_types::attribute::{
    AdditionalAddressFamily, AddressErrorCode, EvenPort, RequestedAddressFamily, ReservationToken,
    XorRelayedAddress,
};

use crate::world::{
    ALICE, Ask, MEDIA, World, allocate, bind, channel_data, code, config, dual_stack, refresh,
    relayed,
};

const MEDIA_V6: &str = "[2001:db8::7]:5004";

#[test]
fn both_halves_carry_their_family() {
    let mut world = World::with(Config {
        media: vec![MEDIA.parse().unwrap(), MEDIA_V6.parse().unwrap()],
        ..dual_stack()
    });
    let [v4, v6] = both_relayed(&world.ask_as(ALICE, "alice", both()))[..] else { panic!() };
    world.ask_as(ALICE, "alice", bind(0x4000, MEDIA));
    world.ask_as(ALICE, "alice", bind(0x4001, MEDIA_V6));

    assert!(v4.is_ipv4() && v6.is_ipv6());
    assert_eq!(world.send(ALICE, &channel_data(0x4000, b"x")).unwrap().0, v4);
    assert_eq!(world.send(ALICE, &channel_data(0x4001, b"x")).unwrap().0, v6);
    assert!(world.media_sends(v4, MEDIA, b"x").is_some());
    assert!(world.media_sends(v6, MEDIA_V6, b"x").is_some());

    let deleting = refresh(0).with(&RequestedAddressFamily::new(AddressFamily::IPV6));
    assert_eq!(code(&world.ask_as(ALICE, "alice", deleting)), 0);
    assert!(world.media_sends(v4, MEDIA, b"x").is_some());
    assert_eq!(world.media_sends(v6, MEDIA_V6, b"x"), None);
    assert_eq!(world.send(ALICE, &channel_data(0x4001, b"x")), None);
    assert_eq!(world.server.stats().allocations, 1);
}

#[test]
fn what_is_missing_of_both_families_is_told() {
    let mut world = World::new();

    let answer = world.ask_as(ALICE, "alice", both());

    let message = Message::from_bytes(&answer).unwrap();
    let missing = message.attribute::<AddressErrorCode>().unwrap();
    assert_eq!((missing.family(), missing.error().code()), (AddressFamily::IPV6, 440));
    assert_eq!(both_relayed(&answer).len(), 1);
}

#[test]
fn a_token_is_for_the_port_behind() {
    let mut world = World::new();
    let login = world.login(ALICE, "alice");
    let request = allocate().with(&EvenPort::new(true)).signed(&login);

    let answer = world.ask(ALICE, &request);
    let repeated = world.ask(ALICE, &request);
    let reservation = ReservationToken::new(token(&answer));
    let next = world.ask_as("203.0.113.5:2", "alice", allocate().with(&reservation));

    let even = relayed(&answer).port();
    assert_eq!(answer, repeated);
    assert_eq!(even % 2, 0);
    assert_eq!(relayed(&next).port(), even + 1);
}

/// A reserved port outlives the allocation that reserved it.
#[test]
fn one_user_can_not_hold_all_reservations() {
    let mut world = World::with(Config { max_allocations_per_user: 3, ..config() });
    let pair = || allocate().with(&EvenPort::new(true));
    let mut tokens = Vec::new();
    for port in 1..=3 {
        let client = format!("203.0.113.5:{port}");
        tokens.push(token(&world.ask_as(&client, "alice", pair())));
        assert_eq!(code(&world.ask_as(&client, "alice", refresh(0))), 0);
    }

    let fourth = world.ask_as(ALICE, "alice", pair());
    let plain = world.ask_as(ALICE, "alice", allocate());
    let other = world.ask_as("203.0.113.6:1", "bob", pair());
    let redeemed =
        world.ask_as("203.0.113.5:4", "alice", allocate().with(&ReservationToken::new(tokens[0])));
    let after = world.ask_as("203.0.113.5:5", "alice", pair());
    world.ask_as("203.0.113.5:5", "alice", refresh(0));
    let full = world.ask_as("203.0.113.5:5", "alice", pair());
    world.advance(30);
    let later = world.ask_as("203.0.113.5:5", "alice", pair());

    assert_eq!([fourth, plain, other].map(|answer| code(&answer)), [486, 0, 0]);
    assert_eq!([redeemed, after].map(|answer| code(&answer)), [0, 0], "it holds two then");
    assert_eq!([full, later].map(|answer| code(&answer)), [486, 0], "for half a minute");
}

#[test]
fn reservations_end_and_are_bounded() {
    let mut world = World::with(Config { max_allocations_per_user: 1000, ..config() });
    let mut refused = 0;
    for port in 1..=300 {
        let client = format!("203.0.113.5:{port}");
        let answer = world.ask_as(&client, "alice", allocate().with(&EvenPort::new(true)));
        match code(&answer) {
            0 => assert_eq!(code(&world.ask_as(&client, "alice", refresh(0))), 0),
            code => {
                assert_eq!(code, 508);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 300 - 256);

    world.advance(30);
    world.server.handle_timeout(world.now);

    let answer = world.ask_as(ALICE, "alice", allocate().with(&EvenPort::new(true)));
    assert_eq!(code(&answer), 0);
}

fn both() -> Ask {
    allocate().with(&AdditionalAddressFamily::new(AddressFamily::IPV6))
}

fn token(answer: &[u8]) -> u64 {
    Message::from_bytes(answer).unwrap().attribute::<ReservationToken>().unwrap().token()
}

fn both_relayed(answer: &[u8]) -> Vec<SocketAddr> {
    let message = Message::from_bytes(answer).unwrap();
    let mut found = Vec::new();
    for (_offset, attribute) in message.iter_attributes() {
        if attribute.get_type() == XorRelayedAddress::TYPE {
            let relayed = XorRelayedAddress::from_raw_ref(&attribute).unwrap();
            found.push(relayed.addr(message.transaction_id()));
        }
    }
    found
}
