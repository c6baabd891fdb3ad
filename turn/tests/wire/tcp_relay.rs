//! Relayed TCP connections (RFC 6062): how they start and end.

use std::net::SocketAddr;

use madang_turn::Command;
use proptest::collection::vec;
use proptest::prelude::*;
use stun_types::message::{Message, MessageClass};
use turn_types::AddressFamily;
use turn_types::attribute::{RequestedAddressFamily, XorPeerAddress};
use turn_types::message::{CONNECT, CONNECTION_ATTEMPT};

use crate::tcp_rules::{
    CONTROL, DATA, PEER, PEER_V6, allocate_tcp, allocated, both, both_families, called, claim,
    claiming, connect, incoming, number, number_of, pending, permitted,
};
use crate::world::{
    ALICE, Ask, MEDIA, World, allocate, channel_data, client_addr, code, indication, open_to,
    permission, refresh,
};

#[test]
fn a_relayed_address_is_listened_at_as_long_as_its_allocation_lasts() {
    let mut world = World::with(open_to("192.0.2.0/24"));

    let relayed = allocated(&mut world);
    let listening = std::mem::take(&mut world.commands);
    let stats = world.server.stats();
    world.ask_as(CONTROL, "alice", refresh(0));

    assert_eq!(listening, [Command::Listen(relayed)]);
    assert_eq!(world.commands, [Command::Close(relayed)]);
    assert_eq!((stats.allocations_relaying_tcp, stats.allocations_tcp), (1, 1));
    assert_eq!(world.server.stats().allocations_relaying_tcp, 0);
}

#[test]
fn a_called_peer_is_joined_with_the_clients_second_connection() {
    let mut world = World::with(open_to("192.0.2.0/24"));
    let from = allocated(&mut world);

    connect(&mut world, PEER);
    let Some(&Command::Connect { id, relayed, peer }) = world.commands.last() else { panic!() };
    let number = number(&called(&mut world, true));
    let answer = claim(&mut world, DATA, "alice", number);

    assert_eq!((relayed, peer), (from, PEER.parse().unwrap()));
    assert_eq!(code(&answer), 0);
    let joined = Command::Join { id, client: client_addr(DATA) };
    assert_eq!(world.commands.last(), Some(&joined));
    let stats = world.server.stats();
    assert_eq!((stats.peer_connections, stats.peer_connections_made), (1, 1));
    assert_eq!(stats.peer_connections_accepted, 0);
}

#[test]
fn each_family_calls_from_its_own_address() {
    let mut world = World::new();
    both_families(&mut world);
    let answer = world.ask_as(CONTROL, "alice", both());

    connect(&mut world, PEER_V6);
    let Some(&Command::Connect { relayed: from, .. }) = world.commands.last() else { panic!() };

    assert_eq!(code(&answer), 0);
    assert!(from.is_ipv6() && world.commands.contains(&Command::Listen(from)), "{from}");
}

#[test]
fn a_peer_that_comes_is_announced() {
    let mut world = World::with(open_to("192.0.2.0/24"));
    let relayed = permitted(&mut world);

    let id = incoming(&mut world, relayed, PEER).unwrap();
    let attempt = world.server.poll_transmit().unwrap();

    assert_eq!(attempt.client, client_addr(CONTROL));
    let message = Message::from_bytes(&attempt.payload).unwrap();
    assert_eq!((message.class(), message.method()), (MessageClass::Indication, CONNECTION_ATTEMPT));
    let peer = message.attribute::<XorPeerAddress>().unwrap().addr(message.transaction_id());
    assert_eq!(peer, PEER.parse().unwrap());
    assert_eq!(code(&claim(&mut world, DATA, "alice", number(&attempt.payload))), 0);
    let joined = Command::Join { id, client: client_addr(DATA) };
    assert_eq!(world.commands.last(), Some(&joined));
    assert_eq!(world.server.stats().peer_connections_accepted, 1);
}

#[test]
fn a_peer_without_permission_is_turned_away_and_nobody_is_told() {
    let mut world = World::with(open_to("192.0.2.0/24:7000-7001"));
    let relayed = permitted(&mut world);
    let udp = crate::world::relayed(&world.ask_as(ALICE, "alice", allocate()));
    world.ask_as(ALICE, "alice", permission(PEER));
    let elsewhere = SocketAddr::new(relayed.ip(), relayed.port() ^ 1);

    let strangers = [
        (relayed, "192.0.2.8:7000"),
        (relayed, "192.0.2.9:7002"),
        (relayed, "192.0.3.9:7000"),
        (relayed, MEDIA),
        (udp, PEER),
        (elsewhere, PEER),
    ];
    for (to, from) in strangers {
        assert_eq!(incoming(&mut world, to, from), None, "{from} to {to}");
        assert_eq!(world.server.poll_transmit(), None);
    }
    world.advance(300);
    let too_late = incoming(&mut world, relayed, PEER);

    assert_eq!(too_late, None);
    assert_eq!(world.server.stats().peer_connections_refused, 7);
}

#[test]
fn a_peer_that_nobody_claims_is_closed_after_half_a_minute() {
    let mut world = World::with(open_to("192.0.2.0/24"));
    let relayed = permitted(&mut world);
    let id = incoming(&mut world, relayed, PEER).unwrap();
    assert_eq!(world.server.poll_timeout(), Some(world.now + std::time::Duration::from_secs(30)));

    world.advance(30);
    world.server.handle_timeout(world.now);

    assert_eq!(world.server.poll_command(), Some(Command::Disconnect(id)));
    let stats = world.server.stats();
    assert_eq!((stats.peer_connections, stats.peer_connections_unclaimed), (0, 1));
}

#[test]
fn a_peer_that_comes_after_its_time_is_closed() {
    let mut world = World::with(open_to("192.0.2.0/24"));
    allocated(&mut world);
    connect(&mut world, PEER);
    let Some(&Command::Connect { id, .. }) = world.commands.last() else { panic!() };
    world.advance(30);
    world.server.handle_timeout(world.now);
    assert_eq!(world.server.poll_command(), Some(Command::Disconnect(id)));
    assert_eq!(code(&world.server.poll_transmit().unwrap().payload), 447);

    world.server.handle_connected(world.now, id, true);

    assert_eq!(world.server.poll_command(), Some(Command::Disconnect(id)));
    assert_eq!(world.server.poll_transmit(), None);
    let stats = world.server.stats();
    assert_eq!((stats.peer_connections_failed, stats.peer_connections_made), (1, 0));
}

/// A connection in each state: all end with the allocation, however that ends.
#[test]
fn connections_end_with_their_allocation() {
    let ends: [fn(&mut World); 3] = [
        |world| {
            let login = world.login(CONTROL, "alice");
            world.send(CONTROL, &refresh(0).signed(&login));
        },
        |world| world.server.handle_closed(client_addr(CONTROL)),
        |world| {
            world.advance(10);
            world.server.handle_timeout(world.now);
        },
    ];
    for end in ends {
        let mut world = World::with(open_to("192.0.2.0/24"));
        let id = pending(&mut world);
        claim(&mut world, DATA, "alice", id);
        world.advance(590);
        connect(&mut world, "192.0.2.9:7001");
        called(&mut world, true);
        connect(&mut world, "192.0.2.9:7002");
        let before = world.server.stats().peer_connections;
        world.commands.clear();

        end(&mut world);
        let rest = world.carry_out_commands();
        world.commands.extend(rest);

        assert_eq!((before, world.server.stats().peer_connections), (3, 0));
        let is_disconnect = |command: &&Command| matches!(command, Command::Disconnect(_));
        assert_eq!(world.commands.iter().filter(is_disconnect).count(), 2);
        assert!(world.commands.contains(&Command::CloseClient(client_addr(DATA))));
        assert!(matches!(world.commands.last(), Some(Command::Close(_))));
    }
}

#[test]
fn a_connect_that_the_end_of_the_allocation_overtakes_is_answered() {
    let mut world = World::with(open_to("192.0.2.0/24"));
    allocated(&mut world);
    connect(&mut world, PEER);
    let login = world.login(CONTROL, "alice");

    world.send(CONTROL, &refresh(0).signed(&login));
    let answers = [world.server.poll_transmit(), world.server.poll_transmit()];

    assert_eq!(answers.map(|answer| code(&answer.unwrap().payload)), [447, 0]);
}

#[test]
fn connections_of_a_family_end_with_its_half() {
    let mut world = World::new();
    both_families(&mut world);
    world.ask_as(CONTROL, "alice", both());
    connect(&mut world, PEER);
    called(&mut world, true);
    connect(&mut world, PEER_V6);
    let Some(&Command::Connect { id, .. }) = world.commands.last() else { panic!() };
    called(&mut world, true);

    let half = refresh(0).with(&RequestedAddressFamily::new(AddressFamily::IPV6));
    assert_eq!(code(&world.ask_as(CONTROL, "alice", half)), 0);

    let ended = world.commands.iter().filter(|c| matches!(c, Command::Disconnect(_)));
    assert_eq!(ended.collect::<Vec<_>>(), [&Command::Disconnect(id)]);
    assert_eq!(world.server.stats().peer_connections, 1);
}

#[test]
fn connections_of_an_allocation_are_bounded_and_their_numbers_differ() {
    let mut world = World::with(open_to("192.0.2.0/24"));
    let relayed = permitted(&mut world);
    let mut codes = Vec::new();
    let mut numbers = Vec::new();

    for port in 1..=1000 {
        let answer = connect(&mut world, &format!("192.0.2.9:{port}"));
        if answer.is_empty() {
            numbers.push(number(&called(&mut world, true)));
        } else {
            codes.push(code(&answer));
        }
    }
    let one_more = incoming(&mut world, relayed, PEER);

    assert_eq!((numbers.len(), one_more), (64, None));
    assert!(codes.len() == 936 && codes.iter().all(|&code| code == 508));
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 64);
    // Neither small nor consecutive.
    assert!(numbers.windows(2).all(|pair| pair[1] - pair[0] > 1), "{numbers:?}");
    world.ask_as("203.0.113.9:1/tcp", "bob", allocate_tcp());
    let others = world.ask_as("203.0.113.9:1/tcp", "bob", Ask::request(CONNECT).peer(PEER));
    assert!(others.is_empty(), "other clients must still be able to connect");
}

#[test]
fn nothing_of_udp_passes_where_tcp_is_relayed() {
    let mut world = World::with(open_to("192.0.2.0/24,198.51.100.7"));
    let relayed = allocated(&mut world);
    world.ask_as(CONTROL, "alice", permission(PEER));
    world.ask_as(CONTROL, "alice", permission(MEDIA));

    assert_eq!(world.send(CONTROL, &indication(PEER, b"x")), None);
    assert_eq!(world.send(CONTROL, &indication(MEDIA, b"x")), None);
    assert_eq!(world.send(CONTROL, &channel_data(0x4000, b"x")), None);
    assert_eq!(world.peer_sends(relayed, PEER, b"x"), None);
    assert_eq!(world.media_sends(relayed, MEDIA, b"x"), None);

    let stats = world.server.stats();
    assert_eq!((stats.dropped_unexpected, stats.dropped_no_channel), (2, 1));
    assert_eq!(stats.dropped_no_allocation, 2);
}

#[test]
fn each_seed_has_numbers_of_its_own() {
    let numbers = [1, 2].map(|seed| {
        let mut world = World::with(open_to("192.0.2.0/24"));
        world.server = madang_turn::Server::new(&open_to("192.0.2.0/24"), seed).unwrap();
        permitted(&mut world);
        connect(&mut world, PEER);
        number(&called(&mut world, true))
    });

    assert_ne!(numbers[0], numbers[1]);
}

proptest! {
    /// Whichever bit is flipped, the server connects to no peer and hands over no connection.
    #[test]
    fn a_changed_bit_breaks_the_signature(bit in any::<prop::sample::Index>(), is_claim in any::<bool>()) {
        let mut world = World::with(open_to("192.0.2.0/24"));
        let number = pending(&mut world);
        let client = if is_claim { DATA } else { CONTROL };
        let login = world.login(client, "alice");
        let mut message = match is_claim {
            true => claiming(number).signed(&login),
            false => Ask::request(CONNECT).peer("192.0.2.9:7001").signed(&login),
        };
        let bit = bit.index(message.len() * 8);
        message[bit / 8] ^= 1 << (bit % 8);

        world.send(client, &message);

        prop_assert_eq!(world.carry_out_commands(), []);
        prop_assert_eq!(world.server.stats().peer_connections, 1);
    }

    /// Connections that start and end in any order leave nothing behind: the indexes mirror each other.
    #[test]
    fn whatever_happens_all_connections_end(events in vec((0..9u8, 0..4u16), 1..120)) {
        let mut world = World::with(open_to("192.0.2.0/24"));
        let mut numbers = Vec::new();
        for (what, n) in events {
            let peer = format!("192.0.2.9:{}", 7000 + n);
            let data = format!("203.0.113.5:{}/tcp", 100 + n);
            match what {
                0 => drop(world.ask_as(CONTROL, "alice", allocate_tcp())),
                1 => drop(world.ask_as(CONTROL, "alice", permission(&peer))),
                2 => drop(connect(&mut world, &peer)),
                3 => {
                    world.advance(10 * u64::from(n));
                    world.server.handle_timeout(world.now);
                }
                4 => world.server.handle_closed(client_addr(&data)),
                5 if n == 0 => world.server.handle_closed(client_addr(CONTROL)),
                6 => for command in world.commands.clone() {
                    if let Command::Connect { id, .. } = command {
                        world.server.handle_connected(world.now, id, n != 0);
                    }
                },
                7 => for command in world.commands.clone() {
                    if let Command::Listen(relayed) = command {
                        incoming(&mut world, relayed, &peer);
                    }
                },
                _ => if let Some(number) = numbers.pop() {
                    claim(&mut world, &data, "alice", number);
                },
            }
            while let Some(answer) = world.server.poll_transmit() {
                numbers.extend(number_of(&answer.payload));
            }
            world.carry_out_commands();
            prop_assert!(world.server.stats().peer_connections <= 64);
        }
        world.server.handle_closed(client_addr(CONTROL));

        let stats = world.server.stats();
        prop_assert_eq!((stats.peer_connections, stats.allocations_relaying_tcp), (0, 0));
        prop_assert_eq!(world.server.poll_timeout(), None);
    }
}
