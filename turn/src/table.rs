//! All allocations: who has which, how many, until when.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use stun_types::message::TransactionId;

use crate::allocation::Allocation;
use crate::ports::FreePorts;
use crate::refusal::Refusal;
use crate::{ClientAddr, Config};

/// The allocations of a server, found by either end. Full means refuse: 508 when all is used up, 486 when one user or
/// one client address has its share.
#[derive(Debug)]
pub(crate) struct AllocationTable {
    by_client: HashMap<ClientAddr, Allocation>,
    by_relayed: HashMap<SocketAddr, ClientAddr>,
    deadlines: BTreeSet<(Instant, ClientAddr)>,
    per_user: Shares<Box<str>>,
    per_network: Shares<IpAddr>,
    free_ports: FreePorts,
    relay_ip: IpAddr,
    capacity: usize,
}

/// What a client asks of an allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) client: ClientAddr,
    pub(crate) user: &'a str,
    pub(crate) transaction: TransactionId,
    pub(crate) lifetime: Duration,
    pub(crate) even_port: bool,
}

impl AllocationTable {
    pub(crate) fn new(config: &Config, seed: u64) -> AllocationTable {
        AllocationTable {
            by_client: HashMap::new(),
            by_relayed: HashMap::new(),
            deadlines: BTreeSet::new(),
            per_user: Shares::new(config.max_allocations_per_user),
            per_network: Shares::new(config.max_allocations_per_address),
            free_ports: FreePorts::new(config.relay_ports.clone(), seed),
            relay_ip: config.relay_ip.to_canonical(),
            capacity: config.max_allocations,
        }
    }

    /// Makes an allocation for a client that has none; the caller has looked.
    pub(crate) fn create(&mut self, now: Instant, wish: Wish<'_>) -> Result<&Allocation, Refusal> {
        if self.per_user.is_used_up(wish.user)
            || self.per_network.is_used_up(&wish.client.network())
        {
            return Err(Refusal::AllocationQuotaReached);
        }
        if self.by_client.len() >= self.capacity {
            return Err(Refusal::InsufficientCapacity);
        }
        let Some(port) = self.free_ports.take(wish.even_port) else {
            return Err(Refusal::InsufficientCapacity);
        };
        let relayed = SocketAddr::new(self.relay_ip, port);
        let allocation =
            Allocation::new(wish.client, wish.user, relayed, wish.transaction, now, wish.lifetime);
        self.per_user.take(allocation.user.clone());
        self.per_network.take(wish.client.network());
        self.by_relayed.insert(relayed, wish.client);
        self.deadlines.insert((allocation.expires, wish.client));
        Ok(self.by_client.entry(wish.client).insert_entry(allocation).into_mut())
    }

    /// Sets when the client's allocation ends.
    pub(crate) fn refresh(&mut self, client: ClientAddr, expires: Instant) {
        if let Some(allocation) = self.by_client.get_mut(&client) {
            self.deadlines.remove(&(allocation.expires, client));
            allocation.expires = expires;
            self.deadlines.insert((expires, client));
        }
    }

    pub(crate) fn remove(&mut self, client: ClientAddr) {
        if let Some(allocation) = self.by_client.remove(&client) {
            self.deadlines.remove(&(allocation.expires, client));
            self.by_relayed.remove(&allocation.relayed);
            self.per_user.give_back(&allocation.user);
            self.per_network.give_back(&client.network());
            self.free_ports.give_back(allocation.relayed.port());
        }
    }

    /// Removes what has ended; tells how many.
    pub(crate) fn expire(&mut self, now: Instant) -> u64 {
        let mut expired = 0;
        while let Some(&(deadline, client)) = self.deadlines.first()
            && deadline <= now
        {
            self.remove(client);
            expired += 1;
        }
        expired
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    pub(crate) fn of_client(&self, client: ClientAddr) -> Option<&Allocation> {
        self.by_client.get(&client)
    }

    pub(crate) fn of_client_mut(&mut self, client: ClientAddr) -> Option<&mut Allocation> {
        self.by_client.get_mut(&client)
    }

    pub(crate) fn of_relayed(&self, relayed: SocketAddr) -> Option<&Allocation> {
        self.by_client.get(self.by_relayed.get(&relayed)?)
    }

    pub(crate) fn relay_ip(&self) -> IpAddr {
        self.relay_ip
    }

    pub(crate) fn len(&self) -> usize {
        self.by_client.len()
    }
}

/// How many allocations each holder has. A holder without any has no entry, so that this is no longer than the table.
#[derive(Debug)]
struct Shares<K> {
    limit: usize,
    taken: HashMap<K, usize>,
}

impl<K: Eq + Hash> Shares<K> {
    fn new(limit: usize) -> Shares<K> {
        Shares { limit, taken: HashMap::new() }
    }

    fn is_used_up<Q: Eq + Hash + ?Sized>(&self, holder: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
    {
        self.taken.get(holder).copied().unwrap_or(0) >= self.limit
    }

    fn take(&mut self, holder: K) {
        *self.taken.entry(holder).or_insert(0) += 1;
    }

    fn give_back(&mut self, holder: &K) {
        if let Some(count) = self.taken.get_mut(holder) {
            *count -= 1;
            if *count == 0 {
                self.taken.remove(holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing may be left behind by allocations that come and go: the indexes mirror each other.
    #[test]
    fn indexes_agree_after_many_changes() {
        let config = Config {
            relay_ports: 50_000..=50_049,
            max_allocations_per_user: 3,
            max_allocations_per_address: 5,
            ..Config::default()
        };
        let mut table = AllocationTable::new(&config, 7);
        let mut now = far_from_zero();
        let mut dice = 12345_u32;

        for _ in 0..20_000 {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let client = ClientAddr::udp(SocketAddr::from((
                [10, 0, 0, (dice >> 28) as u8],
                4000 + (dice >> 24 & 7) as u16,
            )));
            let user = format!("user{}", dice >> 20 & 15);
            match dice >> 16 & 3 {
                0 | 1 if table.of_client(client).is_none() => {
                    let _ = table.create(now, wish(client, &user));
                }
                2 => table.remove(client),
                _ => table.refresh(client, now + Duration::from_secs(30)),
            }
            now += Duration::from_millis(700);
            table.expire(now);
            check(&table);
        }
        table.expire(now + Duration::from_secs(3600));

        assert_eq!(table.len(), 0);
        check(&table);
        assert!(table.per_user.taken.is_empty() && table.per_network.taken.is_empty());
        let free = std::iter::from_fn(|| table.free_ports.take(false)).count();
        assert_eq!(free, 50);
    }

    fn check(table: &AllocationTable) {
        assert_eq!(table.by_relayed.len(), table.by_client.len());
        assert_eq!(table.deadlines.len(), table.by_client.len());
        let held: usize = table.per_user.taken.values().sum();
        assert_eq!(held, table.by_client.len());
        assert!(table.per_user.taken.values().all(|&count| count <= 3));
        assert!(table.per_network.taken.values().all(|&count| count <= 5));
        for (client, allocation) in &table.by_client {
            assert_eq!(
                table.of_relayed(allocation.relayed).map(|found| found.client),
                Some(*client)
            );
        }
    }

    fn wish(client: ClientAddr, user: &str) -> Wish<'_> {
        Wish {
            client,
            user,
            transaction: 1.into(),
            lifetime: Duration::from_secs(20),
            even_port: false,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
    fn far_from_zero() -> Instant {
        Instant::now()
    }
}
