//! Hostile input.

use std::net::SocketAddr;
use std::time::Duration;

use madang_turn::{ClientAddr, Config};
use proptest::prelude::*;
use stun_types::attribute::Software;
use stun_types::message::{BINDING, Message, Method};
use turn_types::attribute::RequestedTransport;
use turn_types::message::{
    ALLOCATE, CHANNEL_BIND, CONNECT, CONNECTION_BIND, CREATE_PERMISSION, REFRESH,
};

use crate::world::{
    ALICE, Ask, Login, MEDIA, World, allocate, bind, channel_data, client_addr, code, config,
    indication, open_to, permission, refresh,
};

#[test]
fn a_flood_without_credentials_leaves_no_state() {
    let mut world = World::with(Config { strangers_per_second: 200, ..config() });
    let request = allocate().unsigned();

    for n in 0..500_000_u32 {
        let [_, b, c, d] = n.to_be_bytes();
        let client = SocketAddr::from(([10, b, c, d], 1024 + (n % 60_000) as u16));
        let relay = world.server.handle_datagram(
            world.now,
            world.unix_now,
            ClientAddr::udp(client),
            &request,
        );
        assert_eq!(relay, None);
        world.server.poll_transmit().unwrap();
    }

    let stats = world.server.stats();
    assert_eq!(stats.refused.unauthorized, 500_000);
    assert_eq!((stats.allocations, stats.allocations_created), (0, 0));
    assert_eq!(world.server.poll_timeout(), None);
    let relayed = world.allocated();
    assert!(relayed.port() >= 49152, "the flood must not use up the ports");
}

#[test]
fn answers_that_nobody_fetches_do_not_pile_up() {
    let mut world = World::new();
    let request = Ask::request(BINDING).unsigned();

    for _ in 0..5000 {
        let _ =
            world.server.handle_datagram(world.now, world.unix_now, client_addr(ALICE), &request);
    }

    let waiting = std::iter::from_fn(|| world.server.poll_transmit()).count();
    assert_eq!(waiting, 1024);
    assert_eq!(world.server.stats().dropped_answers, 5000 - 1024);
}

#[test]
fn answers_to_forged_requests_are_smaller_than_two_requests() {
    let mut world = World::new();
    let software = Software::new("some client").unwrap();
    let forged = [
        allocate().unsigned(),
        allocate().fingerprint().unsigned(),
        allocate().with(&software).unsigned(),
        allocate().raw(0x8002, &[0; 40]).unsigned(),
        allocate().raw(0x7777, &[]).unsigned(),
        refresh(0).unsigned(),
        permission(MEDIA).unsigned(),
        bind(0x4000, MEDIA).unsigned(),
        Ask::request(ALLOCATE).unsigned(),
        Ask::request(REFRESH).unsigned(),
        Ask::request(CREATE_PERMISSION).fingerprint().unsigned(),
        Ask::request(CHANNEL_BIND).raw(0x8022, &[]).unsigned(),
        [&[0, 3, 0, 24, 0x21, 0x12, 0xa4, 0x42], &[7; 12][..], &[0, 8, 0, 20], &[0; 20]].concat(),
        Ask::request(BINDING).raw(0x0003, &[0; 4]).unsigned(),
    ];

    for request in &forged {
        let (answer, asked) = (world.ask(ALICE, request).len(), request.len());
        assert!(answer < 2 * asked, "{answer} bytes for {asked}");
    }
}

/// The answer contains only XOR-MAPPED-ADDRESS; no shorter Binding response exists.
#[test]
fn binding_responses_have_nothing_to_spare() {
    let mut world = World::new();
    let request = Ask::request(BINDING).unsigned();

    assert_eq!((request.len(), world.ask(ALICE, &request).len()), (20, 32));
    assert_eq!(world.ask("[2001:db8::1]:4000", &request).len(), 44);
}

#[test]
fn a_network_that_asks_too_often_is_not_answered_and_others_are() {
    let mut world = World::with(Config { strangers_per_second: 10, ..config() });
    let login = world.login("203.0.113.6:1", "bob");
    let ask_often = |world: &mut World, from: &str, request: &[u8]| {
        (0..100).filter(|_| !world.ask(from, request).is_empty()).count()
    };

    assert_eq!(ask_often(&mut world, ALICE, &Ask::request(BINDING).unsigned()), 20);
    assert_eq!(ask_often(&mut world, ALICE, &allocate().unsigned()), 0);
    let other_port = "203.0.113.5:1";
    assert_eq!(ask_often(&mut world, other_port, &allocate().signed(&login)), 0);
    assert_eq!(world.server.stats().dropped_strangers, 280);

    let answer = world.ask("203.0.113.6:1", &allocate().signed(&login));
    assert_eq!(code(&answer), 0, "the limit must not apply to authenticated clients");
    world.advance(1);
    assert_eq!(ask_often(&mut world, ALICE, &allocate().unsigned()), 10);
}

/// Senders that forge a network's address by UDP take no credit from clients whose address is proven.
#[test]
fn forged_requests_take_no_answers_from_connections() {
    let mut world = World::with(Config { strangers_per_second: 10, ..config() });
    let flood = |world: &mut World, client: &str| {
        let request = allocate().unsigned();
        (0..100).filter(|_| !world.ask(client, &request).is_empty()).count()
    };

    assert_eq!(flood(&mut world, "203.0.113.5:1"), 20);
    for client in ["203.0.113.5:2/tcp", "203.0.113.5:3/tls", "203.0.113.5:4/dtls"] {
        let answer = world.ask_as(client, "alice", allocate());
        assert_eq!(code(&answer), 0, "{client}");
    }
    assert_eq!(
        flood(&mut world, "203.0.113.5:5/tcp"),
        17,
        "the limit must apply to password guessing by TCP as well"
    );
    // DTLS sessions share this credit, while hellos prove nothing and count as forgeable.
    assert_eq!(flood(&mut world, "203.0.113.5:6/dtls"), 0);
    assert!(!world.server.allows_handshake(world.now, client_addr("203.0.113.5:7/dtls")));
}

#[test]
fn who_has_an_allocation_gets_another_nonce_in_a_flood() {
    let mut world = World::with(Config { strangers_per_second: 10, ..config() });
    let (alice, bob) = (world.login(ALICE, "alice"), world.login("203.0.113.5:1", "bob"));
    world.ask(ALICE, &allocate().signed(&alice));
    world.unix_now += Duration::from_secs(7200);
    let flood = Ask::request(BINDING).unsigned();
    while !world.ask("203.0.113.5:2", &flood).is_empty() {}

    let stale = world.ask(ALICE, &refresh(600).signed(&alice));
    let renewed = Login::new(world.credentials("alice"), &stale);
    let refreshed = world.ask(ALICE, &refresh(600).signed(&renewed));
    let stranger = world.ask("203.0.113.5:1", &allocate().signed(&bob));
    let guess = Login { password: "guess".into(), ..alice };
    let guessed = world.ask(ALICE, &refresh(600).signed(&guess));

    assert_eq!((code(&stale), code(&refreshed)), (438, 0));
    assert!(stranger.is_empty() && guessed.is_empty());
}

#[test]
fn guessing_passwords_is_slow() {
    let mut world = World::with(Config { strangers_per_second: 5, ..config() });
    let mut login = world.login(ALICE, "alice");
    login.password.push('x');

    let answers =
        (0..100).filter(|_| !world.ask(ALICE, &allocate().signed(&login)).is_empty()).count();

    assert_eq!(answers, 9, "the first answer of the burst was spent on the nonce");
}

#[test]
fn cut_messages_are_dropped_without_answer() {
    let mut world = World::new();
    world.allocated();
    world.ask_as(ALICE, "alice", bind(0x4001, MEDIA));
    let login = world.login(ALICE, "alice");
    let whole = [
        refresh(600).signed(&login),
        bind(0x4001, MEDIA).signed(&login),
        indication(MEDIA, b"payload"),
        channel_data(0x4001, b"payload"),
    ];

    for datagram in &whole {
        for length in 0..datagram.len() {
            assert_eq!(world.send(ALICE, &datagram[..length]), None);
            assert_eq!(world.server.poll_transmit(), None);
        }
    }
}

/// Attributes after MESSAGE-INTEGRITY are not signed and must have no effect (RFC 8489 §14.5).
#[test]
fn what_follows_the_signature_is_ignored() {
    let mut world = World::new();
    world.allocated();
    let login = world.login(ALICE, "alice");
    let mut request = Ask::request(REFRESH).signed(&login);
    request.extend([0x00, 0x0d, 0, 4, 0, 0, 0, 0]);
    let length = request.len() as u16 - 20;
    request[2..4].copy_from_slice(&length.to_be_bytes());

    let answer = world.ask(ALICE, &request);

    assert_eq!(code(&answer), 0);
    assert_eq!(world.server.stats().allocations, 1, "not deleted");
}

/// Random attributes, most of them of types that a server knows.
fn attributes() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    let kind = prop_oneof![0_u16..0x30, 0x7ff0_u16..0x8030, any::<u16>()];
    let length = prop_oneof![Just(4_usize), Just(8), Just(20), 0_usize..40];
    let value = length.prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length));
    proptest::collection::vec((kind, value), 0..6)
}

const METHODS: &[Method] =
    &[ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND, CONNECT, CONNECTION_BIND];

proptest! {
    #[test]
    fn random_bytes_do_no_harm(datagram in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut world = World::new();
        world.send(ALICE, &datagram);
        prop_assert_eq!(world.server.stats().allocations, 0);
    }

    /// With a valid STUN header, random attributes reach more code.
    #[test]
    fn random_attributes_do_no_harm(
        kind in 0_u16..0x0200,
        attributes in attributes(),
        wrong_length in proptest::option::of(any::<u16>()),
    ) {
        let mut world = World::new();
        world.allocated();
        let mut datagram = kind.to_be_bytes().to_vec();
        datagram.extend([0, 0, 0x21, 0x12, 0xa4, 0x42]);
        datagram.extend([5; 12]);
        for (kind, value) in attributes {
            datagram.extend(kind.to_be_bytes());
            datagram.extend((value.len() as u16).to_be_bytes());
            datagram.extend(&value);
            datagram.resize(datagram.len().next_multiple_of(4), 0);
        }
        let length = wrong_length.unwrap_or(datagram.len() as u16 - 20);
        datagram[2..4].copy_from_slice(&length.to_be_bytes());

        world.send(ALICE, &datagram);

        prop_assert_eq!(world.server.stats().allocations, 1);
    }

    /// An authenticated client may send nonsense as well.
    #[test]
    fn signed_nonsense_does_no_harm(
        method in prop::sample::select(METHODS),
        client in prop::sample::select(&[ALICE, "203.0.113.5:40000/tcp"]),
        attributes in attributes(),
        has_allocation in any::<bool>(),
    ) {
        let mut world = World::with(open_to("192.0.2.0/24"));
        if has_allocation {
            let protocol = if client == ALICE { RequestedTransport::UDP } else { RequestedTransport::TCP };
            let transport = RequestedTransport::new(protocol);
            world.ask_as(client, "alice", Ask::request(ALLOCATE).with(&transport));
        }
        let mut request = Ask::request(method);
        for (kind, value) in attributes {
            // The writer refuses these three, because it computes them itself.
            if ![0x0008, 0x001c, 0x8028].contains(&kind) {
                request = request.raw(kind, &value);
            }
        }

        let answer = world.ask_as(client, "alice", request);

        prop_assert!(!answer.is_empty());
    }

    /// Whichever bit is flipped, a signed request has its original effect or none.
    #[test]
    fn a_changed_bit_breaks_the_signature(bit in any::<prop::sample::Index>(), which in 0..3_usize) {
        let mut world = World::new();
        world.allocated();
        let login = world.login(ALICE, "alice");
        let mut datagram = match which {
            0 => refresh(0).signed(&login),
            1 => bind(0x4001, MEDIA).signed(&login),
            _ => permission(MEDIA).signed(&login),
        };
        let bit = bit.index(datagram.len() * 8);
        datagram[bit / 8] ^= 1 << (bit % 8);

        let relayed = world.send(ALICE, &datagram);

        prop_assert_eq!(relayed, None);
        if let Some(answer) = world.server.poll_transmit() {
            let is_binding = Message::from_bytes(&datagram).unwrap().has_method(BINDING);
            prop_assert!(is_binding || code(&answer.payload) != 0);
        }
        prop_assert_eq!(world.server.stats().allocations, 1);
    }
}
