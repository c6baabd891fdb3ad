//! The TURN server and strangers: datagrams, each behind its length in 16 bits, leave no allocation and nothing relayed
//! behind, and are answered with less than twice their bytes, unless they ask for their address (amplification: RFC 8656
//! §21.1.1).
#![no_main]

#[path = "turn/world.rs"]
mod world;

use madang_sfu::fuzz::pieces;

/// A Binding request, and what its answer has at most beside what it repeats of the request: XOR-MAPPED-ADDRESS of IPv4,
/// or ERROR-CODE and the head and padding of UNKNOWN-ATTRIBUTES.
const BINDING: [u8; 2] = [0, 1];
const MORE_THAN_BINDING: usize = 16;

libfuzzer_sys::fuzz_target!(|datagrams: &[u8]| {
    let mut world = world::World::new();
    let stranger = world::client(0, madang_turn::ClientAddr::udp);
    for datagram in pieces(datagrams) {
        let bytes = world.send(stranger, datagram);
        let most = match datagram.starts_with(&BINDING) {
            true => datagram.len() + MORE_THAN_BINDING,
            false => (2 * datagram.len()).saturating_sub(1),
        };
        assert!(bytes <= most, "{bytes} bytes for {}", datagram.len());
        assert_eq!(world.server.stats().allocations, 0);
        assert_eq!(world.relayed, 0);
    }
});
