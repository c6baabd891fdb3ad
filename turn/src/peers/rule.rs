//! A peer rule as the operator writes it: an address or a network, with optional ports.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A set of peers: `192.0.2.7`, `192.0.2.0/24`, `192.0.2.0/24:5000-5999`, `2001:db8::/32`, `[2001:db8::7]:53`. A rule
/// without ports covers all ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRule {
    ip: IpAddr,
    prefix: u8,
    ports: RangeInclusive<u16>,
}

/// The reason why a text is not a [`PeerRule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRule {
    /// The part before `/` or the ports is not an address.
    #[error("it has no IPv4 or IPv6 address")]
    Address,
    /// The prefix length after `/` is not a number in the valid range.
    #[error("the prefix length after `/` must be a number from 0 to {0}")]
    Prefix(u8),
    /// The address has host bits set, so it is probably not the network that the operator means.
    #[error("the address has bits set beyond its prefix length `/{0}`")]
    HostBits(u8),
    /// The part after `:` is not a port or a range of ports.
    #[error("the ports after `:` must be a number or a range from 1 to 65535, such as 5000-5999")]
    Ports,
}

impl PeerRule {
    /// Whether this rule covers the address at the port; without a port, at any port.
    pub(super) fn allows(&self, ip: IpAddr, port: Option<u16>) -> bool {
        self.contains(ip) && port.is_none_or(|port| self.ports.contains(&port))
    }

    /// Whether this rule covers the address at the port; without a port, at all ports.
    pub(super) fn denies(&self, ip: IpAddr, port: Option<u16>) -> bool {
        let all = || *self.ports.start() <= 1 && *self.ports.end() == u16::MAX;
        self.contains(ip) && port.map_or_else(all, |port| self.ports.contains(&port))
    }

    /// Whether `other` contains all addresses of this rule.
    pub(super) fn is_within(&self, other: &PeerRule) -> bool {
        self.prefix >= other.prefix && other.contains(self.ip)
    }

    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        let differing = match (self.ip, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                (network.to_bits() ^ ip.to_bits()).leading_zeros()
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                (network.to_bits() ^ ip.to_bits()).leading_zeros()
            }
            _ => return false,
        };
        differing >= u32::from(self.prefix)
    }
}

impl FromStr for PeerRule {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<PeerRule, BadRule> {
        let (network, ports) = split_ports(text.trim())?;
        let (ip, prefix) = match network.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix)),
            None => (network, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| BadRule::Address)?;
        let whole = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) => {
                digits.parse().ok().filter(|&n| n <= whole).ok_or(BadRule::Prefix(whole))?
            }
            None => whole,
        };
        // IPv4-mapped IPv6 becomes IPv4, so that the rule matches canonical addresses.
        let (ip, prefix) = match ip.to_canonical() {
            v4 @ IpAddr::V4(_) if ip.is_ipv6() => {
                (v4, prefix.checked_sub(96).ok_or(BadRule::Address)?)
            }
            ip => (ip, prefix),
        };
        let has_host_bits = match ip {
            IpAddr::V4(ip) => ip.to_bits().checked_shl(prefix.into()).unwrap_or(0) != 0,
            IpAddr::V6(ip) => ip.to_bits().checked_shl(prefix.into()).unwrap_or(0) != 0,
        };
        if has_host_bits {
            return Err(BadRule::HostBits(prefix));
        }
        Ok(PeerRule { ip, prefix, ports })
    }
}

/// `[network]:ports`, `[network]`, `IPv4 network:ports`, or a bare network.
fn split_ports(text: &str) -> Result<(&str, RangeInclusive<u16>), BadRule> {
    let all = 1..=u16::MAX;
    if let Some(bracketed) = text.strip_prefix('[') {
        let (network, rest) = bracketed.split_once(']').ok_or(BadRule::Address)?;
        return match rest.strip_prefix(':') {
            Some(ports) => Ok((network, parse_ports(ports)?)),
            None if rest.is_empty() => Ok((network, all)),
            None => Err(BadRule::Ports),
        };
    }
    match text.split_once(':') {
        Some((network, ports)) if network.contains('.') => Ok((network, parse_ports(ports)?)),
        _ => Ok((text, all)),
    }
}

fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, BadRule> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let parse = |digits: &str| digits.parse().ok().filter(|&port: &u16| port > 0);
    match (parse(first), parse(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(BadRule::Ports),
    }
}

impl fmt::Display for PeerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PeerRule { ip, prefix, ports } = self;
        let has_ports = *ports != (1..=u16::MAX);
        let bracketed = has_ports && ip.is_ipv6();
        f.write_str(if bracketed { "[" } else { "" })?;
        write!(f, "{ip}")?;
        if *prefix != if ip.is_ipv4() { 32 } else { 128 } {
            write!(f, "/{prefix}")?;
        }
        f.write_str(if bracketed { "]" } else { "" })?;
        match (has_ports, ports.start() == ports.end()) {
            (false, _) => Ok(()),
            (true, true) => write!(f, ":{}", ports.start()),
            (true, false) => write!(f, ":{}-{}", ports.start(), ports.end()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_print_as_they_are_read() {
        for text in [
            "192.0.2.7",
            "192.0.2.0/24",
            "192.0.2.0/24:5000-5999",
            "192.0.2.7:53",
            "0.0.0.0/0",
            "::/0",
            "2001:db8::/32",
            "[2001:db8::/32]:53",
            "[2001:db8::7]:1-1023",
        ] {
            assert_eq!(text.parse::<PeerRule>().unwrap().to_string(), text);
        }
        let mapped: PeerRule = "::ffff:10.0.0.0/104".parse().unwrap();
        assert_eq!(mapped.to_string(), "10.0.0.0/8");
    }

    #[test]
    fn malformed_rules_say_what_is_wrong() {
        for (text, wrong) in [
            ("", BadRule::Address),
            ("example.org", BadRule::Address),
            ("10.0.0/8", BadRule::Address),
            ("[::1", BadRule::Address),
            ("::ffff:0.0.0.0/90", BadRule::Address),
            ("10.0.0.0/33", BadRule::Prefix(32)),
            ("10.0.0.0/", BadRule::Prefix(32)),
            ("10.0.0.0/-1", BadRule::Prefix(32)),
            ("2001:db8::/129", BadRule::Prefix(128)),
            ("10.0.0.1/8", BadRule::HostBits(8)),
            ("2001:db8::1/64", BadRule::HostBits(64)),
            ("10.0.0.1:", BadRule::Ports),
            ("10.0.0.1:0", BadRule::Ports),
            ("10.0.0.1:65536", BadRule::Ports),
            ("10.0.0.1:9-8", BadRule::Ports),
            ("[::1]x", BadRule::Ports),
        ] {
            assert_eq!(text.parse::<PeerRule>(), Err(wrong), "{text}");
        }
    }
}
