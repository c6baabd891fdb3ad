//! The TURN server and unauthenticated clients. The input is datagrams, each after its length in 16 bits. They leave no
//! allocation, relay nothing, and get answers of less than twice their length, except Binding requests (amplification:
//! RFC 8656 §21.1.1).
#![no_main]

#[path = "turn/world.rs"]
mod world;

use madang_sfu::fuzz::pieces;

/// A Binding request, and the maximum length of its answer beyond what is repeated from the request: XOR-MAPPED-ADDRESS
/// of IPv4, or ERROR-CODE and the header and padding of UNKNOWN-ATTRIBUTES.
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
