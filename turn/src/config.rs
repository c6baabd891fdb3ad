//! What the operator decides.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use turn_types::AddressFamily;

use crate::PeerRule;
use crate::address::family;
use crate::quota::rate::Rate;

/// How the server behaves. [`Config::check`] tells all that is wrong with it at once.
#[derive(Clone, Debug)]
pub struct Config {
    /// The realm of RFC 8489 §9.2, 1 to [`Config::MAX_REALM_BYTES`] bytes. It is part of every answer to a request
    /// without credentials: one of up to 8 bytes keeps that answer below twice the shortest request.
    pub realm: String,
    /// The secret from which passwords are made; whoever calls [`crate::credentials`] must use the same. Not empty.
    pub secret: Secret,
    /// Users besides those with made credentials, with their passwords. Names are not empty, have no colon, and are
    /// there once.
    pub users: Vec<(String, Secret)>,
    /// The media addresses of this server: the only peers that a client can reach, unless [`Config::allow_peers`] names
    /// others.
    pub media: Vec<SocketAddr>,
    /// Peers besides media. When there are any, each allocation has a socket at its relayed address.
    pub allow_peers: Vec<PeerRule>,
    /// Peers that are refused even when `allow_peers` has them.
    pub deny_peers: Vec<PeerRule>,
    /// The addresses that clients see as theirs when they are relayed: one of a family, or one of each. Without
    /// `allow_peers`, no socket is bound to them.
    pub relay_ips: Vec<IpAddr>,
    /// The ports of relayed transport addresses. Without `allow_peers` they are numbers only. Each allocation takes
    /// one, so that their count is a limit, too.
    pub relay_ports: RangeInclusive<u16>,
    /// How long an allocation lives when the client doesn't say (RFC 8656 §3.2: 600 s).
    pub default_lifetime: Duration,
    /// How long an allocation lives at most without a Refresh. Credentials are looked at in requests alone, so this is
    /// also how long an allocation can outlive them.
    pub max_lifetime: Duration,
    /// Allocations at a time; a further Allocate is refused with 508 (Insufficient Capacity).
    pub max_allocations: usize,
    /// Allocations at a time for one user (what follows the colon in `expiry:user`); a further Allocate is refused with
    /// 486 (Allocation Quota Reached). A browser makes one for each of its network interfaces and TURN URLs. As many
    /// ports are kept for one user at a time (EVEN-PORT).
    pub max_allocations_per_user: usize,
    /// Allocations at a time for one IPv4 address or one IPv6 /64 network of clients; a further Allocate is refused
    /// with 486. Everybody behind one NAT counts as one.
    pub max_allocations_per_address: usize,
    /// What one allocation may carry in each direction, in bits per second, and as much at once; what is more is
    /// dropped, or waits in connections to TCP peers. At least [`Config::MIN_BITS_PER_SECOND`]; 0 is no limit.
    pub bits_per_second: u64,
    /// Requests without credentials, or with wrong ones, that one IPv4 address or one IPv6 /64 network gets answers to,
    /// per second, and twice as many at once; 0 is no limit. Everybody behind one NAT counts as one. What can be
    /// forged counts apart from the rest: what comes by UDP, and beginnings of DTLS handshakes.
    pub strangers_per_second: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            realm: "madang".to_owned(),
            secret: Secret(Vec::new()),
            users: Vec::new(),
            media: Vec::new(),
            allow_peers: Vec::new(),
            deny_peers: Vec::new(),
            relay_ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            relay_ports: 49152..=65535,
            default_lifetime: Duration::from_secs(600),
            max_lifetime: Duration::from_secs(3600),
            max_allocations: 10_000,
            max_allocations_per_user: 16,
            max_allocations_per_address: 1000,
            bits_per_second: 0,
            strangers_per_second: 200,
        }
    }
}

impl Config {
    /// The longest realm, in bytes.
    pub const MAX_REALM_BYTES: usize = 32;
    /// The lowest limit of what an allocation may carry: 1500 bytes each second. Below, no datagram of that length
    /// would ever pass.
    pub const MIN_BITS_PER_SECOND: u64 = 12_000;

    /// Looks for mistakes.
    ///
    /// # Errors
    /// All of them.
    pub fn check(&self) -> Result<(), Vec<Mistake>> {
        let rules = [
            (self.secret.0.is_empty(), Mistake::EmptySecret),
            (
                self.realm.is_empty() || self.realm.len() > Config::MAX_REALM_BYTES,
                Mistake::RealmLength,
            ),
            (self.relay_ports.is_empty() || *self.relay_ports.start() == 0, Mistake::RelayPorts),
            (self.relay_ips.iter().any(IpAddr::is_unspecified), Mistake::UnspecifiedRelayIp),
            (!self.has_one_relay_ip_per_family(), Mistake::RelayIps),
            (
                self.users.iter().any(|(name, _)| name.is_empty() || name.contains(':')),
                Mistake::UserName,
            ),
            (self.has_a_user_twice(), Mistake::RepeatedUser),
            (self.users.iter().any(|(_, secret)| secret.0.is_empty()), Mistake::EmptyPassword),
            (
                self.default_lifetime.is_zero() || self.default_lifetime > self.max_lifetime,
                Mistake::Lifetimes,
            ),
            (
                (1..Config::MIN_BITS_PER_SECOND).contains(&self.bits_per_second),
                Mistake::BitsPerSecond,
            ),
        ];
        let mistakes: Vec<Mistake> =
            rules.into_iter().filter_map(|(broken, mistake)| broken.then_some(mistake)).collect();
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    fn has_one_relay_ip_per_family(&self) -> bool {
        let families = self.relay_ips.iter().map(|ip| family(ip.to_canonical()));
        let ipv4 = families.clone().filter(|&family| family == AddressFamily::IPV4).count();
        !self.relay_ips.is_empty() && ipv4 <= 1 && families.count() - ipv4 <= 1
    }

    fn has_a_user_twice(&self) -> bool {
        let mut names = HashSet::new();
        !self.users.iter().all(|(name, _)| names.insert(name))
    }

    /// What one allocation may carry in each direction, in bytes.
    pub(crate) fn rate(&self) -> Rate {
        Rate::per_second(self.bits_per_second.div_ceil(8))
    }
}

/// What can be wrong with a [`Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Anybody could make credentials.
    #[error("the TURN secret is empty")]
    EmptySecret,
    /// See [`Config::realm`].
    #[error("the TURN realm must have 1 to {max} bytes", max = Config::MAX_REALM_BYTES)]
    RealmLength,
    /// See [`Config::relay_ports`].
    #[error("the range of TURN relay ports is empty or contains port 0")]
    RelayPorts,
    /// Clients could do nothing with it.
    #[error("the TURN relay address must be a definite address, not the unspecified one")]
    UnspecifiedRelayIp,
    /// See [`Config::relay_ips`].
    #[error("TURN needs a relay address of IPv4, of IPv6, or one of each")]
    RelayIps,
    /// See [`Config::users`].
    #[error("the name of a TURN user must not be empty and must not have a colon")]
    UserName,
    /// Nobody could say which of the passwords is meant.
    #[error("a TURN user is there twice")]
    RepeatedUser,
    /// Anybody could be that user.
    #[error("the password of a TURN user is empty")]
    EmptyPassword,
    /// See [`Config::default_lifetime`].
    #[error("the default lifetime of TURN allocations must be positive and at most the maximum")]
    Lifetimes,
    /// See [`Config::bits_per_second`].
    #[error(
        "what a TURN allocation may carry must be at least {min} bits per second, or 0 for no limit",
        min = Config::MIN_BITS_PER_SECOND
    )]
    BitsPerSecond,
}

/// Key material; `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps the bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        Secret(bytes.into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_mistakes_are_told_at_once() {
        let config = Config {
            realm: String::new(),
            relay_ips: vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED); 2],
            relay_ports: 0..=10,
            users: vec![("a:b".to_owned(), Secret::new("")); 2],
            default_lifetime: Duration::ZERO,
            bits_per_second: 11_999,
            ..Config::default()
        };

        let mistakes = config.check().unwrap_err();

        assert_eq!(mistakes.len(), 10, "{mistakes:?}");
    }

    #[test]
    fn limits_are_none_or_let_a_whole_packet_pass() {
        let check = |bits_per_second| {
            Config { secret: Secret::new("north"), bits_per_second, ..Config::default() }.check()
        };

        assert_eq!([0, 12_000, u64::MAX].map(check), [Ok(()), Ok(()), Ok(())]);
        assert_eq!([1, 11_999].map(check), [1, 2].map(|_| Err(vec![Mistake::BitsPerSecond])));
    }

    #[test]
    fn secrets_do_not_print() {
        let config = Config { secret: Secret::new("hunter2"), ..Config::default() };

        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
