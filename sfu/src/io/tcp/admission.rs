//! Which TCP connections may be there: few of one network, few that have not proved themselves, not too many in all.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::transport::path::ConnectionId;

/// Connections of one worker. Beyond, they are refused: whoever asks has UDP or TURN besides.
const MAX_CONNECTIONS: usize = 2048;
/// Connections of one network: an office behind one address.
const MAX_OF_NETWORK: usize = 512;
/// Connections without a valid ICE check. A further one takes the place of the one that has been silent the longest;
/// a browser needs its place for one round trip.
const MAX_WAITING: usize = 256;
/// Those of one network; beyond, they are refused.
const MAX_WAITING_OF_NETWORK: usize = 64;
/// How long a connection may be there without a valid ICE check.
const TIME_TO_PROVE: Duration = Duration::from_secs(10);

/// The register of a worker's connections.
#[derive(Debug, Default)]
pub(super) struct Admission {
    connections: HashMap<ConnectionId, IpAddr>,
    /// Those without a valid check, and until when they may stay; the oldest first.
    waiting: VecDeque<(Instant, ConnectionId)>,
    /// How many connections, and how many of them wait. Networks without any are not in it.
    networks: HashMap<IpAddr, (usize, usize)>,
    next: u32,
}

/// A connection that may stay for now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) connection: ConnectionId,
    /// The one that has to make room for it.
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

    /// A valid check came on the connection.
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

    /// The connection is no more.
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

    /// A connection that did not prove itself in time; to be repeated, after it left, until there is none.
    pub(super) fn overdue(&self, now: Instant) -> Option<ConnectionId> {
        let (until, oldest) = self.waiting.front()?;
        (*until <= now).then_some(*oldest)
    }

    fn fresh_id(&mut self) -> ConnectionId {
        // Ends, because there are fewer connections than numbers.
        loop {
            self.next = self.next.wrapping_add(1);
            let id = ConnectionId(self.next);
            if !self.connections.contains_key(&id) {
                return id;
            }
        }
    }
}

/// Who counts as one: an IPv4 address, or the 64 bits of an IPv6 address below which a client chooses freely.
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
    fn one_network_has_few_connections_without_a_check_and_more_with_one() {
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
        assert!(admission.admit(now, client(1, 1)).is_some(), "room that was left is there again");
    }

    #[test]
    fn the_oldest_without_a_check_makes_room_for_others() {
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
    fn there_are_not_too_many_in_all() {
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
    fn who_sends_no_valid_check_in_time_is_overdue() {
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
