//! Payloads pass unchanged, only to media, and only for permitted clients.

use std::net::SocketAddr;

use madang_turn::Config;
use stun_types::message::{Message, MessageClass, TransactionId};
use turn_types::AddressFamily;
use turn_types::attribute::{Data, DontFragment, RequestedAddressFamily, XorPeerAddress};
use turn_types::message::{DATA, SEND};

use crate::world::{
    ALICE, Ask, MEDIA, MEDIA_OTHER_PORT, World, allocate, bind, channel_data, client_addr, config,
    indication, permission, relayed,
};

const OTHER_MEDIA: &str = "198.51.100.8:5004";

#[test]
fn a_send_indication_reaches_media_with_the_relayed_address_as_sender() {
    let (mut world, relayed) = permitted();

    for payload in [&b""[..], b"a", b"four", &[7; 1200]] {
        let passed = world.send(ALICE, &indication(MEDIA, payload));

        assert_eq!(passed, Some((relayed, MEDIA.parse().unwrap(), payload.to_vec())));
    }
    assert_eq!(world.server.stats().to_media_packets, 4);
    assert_eq!(world.server.stats().to_media_bytes, 1205);
}

#[test]
fn a_send_indication_to_media_in_disguise_arrives() {
    let (mut world, _) = permitted();

    let (_, media, _) = world.send(ALICE, &indication("[::ffff:198.51.100.7]:5004", b"x")).unwrap();

    assert_eq!(media, MEDIA.parse().unwrap());
}

#[test]
fn a_send_indication_may_forbid_fragments() {
    let (mut world, _) = permitted();
    let datagram = Ask::new(MessageClass::Indication, SEND, TransactionId::generate())
        .peer(MEDIA)
        .with(&Data::new(b"x"))
        .with(&DontFragment::new())
        .unsigned();

    assert!(world.send(ALICE, &datagram).is_some());
}

#[test]
fn media_without_channel_arrives_as_data_indication() {
    let (mut world, relayed) = permitted();

    for payload in [&b""[..], b"abc", &[9; 1200]] {
        let (client, datagram) = world.media_sends(relayed, MEDIA, payload).unwrap();

        assert_eq!(client, client_addr(ALICE));
        let message = Message::from_bytes(&datagram).unwrap();
        assert!(message.has_class(MessageClass::Indication) && message.has_method(DATA));
        let peer = message.attribute::<XorPeerAddress>().unwrap();
        assert_eq!(peer.addr(message.transaction_id()), MEDIA.parse().unwrap());
        assert_eq!(message.attribute::<Data>().unwrap().data(), payload);
    }
    assert_eq!(world.server.stats().to_client_packets, 3);
    assert_eq!(world.server.stats().to_client_bytes, 1203);
}

#[test]
fn a_bound_channel_carries_both_directions() {
    let (mut world, relayed) = bound();

    let up = world.send(ALICE, &channel_data(0x4001, b"up"));
    let down = world.media_sends(relayed, MEDIA, b"down");

    assert_eq!(up, Some((relayed, MEDIA.parse().unwrap(), b"up".to_vec())));
    let expected = channel_data(0x4001, b"down");
    assert_eq!(down, Some((client_addr(ALICE), expected)));
}

#[test]
fn another_peer_than_the_bound_one_is_answered_with_data_indications() {
    let (mut world, relayed) = bound();
    world.ask_as(ALICE, "alice", permission(OTHER_MEDIA));

    let (_, datagram) = world.media_sends(relayed, OTHER_MEDIA, b"x").unwrap();

    assert!(Message::from_bytes(&datagram).is_ok());
}

#[test]
fn channel_data_may_be_padded_but_not_cut() {
    let (mut world, _) = bound();
    let mut padded = channel_data(0x4001, b"abc");
    padded.push(0);
    let mut cut = channel_data(0x4001, b"abc");
    cut.pop();

    assert_eq!(world.send(ALICE, &padded).unwrap().2, b"abc");
    assert_eq!(world.send(ALICE, &cut), None);
    assert_eq!(world.send(ALICE, &cut[..3]), None);
    assert_eq!(world.server.stats().dropped_malformed, 2);
}

#[test]
fn unbound_channels_carry_nothing() {
    let (mut world, _) = bound();

    assert_eq!(world.send(ALICE, &channel_data(0x4002, b"x")), None);
    assert_eq!(world.server.stats().dropped_no_channel, 1);
}

#[test]
fn strangers_relay_nothing() {
    let (mut world, _) = bound();
    let stranger = "203.0.113.5:40001";

    assert_eq!(world.send(stranger, &channel_data(0x4001, b"x")), None);
    assert_eq!(world.send(stranger, &indication(MEDIA, b"x")), None);

    assert_eq!(world.server.stats().dropped_no_allocation, 2);
}

#[test]
fn nothing_passes_without_permission() {
    let mut world = World::new();
    let relayed = world.allocated();

    assert_eq!(world.send(ALICE, &indication(MEDIA, b"x")), None);
    assert_eq!(world.media_sends(relayed, MEDIA, b"x"), None);
    world.ask_as(ALICE, "alice", permission(OTHER_MEDIA));
    assert_eq!(world.send(ALICE, &indication(MEDIA, b"x")), None);

    assert_eq!(world.server.stats().dropped_no_permission, 3);
}

#[test]
fn a_permitted_address_is_reached_at_media_ports_alone() {
    let (mut world, _) = permitted();

    assert_eq!(world.send(ALICE, &indication(MEDIA_OTHER_PORT, b"x")), None);

    assert_eq!(world.server.stats().dropped_peer, 1);
}

#[test]
fn incomplete_send_indications_are_dropped() {
    let (mut world, _) = permitted();
    let send = || Ask::new(MessageClass::Indication, SEND, TransactionId::generate());
    let incomplete = [
        send().peer(MEDIA).unsigned(),
        send().with(&Data::new(b"x")).unsigned(),
        send().raw(0x0012, &[0, 1]).with(&Data::new(b"x")).unsigned(),
    ];
    let unknown = send().peer(MEDIA).with(&Data::new(b"x")).raw(0x7777, &[]).unsigned();

    for datagram in &incomplete {
        assert_eq!(world.send(ALICE, datagram), None);
    }
    assert_eq!(world.send(ALICE, &unknown), None);

    assert_eq!(world.server.stats().dropped_malformed, 3);
    assert_eq!(world.server.stats().dropped_unexpected, 1);
    assert_eq!(world.server.poll_transmit(), None);
}

#[test]
fn media_to_an_address_that_nobody_holds_is_dropped() {
    let (mut world, relayed) = permitted();
    let mut nobody = relayed;
    nobody.set_port(relayed.port() ^ 1);

    assert_eq!(world.media_sends(nobody, MEDIA, b"x"), None);
    assert_eq!(world.server.stats().dropped_no_allocation, 1);
}

#[test]
fn media_that_fits_into_no_datagram_is_dropped() {
    let (mut world, relayed) = permitted();
    let longest = 65_507 - 51;

    let (_, datagram) = world.media_sends(relayed, MEDIA, &vec![1; longest]).unwrap();
    assert!(datagram.len() <= 65_507);
    assert_eq!(world.media_sends(relayed, MEDIA, &vec![1; longest + 1]), None);

    assert_eq!(world.server.stats().dropped_too_large, 1);
}

#[test]
fn two_clients_are_kept_apart() {
    let (mut world, relayed_to_alice) = bound();
    let bob = "203.0.113.6:40000";
    let relayed_to_bob = relayed(&world.ask_as(bob, "bob", allocate()));
    world.ask_as(bob, "bob", bind(0x4001, MEDIA));

    let (to_alice, _) = world.media_sends(relayed_to_alice, MEDIA, b"a").unwrap();
    let (to_bob, _) = world.media_sends(relayed_to_bob, MEDIA, b"b").unwrap();
    let from_bob = world.send(bob, &channel_data(0x4001, b"x")).unwrap().0;

    assert_ne!(relayed_to_alice, relayed_to_bob);
    assert_eq!(to_alice, client_addr(ALICE));
    assert_eq!(to_bob, client_addr(bob));
    assert_eq!(from_bob, relayed_to_bob);
}

#[test]
fn ipv6_is_relayed_like_ipv4() {
    let media = "[2001:db8::7]:5004";
    let mut world = World::with(Config {
        relay_ips: vec!["2001:db8::7".parse().unwrap()],
        media: vec![media.parse().unwrap()],
        ..config()
    });
    let ipv6 = RequestedAddressFamily::new(AddressFamily::IPV6);
    let relayed = relayed(&world.ask_as(ALICE, "alice", allocate().with(&ipv6)));
    world.ask_as(ALICE, "alice", permission(media));

    let up = world.send(ALICE, &indication(media, b"up")).unwrap();
    let (_, down) = world.media_sends(relayed, media, b"down").unwrap();

    assert_eq!(up, (relayed, media.parse().unwrap(), b"up".to_vec()));
    let message = Message::from_bytes(&down).unwrap();
    let peer = message.attribute::<XorPeerAddress>().unwrap();
    assert_eq!(peer.addr(message.transaction_id()), media.parse().unwrap());
}

/// Alice has a permission for the media address.
fn permitted() -> (World, SocketAddr) {
    let mut world = World::new();
    let relayed = world.allocated();
    world.ask_as(ALICE, "alice", permission(MEDIA));
    (world, relayed)
}

/// Alice has bound channel 0x4001 to the media address.
fn bound() -> (World, SocketAddr) {
    let mut world = World::new();
    let relayed = world.allocated();
    world.ask_as(ALICE, "alice", bind(0x4001, MEDIA));
    (world, relayed)
}
