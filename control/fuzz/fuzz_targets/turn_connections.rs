//! The TURN server and authenticated clients that relay TCP (RFC 6062). Whatever they and their peers do, everything
//! ends with the allocations, and a data connection carries data for at most one peer.
#![no_main]

#[path = "turn/world.rs"]
mod world;

use madang_sfu::fuzz::pieces;
use madang_turn::ClientAddr;
use world::World;

/// Two users with two connections each; one of each user's connections can have an allocation.
const MOST_CONNECTIONS: u64 = 2 * 64;

libfuzzer_sys::fuzz_target!(|events: &[u8]| {
    let mut world = World::with_peers("9.9.9.0/24,198.51.100.7");
    for event in pieces(events) {
        let Some((&how, rest)) = event.split_first() else {
            continue;
        };
        let client = world::client(how & 3, ClientAddr::tcp);
        match how >> 2 & 7 {
            0 => world.advance(u64::from(how >> 5) * 20),
            1 => drop(world.send(client, rest)),
            2 => world.peer_answers(how & 1 == 0),
            3 => world.peer_comes(how),
            4 => world.close(client),
            _ => world.ask(client, rest),
        }
        let stats = world.server.stats();
        assert!(stats.allocations <= 2 && stats.peer_connections <= MOST_CONNECTIONS, "{stats:?}");
        assert!(world.data() as u64 <= stats.peer_connections);
    }
    world.advance(4000);
    let stats = world.server.stats();
    assert_eq!((stats.allocations, stats.peer_connections, world.data()), (0, 0, 0));
});
