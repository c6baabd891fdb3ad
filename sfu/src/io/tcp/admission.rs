//! Limits on TCP connections: few per network, few without a valid ICE check, and a maximum in total.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::transport::path::ConnectionId;

/// Connections of one worker. Beyond, they are refused; clients have UDP or TURN as alternatives.
const MAX_CONNECTIONS: usize = 2048;
/// Connections of one network, such as an office behind one address.
const MAX_OF_NETWORK: usize = 512;
/// Connections without a valid ICE check. A further one replaces the one that has waited the longest; a browser needs
/// its place for one round trip only.
const MAX_WAITING: usize = 256;
/// Connections of one network without a valid ICE check; beyond, they are refused.
const MAX_WAITING_OF_NETWORK: usize = 64;
/// How long a connection may stay without a valid ICE check.
const TIME_TO_PROVE: Duration = Duration::from_secs(10);

/// The register of a worker's connections.
#[derive(Debug, Default)]
pub(super) struct Admission {
    connections: HashMap<ConnectionId, IpAddr>,
    /// Connections without a valid check, and until when they may stay; the oldest first.
    waiting: VecDeque<(Instant, ConnectionId)>,
    /// The number of connections per network, and how many of them have no valid check. Networks without connections
    /// have no entry.
    networks: HashMap<IpAddr, (usize, usize)>,
    next: u32,
}

/// An accepted connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) connection: ConnectionId,
    /// The connection that it replaces.
    pub(super) instead_of: Option<ConnectionId>,
}

impl Admission {
    /// Registers a connection, or refuses it.
    pub(super) fn admit(&mut self, now: Instant, remote: SocketAddr) -> Option<Admitted> {
        let network = network(remote.ip());
        let (of_network, waiting_of_network) =
            self.networks.get(&network).copied().unwrap_or_default();
        if self.connections.len() >= MAX_CONNECTIONS
            || of_network >= MAX_OF_NETWORK
            || waiting_of_network >= MAX_WAITING_OF_NETWORK
        {
            return None;
        }
        let instead_of = match self.waiting.front() {
            Some((_, oldest)) if self.waiting.len() >= MAX_WAITING => Some(*oldest),
            _ => None,
        };
        if let Some(oldest) = instead_of {
            self.leave(oldest);
        }
        let connection = self.fresh_id();
        self.connections.insert(connection, network);
        self.waiting.push_back((now + TIME_TO_PROVE, connection));
        let (all, waiting) = self.networks.entry(network).or_default();
        (*all, *waiting) = (*all + 1, *waiting + 1);
        Some(Admitted { connection, instead_of })
    }

    /// Notes that a valid check arrived on the connection.
    pub(super) fn prove(&mut self, connection: ConnectionId) {
        let before = self.waiting.len();
        self.waiting.retain(|(_, waiting)| *waiting != connection);
        if self.waiting.len() < before
            && let Some(network) = self.connections.get(&connection)
            && let Some((_, waiting)) = self.networks.get_mut(network)
        {
            *waiting -= 1;
        }
    }

    /// Removes a connection.
    pub(super) fn leave(&mut self, connection: ConnectionId) {
        self.prove(connection);
        let Some(network) = self.connections.remove(&connection) else {
            return;
        };
        if let Some((all, _)) = self.networks.get_mut(&network) {
            *all -= 1;
            if *all == 0 {
                self.networks.remove(&network);
            }
        }
    }

    /// A connection without a valid check whose time is over. The caller removes it and repeats this until there is
    /// none.
    pub(super) fn overdue(&self, now: Instant) -> Option<ConnectionId> {
        let (until, oldest) = self.waiting.front()?;
        (*until <= now).then_some(*oldest)
    }

    fn fresh_id(&mut self) -> ConnectionId {
        // Terminates, because there are fewer connections than numbers.
        loop {
            self.next = self.next.wrapping_add(1);
            let id = ConnectionId(self.next);
            if !self.connections.contains_key(&id) {
                return id;
            }
        }
    }
}

/// The network of an address: an IPv4 address, or the /64 of an IPv6 address, in which a client may use any address.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_now;

    fn client(network: u8, host: u16) -> SocketAddr {
        let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, network.into(), 0, 0, 0, host);
        SocketAddr::new(ip.into(), 9)
    }

    #[test]
    fn one_network_has_few_connections_without_a_check_and_more_with() {
        let now = test_now();
        let mut admission = Admission::default();
        let waiting: Vec<_> = (0..100).filter_map(|n| admission.admit(now, client(1, n))).collect();
        assert_eq!(waiting.len(), MAX_WAITING_OF_NETWORK);

        waiting.iter().for_each(|admitted| admission.prove(admitted.connection));
        let mut proven = waiting.len();
        while let Some(admitted) = admission.admit(now, client(1, 1)) {
            admission.prove(admitted.connection);
            proven += 1;
        }
        assert_eq!(proven, MAX_OF_NETWORK);
        assert!(admission.admit(now, client(2, 1)).is_some(), "others have room");

        admission.leave(waiting[0].connection);
        assert!(admission.admit(now, client(1, 1)).is_some(), "a removed connection makes room");
    }

    #[test]
    fn the_oldest_connection_without_a_check_is_replaced() {
        let now = test_now();
        let mut admission = Admission::default();
        let admit = |admission: &mut Admission, n: usize| {
            admission.admit(now, client((n / 50) as u8, 1)).unwrap()
        };
        let first: Vec<_> = (0..MAX_WAITING).map(|n| admit(&mut admission, n)).collect();
        assert!(first.iter().all(|admitted| admitted.instead_of.is_none()));
        admission.prove(first[0].connection);

        assert_eq!(admit(&mut admission, 1000).instead_of, None);
        assert_eq!(admit(&mut admission, 1000).instead_of, Some(first[1].connection));
    }

    #[test]
    fn the_total_is_bounded() {
        let now = test_now();
        let mut admission = Admission::default();
        let admitted: Vec<_> = (0..10_000)
            .filter_map(|n| {
                let admitted = admission.admit(now, client((n / 100) as u8, 1))?;
                admission.prove(admitted.connection);
                Some(admitted.connection)
            })
            .collect();
        assert_eq!(admitted.len(), MAX_CONNECTIONS);
        admitted.into_iter().for_each(|connection| admission.leave(connection));
        assert!(admission.networks.is_empty() && admission.connections.is_empty());
    }

    #[test]
    fn a_connection_without_a_valid_check_in_time_is_overdue() {
        let now = test_now();
        let mut admission = Admission::default();
        let [first, second, third] =
            [1, 2, 3].map(|n| admission.admit(now, client(n, 1)).unwrap().connection);
        admission.prove(second);

        assert_eq!(admission.overdue(now + TIME_TO_PROVE - Duration::from_millis(1)), None);
        assert_eq!(admission.overdue(now + TIME_TO_PROVE), Some(first));
        admission.leave(first);
        assert_eq!(admission.overdue(now + TIME_TO_PROVE), Some(third));
        admission.leave(third);
        assert_eq!(admission.overdue(now + TIME_TO_PROVE), None);
    }
}
