//! Placement: which worker each peer is on.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{PeerId, RoomId};

/// Rooms and peers by worker. A room opens on the worker that has the fewest peers at the time, and stays there until
/// it has too many peers. Then it spreads to as few further workers as it needs, because each of them gets a copy of
/// every packet.
#[derive(Debug)]
pub(super) struct Placement {
    tables: Mutex<Tables>,
    /// The number of peers of a room on one worker, beyond which the room spreads.
    peers_per_worker_and_room: usize,
}

#[derive(Debug)]
struct Tables {
    rooms: HashMap<RoomId, Vec<Share>>,
    peers: HashMap<PeerId, Home>,
    /// The number of peers of each worker.
    load: Vec<usize>,
}

impl Tables {
    /// Adds a peer, which has no place yet, to a worker.
    fn put(&mut self, room: RoomId, peer: PeerId, worker: usize) {
        let shares = self.rooms.entry(room).or_default();
        match shares.iter_mut().find(|share| share.worker == worker) {
            Some(share) => share.peers += 1,
            None => shares.push(Share { worker, peers: 1 }),
        }
        self.load[worker] += 1;
        self.peers.insert(peer, Home { room, worker });
    }
}

/// The part of a room that is on one worker.
#[derive(Clone, Copy, Debug)]
struct Share {
    worker: usize,
    peers: usize,
}

#[derive(Clone, Copy, Debug)]
struct Home {
    room: RoomId,
    worker: usize,
}

/// The place of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) worker: usize,
    /// The peer had no place before.
    pub(super) is_new: bool,
}

impl Placement {
    /// Creates the tables for this many workers.
    pub(super) fn new(workers: usize, peers_per_worker_and_room: usize) -> Placement {
        let tables =
            Tables { rooms: HashMap::new(), peers: HashMap::new(), load: vec![0; workers] };
        Placement { tables: Mutex::new(tables), peers_per_worker_and_room }
    }

    /// The worker for a peer of a room; chosen if the peer is new.
    pub(super) fn place(&self, room: RoomId, peer: PeerId) -> Place {
        let mut tables = self.lock();
        if let Some(home) = tables.peers.get(&peer) {
            return Place { worker: home.worker, is_new: false };
        }
        let shares = tables.rooms.get(&room).map(Vec::as_slice).unwrap_or_default();
        let worker = self.worker_for_one_more(shares, &tables.load);
        tables.put(room, peer, worker);
        Place { worker, is_new: true }
    }

    /// The first worker that has the room and is not full of it; else, of those without the room, the one with the
    /// fewest peers; if all are full, the one with the fewest peers.
    fn worker_for_one_more(&self, shares: &[Share], load: &[usize]) -> usize {
        let limit = self.peers_per_worker_and_room;
        let quietest = |among: &dyn Fn(usize) -> bool| {
            (0..load.len()).filter(|&worker| among(worker)).min_by_key(|&worker| load[worker])
        };
        let has_it = |worker: usize| shares.iter().any(|share| share.worker == worker);
        let with_space = shares.iter().find(|share| share.peers < limit);
        with_space
            .map(|share| share.worker)
            .or_else(|| quietest(&|worker| !has_it(worker)))
            .or_else(|| quietest(&|_| true))
            .unwrap_or_default()
    }

    /// Confirms that a worker has this peer. The peer was placed there, but a message about its end may have removed
    /// the place while the offer that brought it back was on its way.
    pub(super) fn keep(&self, room: RoomId, peer: PeerId, worker: usize) {
        let mut tables = self.lock();
        if !tables.peers.contains_key(&peer) {
            tables.put(room, peer, worker);
        }
    }

    /// The worker of a peer that has been placed.
    pub(super) fn worker_of(&self, peer: PeerId) -> Option<usize> {
        self.lock().peers.get(&peer).map(|home| home.worker)
    }

    /// Forgets a peer that has ended at this worker, unless it is at another one by now.
    pub(super) fn forget_at(&self, peer: PeerId, worker: usize) {
        if self.worker_of(peer) == Some(worker) {
            self.forget(peer);
        }
    }

    /// Forgets a peer, and its room if it was the last one.
    pub(super) fn forget(&self, peer: PeerId) {
        let mut tables = self.lock();
        let Tables { rooms, peers, load } = &mut *tables;
        let Some(Home { room, worker }) = peers.remove(&peer) else { return };
        load[worker] -= 1;
        let Some(shares) = rooms.get_mut(&room) else { return };
        if let Some(share) = shares.iter_mut().find(|share| share.worker == worker) {
            share.peers -= 1;
        }
        shares.retain(|share| share.peers > 0);
        if shares.is_empty() {
            rooms.remove(&room);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_open_on_the_worker_with_the_fewest_peers_and_stay() {
        let placement = Placement::new(2, 100);
        let place = |room, peer| placement.place(RoomId(room), PeerId(peer)).worker;
        assert_eq!((place(1, 10), place(1, 11), place(1, 12)), (0, 0, 0));
        assert_eq!((place(2, 20), place(3, 30)), (1, 1));
        assert_eq!(place(1, 13), 0, "a room stays together");
        assert_eq!(place(4, 40), 1);
        assert_eq!(placement.worker_of(PeerId(12)), Some(0));
    }

    #[test]
    fn a_peer_that_leaves_makes_room() {
        let placement = Placement::new(2, 100);
        placement.place(RoomId(1), PeerId(10));
        placement.place(RoomId(2), PeerId(20));
        placement.place(RoomId(2), PeerId(21));
        placement.forget(PeerId(10));
        placement.forget(PeerId(10));
        assert_eq!(placement.worker_of(PeerId(10)), None);
        assert_eq!(placement.place(RoomId(3), PeerId(30)).worker, 0);
    }

    #[test]
    fn a_peer_is_new_only_once() {
        let placement = Placement::new(1, 100);
        assert!(placement.place(RoomId(1), PeerId(10)).is_new);
        assert!(!placement.place(RoomId(1), PeerId(10)).is_new);
    }

    #[test]
    fn an_offer_that_races_with_the_end_of_its_peer_keeps_its_place() {
        let placement = Placement::new(2, 100);
        placement.place(RoomId(1), PeerId(10));
        placement.place(RoomId(2), PeerId(20));
        assert!(!placement.place(RoomId(2), PeerId(20)).is_new, "the offer is on its way");
        placement.forget_at(PeerId(20), 1);
        placement.keep(RoomId(2), PeerId(20), 1);
        placement.keep(RoomId(2), PeerId(20), 1);
        assert_eq!(placement.worker_of(PeerId(20)), Some(1));

        placement.forget_at(PeerId(20), 0);
        assert_eq!(placement.worker_of(PeerId(20)), Some(1), "it is no longer there");
        placement.forget_at(PeerId(20), 1);
        assert_eq!(placement.place(RoomId(3), PeerId(30)).worker, 1, "it counted once");
    }

    #[test]
    fn a_large_room_takes_as_many_workers_as_it_needs() {
        let placement = Placement::new(3, 2);
        let place = |room, peer| placement.place(RoomId(room), PeerId(peer)).worker;
        assert_eq!([place(1, 10), place(1, 11)], [0, 0]);
        assert_eq!([place(2, 20), place(1, 12), place(1, 13)], [1, 2, 2]);
        assert_eq!([place(1, 14), place(1, 15)], [1, 1]);
        assert_eq!(
            place(1, 16),
            0,
            "all workers are full of the room: the one with the fewest peers"
        );
        assert_eq!(placement.worker_of(PeerId(12)), Some(2));

        placement.forget(PeerId(12));
        assert_eq!(place(1, 17), 2, "a free place before another worker");
        assert_eq!(place(1, 10), 0, "a placed peer stays");
    }

    #[test]
    fn one_worker_takes_rooms_of_any_size() {
        let placement = Placement::new(1, 2);
        let workers = (0..10).map(|peer| placement.place(RoomId(1), PeerId(peer)).worker);
        assert!(workers.eq([0; 10]));
    }
}
