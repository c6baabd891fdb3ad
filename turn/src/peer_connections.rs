//! The connections between relayed addresses and peers (RFC 6062): which there are, whose, and how far they have come.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::ClientAddr;
use crate::auth::Caller;
use crate::refusal::Refusal;
use crate::response::Asked;

/// How long a peer is waited for, and how long a connected peer waits for its client. RFC 6062 §5.2: "at least 30
/// seconds", and 30 seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections of an allocation at a time, whatever their state; a further Connect is refused with 508, a further
/// peer's connection is closed at once.
const MAX_OF_ALLOCATION: usize = 64;

/// Connections of all allocations at a time; what is more is refused in the same ways. Each takes a file descriptor.
const MAX_IN_ALL: usize = 10_000;

/// The value of CONNECTION-ID: it tells apart the connections in force, and is hard to guess.
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
    /// Whose allocation it belongs to.
    pub(crate) client: ClientAddr,
    pub(crate) relayed: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) state: State,
}

#[derive(Debug)]
pub(crate) enum State {
    /// The peer is called.
    Connecting(Instant, Call),
    /// The peer is there. Until then the client has to come for it with a connection of its own.
    Pending(Instant),
    /// It belongs together with this connection of the client, which is no longer one for messages.
    Bound(ClientAddr),
}

/// A Connect that is answered when the peer has come.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) asked: Asked,
    pub(crate) caller: Caller,
}

/// All of them, found by their number, by the allocation, and by the client's data connection.
#[derive(Debug)]
pub(crate) struct PeerConnectionTable {
    by_id: HashMap<PeerConnectionId, PeerConnection>,
    by_client: BTreeSet<(ClientAddr, PeerConnectionId)>,
    by_data: HashMap<ClientAddr, PeerConnectionId>,
    /// Of those whose state must not last.
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

    /// Adds one to a peer that is called, or has come by itself. Addresses: relayed, and the peer's.
    ///
    /// # Errors
    /// 508 when there are enough.
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

    /// The called peer has come: now its client is waited for. None when that peer is not called, or not any more.
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

    /// The called peer doesn't come. None when that peer is not called, or not any more.
    pub(crate) fn give_up(&mut self, id: PeerConnectionId) -> Option<(ClientAddr, Call)> {
        let State::Connecting(..) = self.by_id.get(&id)?.state else { return None };
        let PeerConnection { client, state, .. } = self.remove(id)?;
        match state {
            State::Connecting(_, call) => Some((client, call)),
            State::Pending(_) | State::Bound(_) => None,
        }
    }

    /// The client has come for its peer.
    pub(crate) fn bind(&mut self, id: PeerConnectionId, data: ClientAddr) {
        let Some(connection) = self.by_id.get_mut(&id) else { return };
        if let State::Pending(until) = connection.state {
            connection.state = State::Bound(data);
            self.by_data.insert(data, id);
            self.deadlines.remove(&(until, id));
        }
    }

    /// Tells what is removed.
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

    /// One that has waited for too long.
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

    /// Those of a client's allocation.
    pub(crate) fn of_client(
        &self,
        client: ClientAddr,
    ) -> impl Iterator<Item = (PeerConnectionId, &PeerConnection)> {
        let range = (client, PeerConnectionId(0))..=(client, PeerConnectionId(u32::MAX));
        let ids = self.by_client.range(range);
        ids.filter_map(|(_, id)| Some((*id, self.by_id.get(id)?)))
    }

    /// The one whose data this connection of a client carries.
    pub(crate) fn of_data(&self, data: ClientAddr) -> Option<PeerConnectionId> {
        self.by_data.get(&data).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }
}
