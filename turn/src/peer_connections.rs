//! The TCP connections between relayed addresses and peers (RFC 6062): the owner and the state of each.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::ClientAddr;
use crate::auth::Caller;
use crate::refusal::Refusal;
use crate::response::Asked;

/// How long to wait for a peer to connect (RFC 6062 §5.2: "at least 30 seconds"), and how long a connected peer waits
/// for its client (30 seconds).
const PATIENCE: Duration = Duration::from_secs(30);

/// The maximum number of connections per allocation, in any state. A further Connect is refused with 508; a further
/// connection from a peer is closed at once.
const MAX_OF_ALLOCATION: usize = 64;

/// The maximum number of connections of all allocations, enforced in the same ways. Each takes a file descriptor.
const MAX_IN_ALL: usize = 10_000;

/// The value of CONNECTION-ID. It is unique among open connections and hard to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerConnectionId(u32);

impl PeerConnectionId {
    pub(crate) fn new(value: u32) -> PeerConnectionId {
        PeerConnectionId(value)
    }

    pub(crate) fn get(self) -> u32 {
        self.0
    }
}

/// A connection between a relayed address and a peer.
#[derive(Debug)]
pub(crate) struct PeerConnection {
    /// The client whose allocation it belongs to.
    pub(crate) client: ClientAddr,
    pub(crate) relayed: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) state: State,
}

#[derive(Debug)]
pub(crate) enum State {
    /// Connecting to the peer, until this deadline.
    Connecting(Instant, Call),
    /// Connected to the peer. The client must bind a data connection before this deadline.
    Pending(Instant),
    /// Joined with this data connection of the client, which carries no more messages.
    Bound(ClientAddr),
}

/// A Connect request, to be answered when the connection to the peer is made or fails.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) asked: Asked,
    pub(crate) caller: Caller,
}

/// All peer connections, indexed by id, by the allocation's client, and by the client's data connection.
#[derive(Debug)]
pub(crate) struct PeerConnectionTable {
    by_id: HashMap<PeerConnectionId, PeerConnection>,
    by_client: BTreeSet<(ClientAddr, PeerConnectionId)>,
    by_data: HashMap<ClientAddr, PeerConnectionId>,
    /// The deadlines of connections that are connecting or pending.
    deadlines: BTreeSet<(Instant, PeerConnectionId)>,
    ids: StdRng,
}

impl PeerConnectionTable {
    pub(crate) fn new(seed: u64) -> PeerConnectionTable {
        PeerConnectionTable {
            by_id: HashMap::new(),
            by_client: BTreeSet::new(),
            by_data: HashMap::new(),
            deadlines: BTreeSet::new(),
            ids: StdRng::seed_from_u64(seed.rotate_left(32)),
        }
    }

    /// Adds a connection: to a peer that a Connect asks for, or from a peer that connected by itself. The addresses are
    /// the relayed address and the peer's.
    ///
    /// # Errors
    /// 508 when there are too many connections.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        client: ClientAddr,
        (relayed, peer): (SocketAddr, SocketAddr),
        call: Option<Call>,
    ) -> Result<PeerConnectionId, Refusal> {
        if self.by_id.len() >= MAX_IN_ALL || self.of_client(client).count() >= MAX_OF_ALLOCATION {
            return Err(Refusal::InsufficientCapacity);
        }
        let mut id = PeerConnectionId(self.ids.random());
        while self.by_id.contains_key(&id) {
            id = PeerConnectionId(self.ids.random());
        }
        let until = now + PATIENCE;
        let state = match call {
            Some(call) => State::Connecting(until, call),
            None => State::Pending(until),
        };
        self.deadlines.insert((until, id));
        self.by_client.insert((client, id));
        self.by_id.insert(id, PeerConnection { client, relayed, peer, state });
        Ok(id)
    }

    /// Moves a connection from connecting to pending. `None` when the id is not connecting, or no longer.
    pub(crate) fn connected(
        &mut self,
        now: Instant,
        id: PeerConnectionId,
    ) -> Option<(ClientAddr, Call)> {
        let connection = self.by_id.get_mut(&id)?;
        let until = now + PATIENCE;
        match std::mem::replace(&mut connection.state, State::Pending(until)) {
            State::Connecting(was, call) => {
                self.deadlines.remove(&(was, id));
                self.deadlines.insert((until, id));
                Some((connection.client, call))
            }
            other => {
                connection.state = other;
                None
            }
        }
    }

    /// Removes a connection that could not be made. `None` when the id is not connecting, or no longer.
    pub(crate) fn give_up(&mut self, id: PeerConnectionId) -> Option<(ClientAddr, Call)> {
        let State::Connecting(..) = self.by_id.get(&id)?.state else { return None };
        let PeerConnection { client, state, .. } = self.remove(id)?;
        match state {
            State::Connecting(_, call) => Some((client, call)),
            State::Pending(_) | State::Bound(_) => None,
        }
    }

    /// Joins a pending connection with the client's data connection.
    pub(crate) fn bind(&mut self, id: PeerConnectionId, data: ClientAddr) {
        let Some(connection) = self.by_id.get_mut(&id) else { return };
        if let State::Pending(until) = connection.state {
            connection.state = State::Bound(data);
            self.by_data.insert(data, id);
            self.deadlines.remove(&(until, id));
        }
    }

    /// Removes and returns a connection.
    pub(crate) fn remove(&mut self, id: PeerConnectionId) -> Option<PeerConnection> {
        let connection = self.by_id.remove(&id)?;
        self.by_client.remove(&(connection.client, id));
        match connection.state {
            State::Bound(data) => drop(self.by_data.remove(&data)),
            State::Connecting(until, _) | State::Pending(until) => {
                self.deadlines.remove(&(until, id));
            }
        }
        Some(connection)
    }

    /// A connection whose deadline has passed.
    pub(crate) fn overdue(&self, now: Instant) -> Option<PeerConnectionId> {
        let &(deadline, id) = self.deadlines.first()?;
        (deadline <= now).then_some(id)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    pub(crate) fn get(&self, id: PeerConnectionId) -> Option<&PeerConnection> {
        self.by_id.get(&id)
    }

    /// The connections of a client's allocation.
    pub(crate) fn of_client(
        &self,
        client: ClientAddr,
    ) -> impl Iterator<Item = (PeerConnectionId, &PeerConnection)> {
        let range = (client, PeerConnectionId(0))..=(client, PeerConnectionId(u32::MAX));
        let ids = self.by_client.range(range);
        ids.filter_map(|(_, id)| Some((*id, self.by_id.get(id)?)))
    }

    /// The connection whose data this client connection carries.
    pub(crate) fn of_data(&self, data: ClientAddr) -> Option<PeerConnectionId> {
        self.by_data.get(&data).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }
}
