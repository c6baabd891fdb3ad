//! The TURN server and authenticated clients that send anything. Data is relayed only to this server's media, no quota
//! is exceeded, and everything ends in time.
#![no_main]

#[path = "turn/world.rs"]
mod world;

use madang_sfu::fuzz::pieces;
use madang_turn::ClientAddr;
use world::World;

libfuzzer_sys::fuzz_target!(|events: &[u8]| {
    let mut world = World::new();
    for event in pieces(events) {
        let Some((&how, rest)) = event.split_first() else {
            continue;
        };
        let client = world::client((how & 1) << 1, ClientAddr::udp);
        match how >> 1 & 7 {
            0 => world.advance(u64::from(how >> 4) * 60),
            1 => drop(world.send(client, rest)),
            2 => world.media_sends(rest),
            _ => world.ask(client, rest),
        }
        assert!(world.server.stats().allocations <= 2);
    }
    world.advance(4000);
    assert_eq!(world.server.stats().allocations, 0);
});
