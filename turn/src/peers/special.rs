//! Special-purpose addresses: local to this machine or its network, or not assigned to a host. A rule for the whole
//! Internet does not include them; a rule must name them.

use std::net::IpAddr;
use std::sync::LazyLock;

use super::rule::PeerRule;

/// RFC 6890 and the registries that it established, except the documentation ranges; and the metadata services of cloud
/// providers, each as a range of its own within another one.
const SPECIAL: [&str; 27] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255",
    // AWS, Azure, Google and others; Alibaba; Oracle.
    "169.254.169.254",
    "100.100.100.200",
    "192.0.0.192",
    // The unspecified address, loopback, and IPv4-compatible addresses (RFC 4291 §2.5.5.1).
    "::/96",
    "::",
    "::1",
    "100::/64",
    // Site-local (deprecated), unique local, link-local, multicast.
    "fec0::/10",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
    // AWS, Google.
    "fd00:ec2::254",
    "fd20:ce::254",
    // IPv4-translated addresses (RFC 2765), which `to_canonical` leaves unchanged.
    "::ffff:0:0:0/96",
    "5f00::/16",
];

static RANGES: LazyLock<Vec<PeerRule>> = LazyLock::new(|| {
    SPECIAL.iter().map(|range| range.parse().expect("a test parses the table")).collect()
});

pub(super) fn is_special(ip: IpAddr) -> bool {
    RANGES.iter().any(|range| range.contains(ip))
}

/// Whether a rule names this address: the address is in no special range, or the rule lies within each special range
/// that contains it.
pub(super) fn is_named(ip: IpAddr, rule: &PeerRule) -> bool {
    RANGES.iter().filter(|range| range.contains(ip)).all(|range| rule.is_within(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_parses() {
        assert_eq!(RANGES.len(), SPECIAL.len());
    }
}
