//! All allocations, with their quotas, deadlines and port reservations.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use stun_types::message::TransactionId;
use turn_types::AddressFamily;

use super::Allocation;
use super::ports::{FreePorts, PortWish};
use super::relayed::Relayed;
use crate::address::family;
use crate::quota::bandwidth::Paces;
use crate::quota::per_holder::PerHolder;
use crate::quota::rate::Rate;
use crate::refusal::Refusal;
use crate::{ClientAddr, Config};

/// How long the next-higher port stays reserved (RFC 8656 §7.2: "at least 30 seconds").
const RESERVATION_TIME: Duration = Duration::from_secs(30);
/// The maximum number of reservations; a further one is refused with 508.
const MAX_RESERVATIONS: usize = 256;

/// The allocations of a server, indexed by client and by relayed address. When capacity is used up, a new allocation is
/// refused with 508; when one user or one client network has reached its quota, with 486.
#[derive(Debug)]
pub(crate) struct AllocationTable {
    by_client: HashMap<ClientAddr, Allocation>,
    by_relayed: HashMap<SocketAddr, ClientAddr>,
    deadlines: BTreeSet<(Instant, ClientAddr)>,
    per_user: PerHolder<Box<str>>,
    per_network: PerHolder<IpAddr>,
    pools: Vec<Pool>,
    /// Ordered by the time at which they end; at most [`MAX_RESERVATIONS`]. They outlive their allocations.
    reservations: VecDeque<Reservation>,
    /// Limited to the number of allocations per user.
    reservations_per_user: PerHolder<Box<str>>,
    tokens: StdRng,
    capacity: usize,
    rate: Rate,
}

/// The relay address of one family, and its free ports.
#[derive(Debug)]
struct Pool {
    ip: IpAddr,
    free: FreePorts,
}

/// A reserved port, which the user can claim with the token (RESERVATION-TOKEN).
#[derive(Debug)]
struct Reservation {
    token: u64,
    user: Box<str>,
    addr: SocketAddr,
    ends: Instant,
}

/// The parameters of an Allocate request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) client: ClientAddr,
    pub(crate) user: &'a str,
    pub(crate) transaction: TransactionId,
    pub(crate) lifetime: Duration,
    pub(crate) address: RequestedAddress,
    /// Whether the relayed address is for TCP (RFC 6062) rather than for UDP.
    pub(crate) relays_tcp: bool,
}

/// Which relayed address the client requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestedAddress {
    /// One port of one family.
    Port(AddressFamily, PortWish),
    /// One address of each family. IPv4 is required; IPv6 may fail (RFC 8656 §7.2).
    Both(PortWish),
    /// The port reserved under this token.
    Reserved(u64),
}

impl AllocationTable {
    pub(crate) fn new(config: &Config, seed: u64) -> AllocationTable {
        let pools = config.relay_ips.iter().map(|ip| Pool {
            ip: ip.to_canonical(),
            free: FreePorts::new(config.relay_ports.clone(), seed),
        });
        AllocationTable {
            by_client: HashMap::new(),
            by_relayed: HashMap::new(),
            deadlines: BTreeSet::new(),
            per_user: PerHolder::new(config.max_allocations_per_user),
            per_network: PerHolder::new(config.max_allocations_per_address),
            pools: pools.collect(),
            reservations: VecDeque::new(),
            reservations_per_user: PerHolder::new(config.max_allocations_per_user),
            tokens: StdRng::seed_from_u64(!seed),
            capacity: config.max_allocations,
            rate: config.rate(),
        }
    }

    /// Creates an allocation. The caller has checked that the client has none.
    pub(crate) fn create(&mut self, now: Instant, wish: Wish<'_>) -> Result<&Allocation, Refusal> {
        if self.per_user.is_used_up(wish.user)
            || self.per_network.is_used_up(&wish.client.network())
        {
            return Err(Refusal::AllocationQuotaReached);
        }
        if self.by_client.len() >= self.capacity {
            return Err(Refusal::InsufficientCapacity);
        }
        if let RequestedAddress::Port(_, PortWish::Pair) = wish.address {
            self.check_reservations(now, wish.user)?;
        }
        let mut second_refusal = None;
        let relayed = match wish.address {
            RequestedAddress::Port(family, port) => Relayed::new(self.take(family, port)?),
            RequestedAddress::Both(port) => {
                let first = Relayed::new(self.take(AddressFamily::IPV4, port)?);
                match self.take(AddressFamily::IPV6, port) {
                    Ok(second) => first.with(second),
                    Err(refusal) => {
                        second_refusal = Some(refusal.code());
                        first
                    }
                }
            }
            RequestedAddress::Reserved(token) => Relayed::new(self.redeem(now, token, wish.user)?),
        };
        let mut allocation = Allocation::new(
            wish.client,
            wish.user,
            relayed,
            wish.transaction,
            now,
            wish.lifetime,
            self.rate,
        );
        allocation.second_refusal = second_refusal;
        allocation.paces = wish.relays_tcp.then(|| Arc::new(Paces::new(now, self.rate)));
        if let RequestedAddress::Port(family, PortWish::Pair) = wish.address
            && let Some(addr) = relayed.of(family)
        {
            allocation.reservation = Some(self.reserve(now, wish.user, addr));
        }
        self.per_user.take(allocation.user.clone());
        self.per_network.take(wish.client.network());
        for addr in relayed.iter() {
            self.by_relayed.insert(addr, wish.client);
        }
        self.deadlines.insert((allocation.expires, wish.client));
        Ok(self.by_client.entry(wish.client).insert_entry(allocation).into_mut())
    }

    /// Sets when the client's allocation expires.
    pub(crate) fn refresh(&mut self, client: ClientAddr, expires: Instant) {
        if let Some(allocation) = self.by_client.get_mut(&client) {
            self.deadlines.remove(&(allocation.expires, client));
            allocation.expires = expires;
            self.deadlines.insert((expires, client));
        }
    }

    /// Removes and returns the client's allocation.
    pub(crate) fn remove(&mut self, client: ClientAddr) -> Option<Allocation> {
        let allocation = self.by_client.remove(&client)?;
        self.deadlines.remove(&(allocation.expires, client));
        self.per_user.give_back(&allocation.user);
        self.per_network.give_back(&client.network());
        for addr in allocation.relayed.iter() {
            self.release(addr);
        }
        Some(allocation)
    }

    /// Removes and returns the relayed address of a family, if the allocation has addresses of both families.
    pub(crate) fn remove_family(
        &mut self,
        client: ClientAddr,
        family: AddressFamily,
    ) -> Option<SocketAddr> {
        let allocation = self.by_client.get_mut(&client)?;
        let removed = allocation.relayed.of(family)?;
        allocation.relayed = allocation.relayed.without(family)?;
        self.release(removed);
        Some(removed)
    }

    /// Replaces a relayed port that another program has bound with another port. With [`PortWish::Pair`], the
    /// reservation moves to the new next-higher port.
    pub(crate) fn replace(&mut self, relayed: SocketAddr, wish: PortWish) -> Option<SocketAddr> {
        let client = *self.by_relayed.get(&relayed)?;
        let other = self.take(family(relayed.ip()), wish).ok()?;
        self.release(relayed);
        self.by_relayed.insert(other, client);
        let allocation = self.by_client.get_mut(&client)?;
        allocation.relayed = allocation.relayed.with(other);
        if wish == PortWish::Pair {
            let token = allocation.reservation;
            let behind = SocketAddr::new(other.ip(), other.port() + 1);
            // The reserved port may have been claimed already.
            let released = match self.reservations.iter_mut().find(|kept| Some(kept.token) == token)
            {
                Some(kept) => std::mem::replace(&mut kept.addr, behind),
                None => behind,
            };
            self.release(released);
        }
        Some(other)
    }

    /// Removes and returns an allocation that has expired.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<Allocation> {
        self.end_reservations(now);
        let &(deadline, client) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.remove(client)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let allocation = self.deadlines.first().map(|&(deadline, _)| deadline);
        let reservation = self.reservations.front().map(|reservation| reservation.ends);
        allocation.into_iter().chain(reservation).min()
    }

    pub(crate) fn of_client(&self, client: ClientAddr) -> Option<&Allocation> {
        self.by_client.get(&client)
    }

    pub(crate) fn of_client_mut(&mut self, client: ClientAddr) -> Option<&mut Allocation> {
        self.by_client.get_mut(&client)
    }

    pub(crate) fn of_relayed_mut(&mut self, relayed: SocketAddr) -> Option<&mut Allocation> {
        self.by_client.get_mut(self.by_relayed.get(&relayed)?)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_client.len()
    }

    fn take(&mut self, wanted: AddressFamily, port: PortWish) -> Result<SocketAddr, Refusal> {
        let pool = self.pools.iter_mut().find(|pool| family(pool.ip) == wanted);
        let pool = pool.ok_or(Refusal::AddressFamilyNotSupported)?;
        let port = pool.free.take(port).ok_or(Refusal::InsufficientCapacity)?;
        Ok(SocketAddr::new(pool.ip, port))
    }

    /// Removes the index entry of a relayed address and frees its port.
    fn release(&mut self, addr: SocketAddr) {
        self.by_relayed.remove(&addr);
        if let Some(pool) = self.pools.iter_mut().find(|pool| pool.ip == addr.ip()) {
            pool.free.give_back(addr.port());
        }
    }

    /// Checks whether the user may reserve another port.
    fn check_reservations(&mut self, now: Instant, user: &str) -> Result<(), Refusal> {
        self.end_reservations(now);
        if self.reservations_per_user.is_used_up(user) {
            return Err(Refusal::AllocationQuotaReached);
        }
        if self.reservations.len() >= MAX_RESERVATIONS {
            return Err(Refusal::InsufficientCapacity);
        }
        Ok(())
    }

    /// Reserves the next-higher port, which was taken together with the even one. Returns the token.
    fn reserve(&mut self, now: Instant, user: &str, even: SocketAddr) -> u64 {
        let token = self.tokens.random();
        let addr = SocketAddr::new(even.ip(), even.port() + 1);
        let ends = now + RESERVATION_TIME;
        self.reservations_per_user.take(user.into());
        self.reservations.push_back(Reservation { token, user: user.into(), addr, ends });
        token
    }

    /// Claims a reserved port. An invalid token, or a token of another user, is refused with 508 (RFC 8656 §7.2).
    fn redeem(&mut self, now: Instant, token: u64, user: &str) -> Result<SocketAddr, Refusal> {
        self.end_reservations(now);
        let index = self.reservations.iter().position(|r| r.token == token && *r.user == *user);
        let reservation = index.and_then(|index| self.reservations.remove(index));
        let Reservation { user, addr, .. } = reservation.ok_or(Refusal::InsufficientCapacity)?;
        self.reservations_per_user.give_back(&user);
        Ok(addr)
    }

    fn end_reservations(&mut self, now: Instant) {
        while let Some(ended) = self.reservations.pop_front_if(|r| r.ends <= now) {
            self.reservations_per_user.give_back(&ended.user);
            self.release(ended.addr);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_now::test_now;

    /// The indexes mirror each other; allocations that come and go leave nothing behind.
    #[test]
    fn indexes_agree_after_many_changes() {
        let config = Config {
            relay_ips: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            relay_ports: 50_000..=50_049,
            max_allocations_per_user: 3,
            max_allocations_per_address: 5,
            ..Config::default()
        };
        let mut table = AllocationTable::new(&config, 7);
        let mut now = test_now();
        let mut dice = 12345_u32;

        for _ in 0..20_000 {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let client = ClientAddr::udp(SocketAddr::from((
                [10, 0, 0, (dice >> 28) as u8],
                4000 + (dice >> 24 & 7) as u16,
            )));
            let user = format!("user{}", dice >> 20 & 15);
            let address = match dice >> 12 & 7 {
                0 => RequestedAddress::Port(AddressFamily::IPV4, PortWish::Pair),
                1 => RequestedAddress::Port(AddressFamily::IPV6, PortWish::Even),
                2 => RequestedAddress::Both(PortWish::Any),
                3 => RequestedAddress::Reserved(
                    table.reservations.back().map_or(7, |kept| kept.token),
                ),
                _ => RequestedAddress::Port(AddressFamily::IPV4, PortWish::Any),
            };
            match dice >> 16 & 7 {
                0..4 if table.of_client(client).is_none() => {
                    let _ = table.create(now, wish(client, &user, address));
                }
                4 => drop(table.remove(client)),
                5 => drop(table.remove_family(client, AddressFamily::IPV6)),
                6 => {
                    let found = table.of_client(client);
                    let wish = match found.and_then(|found| found.reservation) {
                        Some(_) => PortWish::Pair,
                        None => PortWish::Any,
                    };
                    let relayed = found.and_then(|found| found.relayed.iter().next());
                    relayed.and_then(|relayed| table.replace(relayed, wish));
                }
                _ => table.refresh(client, now + Duration::from_secs(30)),
            }
            now += Duration::from_millis(700);
            while table.pop_expired(now).is_some() {}
            check(&table);
        }
        while table.pop_expired(now + Duration::from_secs(3600)).is_some() {}

        assert_eq!(table.len(), 0);
        check(&table);
        assert!(table.per_user.counts().chain(table.per_network.counts()).next().is_none());
        for pool in &mut table.pools {
            assert_eq!(std::iter::from_fn(|| pool.free.take(PortWish::Any)).count(), 50);
        }
    }

    fn check(table: &AllocationTable) {
        let relayed = table.by_client.values().flat_map(|allocation| allocation.relayed.iter());
        assert_eq!(table.by_relayed.len(), relayed.count());
        assert_eq!(table.deadlines.len(), table.by_client.len());
        let held: usize = table.per_user.counts().sum();
        assert_eq!(held, table.by_client.len());
        assert!(table.per_user.counts().all(|count| count <= 3));
        assert!(table.per_network.counts().all(|count| count <= 5));
        let kept: usize = table.reservations_per_user.counts().sum();
        assert_eq!(kept, table.reservations.len());
        assert!(table.reservations_per_user.counts().all(|count| count <= 3));
        for (client, allocation) in &table.by_client {
            for relayed in allocation.relayed.iter() {
                assert_eq!(table.by_relayed.get(&relayed), Some(client));
            }
        }
    }

    fn wish(client: ClientAddr, user: &str, address: RequestedAddress) -> Wish<'_> {
        let (transaction, lifetime) = (1.into(), Duration::from_secs(20));
        Wish { client, user, transaction, lifetime, address, relays_tcp: false }
    }
}
