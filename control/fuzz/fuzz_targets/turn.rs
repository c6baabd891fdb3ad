//! The TURN server and strangers: datagrams, each behind its length in 16 bits, leave no allocation and nothing relayed
//! behind, and are answered with less than twice the bytes that they have on the wire (amplification: RFC 8656 §21.1.1).
#![no_main]

#[path = "turn/world.rs"]
mod world;

/// Headers of a datagram over IPv4, in bytes.
const IP_AND_UDP: usize = 28;

libfuzzer_sys::fuzz_target!(|datagrams: &[u8]| {
    let mut world = world::World::new();
    for datagram in world::cut(datagrams) {
        let bytes = world.send(world::ALICE, datagram);
        let on_wire = |payload: usize| payload + IP_AND_UDP;
        assert!(bytes == 0 || on_wire(bytes) < 2 * on_wire(datagram.len()), "{bytes} bytes");
        assert_eq!(world.server.stats().allocations, 0);
        assert_eq!(world.relayed, 0);
    }
});
