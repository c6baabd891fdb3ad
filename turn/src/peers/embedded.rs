//! IPv4 addresses embedded in IPv6 addresses: gateways may deliver packets for such an address to the IPv4 address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Every IPv4 address that a gateway could extract from an address. IPv4-mapped addresses are excluded: they are
/// converted to IPv4 before this check.
pub(super) fn addresses(ip: IpAddr) -> impl Iterator<Item = IpAddr> {
    let found = match ip {
        IpAddr::V4(_) => [None; 4],
        IpAddr::V6(ip) => inside(ip),
    };
    found.into_iter().flatten().map(IpAddr::V4)
}

fn inside(ip: Ipv6Addr) -> [Option<Ipv4Addr>; 4] {
    let bits = ip.to_bits();
    let last = at(bits, 96);
    match ip.segments() {
        // The unspecified address and the loopback address.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None; 4],
        // IPv4-compatible (RFC 4291 §2.5.5.1), IPv4-translated (RFC 2765 §2.1), NAT64 (RFC 6052 §2.1).
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            [last, None, None, None]
        }
        // Local-use NAT64 (RFC 8215), with every prefix length of RFC 6052 §2.2 that fits; bits 64 to 71 are never part
        // of the address. A prefix length that reads the zeros around the address finds none.
        [0x64, 0xff9b, 1, ..] => [last, split(bits, 48), split(bits, 56), split(bits, 64)]
            .map(|found| found.filter(|ip| ip.octets()[0] != 0)),
        // 6to4 (RFC 3056 §2).
        [0x2002, ..] => [at(bits, 16), None, None, None],
        // Teredo (RFC 4380 §4): the server, and the client in inverted bits.
        [0x2001, 0, ..] => [at(bits, 32), at(!bits, 96), None, None],
        // ISATAP (RFC 5214 §6.1).
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => [last, None, None, None],
        _ => [None; 4],
    }
}

/// The 32 bits that follow the first `start` bits.
fn at(bits: u128, start: u32) -> Option<Ipv4Addr> {
    u32::try_from((bits << start) >> 96).ok().map(Ipv4Addr::from_bits)
}

/// The 32 bits that follow the first `start` bits, skipping bits 64 to 71.
fn split(bits: u128, start: u32) -> Option<Ipv4Addr> {
    let head = bits >> 64 << 64;
    let tail = bits << 72 >> 64;
    at(head | tail, start)
}
