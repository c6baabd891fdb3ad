//! The operator's settings.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use turn_types::AddressFamily;

use crate::PeerRule;
use crate::address::family;
use crate::quota::rate::Rate;

/// The server's settings. [`Config::check`] reports all mistakes at once.
#[derive(Clone, Debug)]
pub struct Config {
    /// The realm of RFC 8489 §9.2, 1 to [`Config::MAX_REALM_BYTES`] bytes. Every answer to a request without
    /// credentials contains it; a realm of up to 8 bytes keeps that answer shorter than twice the shortest request.
    pub realm: String,
    /// The secret from which passwords are derived; callers of [`crate::credentials`] must use the same. Must not be
    /// empty.
    pub secret: Secret,
    /// Users besides those with time-limited credentials, with their passwords. Names must be unique, must not be
    /// empty, and must not contain a colon.
    pub users: Vec<(String, Secret)>,
    /// The media addresses of this server: the only peers that clients can reach, unless [`Config::allow_peers`] names
    /// others.
    pub media: Vec<SocketAddr>,
    /// Peers besides media. If there are any, each allocation binds a socket to its relayed address.
    pub allow_peers: Vec<PeerRule>,
    /// Peers that are refused even if `allow_peers` contains them.
    pub deny_peers: Vec<PeerRule>,
    /// The relay addresses, which peers see as the client's: one of either family, or one of each. Without
    /// `allow_peers`, no socket is bound to them.
    pub relay_ips: Vec<IpAddr>,
    /// The ports of relayed transport addresses. Without `allow_peers` they are only numbers. Each allocation takes one
    /// per family, so the size of the range is also a limit.
    pub relay_ports: RangeInclusive<u16>,
    /// The lifetime of an allocation if the client requests none (RFC 8656 §3.2: 600 s).
    pub default_lifetime: Duration,
    /// The maximum lifetime of an allocation without a Refresh. With expired credentials, an allocation can be refreshed
    /// until the media engine has sent nothing to it for this long. So an unused allocation, or one to other peers, can
    /// outlive its credentials by twice this long.
    pub max_lifetime: Duration,
    /// The maximum number of allocations; a further Allocate is refused with 508 (Insufficient Capacity).
    pub max_allocations: usize,
    /// The maximum number of allocations of one user (the part after the colon in `expiry:user`); a further Allocate is
    /// refused with 486 (Allocation Quota Reached). A browser makes one for each network interface and TURN URL. The
    /// same limit applies to the ports reserved for one user (EVEN-PORT).
    pub max_allocations_per_user: usize,
    /// The maximum number of allocations of one IPv4 address or one IPv6 /64 network of clients; a further Allocate is
    /// refused with 486. All clients behind one NAT count as one.
    pub max_allocations_per_address: usize,
    /// The rate limit of one allocation in each direction, in bits per second, with a burst of one second. Data above
    /// it is dropped, or delayed in connections to TCP peers. At least [`Config::MIN_BITS_PER_SECOND`]; 0 means no
    /// limit.
    pub bits_per_second: u64,
    /// The rate limit of answers to requests without valid credentials, per second and per IPv4 address or IPv6 /64
    /// network, with a burst of two seconds; 0 means no limit. All clients behind one NAT count as one. Packets whose
    /// source may be forged (UDP, and first messages of DTLS handshakes) are counted apart from the rest.
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
    /// The maximum length of the realm, in bytes.
    pub const MAX_REALM_BYTES: usize = 32;
    /// The lowest rate limit of an allocation: 1500 bytes per second. Below it, no datagram of that length would ever
    /// pass.
    pub const MIN_BITS_PER_SECOND: u64 = 12_000;

    /// Checks the settings.
    ///
    /// # Errors
    /// Returns all mistakes.
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

    /// The rate limit of one allocation in each direction, in bytes per second.
    pub(crate) fn rate(&self) -> Rate {
        Rate::per_second(self.bits_per_second.div_ceil(8))
    }
}

/// What can be wrong with a [`Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Anyone could create credentials.
    #[error("the TURN secret is empty")]
    EmptySecret,
    /// See [`Config::realm`].
    #[error("the TURN realm must have 1 to {max} bytes", max = Config::MAX_REALM_BYTES)]
    RealmLength,
    /// See [`Config::relay_ports`].
    #[error("the range of TURN relay ports is empty or contains port 0")]
    RelayPorts,
    /// Clients could not use it.
    #[error(
        "the TURN relay address must not be unspecified (0.0.0.0 or ::); set the address that peers see"
    )]
    UnspecifiedRelayIp,
    /// See [`Config::relay_ips`].
    #[error("TURN needs one relay address of IPv4, one of IPv6, or one of each")]
    RelayIps,
    /// See [`Config::users`].
    #[error("the name of a TURN user must not be empty and must not contain a colon")]
    UserName,
    /// It would be ambiguous which password is valid.
    #[error("two TURN users have the same name")]
    RepeatedUser,
    /// Anyone could use the account.
    #[error("the password of a TURN user is empty")]
    EmptyPassword,
    /// See [`Config::default_lifetime`].
    #[error("the default lifetime of TURN allocations must be positive and at most the maximum")]
    Lifetimes,
    /// See [`Config::bits_per_second`].
    #[error(
        "the rate limit of a TURN allocation must be at least {min} bits per second, or 0 for no limit",
        min = Config::MIN_BITS_PER_SECOND
    )]
    BitsPerSecond,
}

/// Key material, which `Debug` does not print.
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
