//! Peers besides media: their sockets, the policy, and the rate limit.

use std::time::Duration;

use madang_turn::{Command, Config, Path};
use stun_types::message::Message;
use turn_types::attribute::{EvenPort, ReservationToken};

use crate::world::{
    ALICE, MEDIA, World, allocate, bind, channel_data, client_addr, code, indication, open_to,
    permission, refresh, relayed,
};

const PEER: &str = "192.0.2.9:7000";

#[test]
fn each_allocation_has_a_socket_from_its_answer_to_its_end() {
    let mut world = World::with(open_to("192.0.2.0/24"));

    let first = world.allocated();
    let repeated = world.commands.clone();
    world.ask_as(ALICE, "alice", refresh(0));
    let second = world.allocated();
    world.advance(600);
    world.server.handle_timeout(world.now);
    let late = world.carry_out_commands();

    assert_eq!(repeated, [Command::Open(first)]);
    assert_eq!(world.commands[1..], [Command::Close(first), Command::Open(second)]);
    assert_eq!(late, [Command::Close(second)]);
}

#[test]
fn without_other_peers_there_are_no_sockets() {
    let mut world = World::new();
    world.allocated();
    world.ask_as(ALICE, "alice", refresh(0));

    assert_eq!(world.commands, []);
}

#[test]
fn a_port_of_another_program_is_passed_over() {
    let mut world = World::with(Config { relay_ports: 50000..=50003, ..open_to("192.0.2.0/24") });
    world.taken = vec![50000, 50001, 50002];

    let relayed = world.allocated();

    assert_eq!(relayed.port(), 50003);
    assert_eq!(world.server.stats().allocations_created, 1);
}

#[test]
fn a_pair_is_passed_over_when_its_first_port_is_taken() {
    let mut world = World::with(Config { relay_ports: 50000..=50003, ..open_to("192.0.2.0/24") });
    world.taken = vec![50000];

    let answer = world.ask_as(ALICE, "alice", allocate().with(&EvenPort::new(true)));
    let token =
        Message::from_bytes(&answer).unwrap().attribute::<ReservationToken>().unwrap().token();
    let next =
        world.ask_as("203.0.113.5:2", "alice", allocate().with(&ReservationToken::new(token)));

    assert_eq!((relayed(&answer).port(), relayed(&next).port()), (50002, 50003));
}

#[test]
fn without_any_port_to_bind_there_is_no_allocation() {
    let mut world = World::with(Config { relay_ports: 50000..=50003, ..open_to("192.0.2.0/24") });
    world.taken = vec![50000, 50001, 50002, 50003];

    let answer = world.ask_as(ALICE, "alice", allocate());

    assert_eq!(code(&answer), 508);
    let stats = world.server.stats();
    assert_eq!((stats.allocations, stats.allocations_udp, stats.allocations_unbound), (0, 0, 1));
}

#[test]
fn a_repeated_allocate_waits_for_the_socket_of_the_first() {
    let mut world = World::with(open_to("192.0.2.0/24"));
    let login = world.login(ALICE, "alice");
    let request = allocate().signed(&login);

    assert_eq!(world.send(ALICE, &request), None);
    assert_eq!(world.send(ALICE, &request), None);
    assert_eq!(world.server.poll_transmit(), None);
    let Some(Command::Open(addr)) = world.server.poll_command() else { panic!() };
    assert_eq!(world.server.poll_command(), None);
    world.server.handle_opened(world.now, addr, true);

    let answer = world.server.poll_transmit().unwrap().payload;
    assert_eq!(relayed(&answer), addr);
    assert_eq!(world.ask(ALICE, &request), answer);
}

#[test]
fn a_socket_that_comes_too_late_is_closed() {
    let mut world = World::with(open_to("192.0.2.0/24"));
    let login = world.login(ALICE, "alice");
    world.send(ALICE, &allocate().signed(&login));
    let Some(Command::Open(addr)) = world.server.poll_command() else { panic!() };
    world.server.handle_closed(client_addr(ALICE));
    assert_eq!(world.server.poll_command(), Some(Command::Close(addr)));

    world.server.handle_opened(world.now, addr, true);

    assert_eq!(world.server.poll_command(), Some(Command::Close(addr)));
    assert_eq!(world.server.poll_transmit(), None);
}

#[test]
fn peers_and_media_are_told_apart() {
    let mut world = World::with(open_to("192.0.2.0/24"));
    let relayed = world.allocated();
    world.ask_as(ALICE, "alice", bind(0x4000, MEDIA));
    world.ask_as(ALICE, "alice", bind(0x4001, PEER));
    let path_of = |world: &mut World, number| {
        let (now, unix_now) = (world.now, world.unix_now);
        let data = channel_data(number, b"x");
        let relay = world.server.handle_datagram(now, unix_now, client_addr(ALICE), &data);
        relay.unwrap().path
    };

    assert_eq!(path_of(&mut world, 0x4000), Path::Media);
    assert_eq!(path_of(&mut world, 0x4001), Path::Socket);
    assert_eq!(world.peer_sends(relayed, PEER, b"x").unwrap().1, channel_data(0x4001, b"x"));
    // A sender that uses media's address on the socket is not the media engine.
    assert_eq!(world.peer_sends(relayed, MEDIA, b"x"), None);
    let stats = world.server.stats();
    assert_eq!((stats.to_media_packets, stats.to_peer_packets, stats.from_peer_packets), (1, 1, 1));
    assert_eq!(stats.dropped_peer, 1);
}

#[test]
fn a_permitted_peer_is_heard_at_the_ports_that_are_allowed() {
    let mut world = World::with(open_to("192.0.2.9:7000-7001"));
    let relayed = world.allocated();
    world.ask_as(ALICE, "alice", permission(PEER));

    assert!(world.send(ALICE, &indication("192.0.2.9:7001", b"x")).is_some());
    assert!(world.peer_sends(relayed, "192.0.2.9:7001", b"x").is_some());
    assert_eq!(world.send(ALICE, &indication("192.0.2.9:7002", b"x")), None);
    assert_eq!(world.peer_sends(relayed, "192.0.2.9:7002", b"x"), None);
    assert_eq!(world.peer_sends(relayed, "192.0.2.8:7000", b"x"), None);

    let stats = world.server.stats();
    assert_eq!((stats.dropped_peer, stats.dropped_no_permission), (2, 1));
}

#[test]
fn an_allocation_carries_what_it_may_in_each_direction() {
    let mut world = World::with(Config { bits_per_second: 96_000, ..open_to("192.0.2.0/24") });
    let relayed = world.allocated();
    world.ask_as(ALICE, "alice", bind(0x4001, PEER));
    let up = channel_data(0x4001, &[0; 1200]);

    let sent = (0..100).filter(|_| world.send(ALICE, &up).is_some()).count();
    let received =
        (0..100).filter(|_| world.peer_sends(relayed, PEER, &[0; 1200]).is_some()).count();
    world.now += Duration::from_millis(500);
    let later = (0..100).filter(|_| world.send(ALICE, &up).is_some()).count();

    assert_eq!((sent, received, later), (10, 10, 5));
    assert_eq!(world.server.stats().dropped_bandwidth, 90 + 90 + 95);
}

#[test]
fn a_closed_connection_frees_its_socket_at_once() {
    let mut world = World::with(open_to("192.0.2.0/24"));
    let relayed = world.allocated();
    assert_eq!(world.server.stats().allocations_udp, 1);

    world.server.handle_closed(client_addr(ALICE));

    assert_eq!(world.server.poll_command(), Some(Command::Close(relayed)));
    let stats = world.server.stats();
    assert_eq!((stats.allocations, stats.allocations_udp, stats.allocations_closed), (0, 0, 1));
}
