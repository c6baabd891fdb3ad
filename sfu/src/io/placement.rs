//! Which worker a room lives on.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{PeerId, RoomId};

/// Rooms and peers by worker. A room stays where its first peer put it: on the worker that then had the fewest peers.
#[derive(Debug)]
pub(super) struct Placement {
    tables: Mutex<Tables>,
}

#[derive(Debug)]
struct Tables {
    rooms: HashMap<RoomId, Home>,
    peers: HashMap<PeerId, RoomId>,
    /// Peers of each worker.
    load: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Home {
    worker: usize,
    peers: usize,
}

/// Where a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) worker: usize,
    /// The peer was not placed before.
    pub(super) is_new: bool,
}

impl Placement {
    /// For so many workers, all empty.
    pub(super) fn new(workers: usize) -> Placement {
        let tables =
            Tables { rooms: HashMap::new(), peers: HashMap::new(), load: vec![0; workers] };
        Placement { tables: Mutex::new(tables) }
    }

    /// The worker for a peer of a room.
    pub(super) fn place(&self, room: RoomId, peer: PeerId) -> Place {
        let mut tables = self.lock();
        let Tables { rooms, peers, load } = &mut *tables;
        let room = *peers.get(&peer).unwrap_or(&room);
        let quietest = (0..load.len()).min_by_key(|&worker| load[worker]).unwrap_or_default();
        let home = rooms.entry(room).or_insert(Home { worker: quietest, peers: 0 });
        let is_new = peers.insert(peer, room).is_none();
        if is_new {
            home.peers += 1;
            load[home.worker] += 1;
        }
        Place { worker: home.worker, is_new }
    }

    /// The worker of a peer that was placed.
    pub(super) fn worker_of(&self, peer: PeerId) -> Option<usize> {
        let tables = self.lock();
        let room = tables.peers.get(&peer)?;
        tables.rooms.get(room).map(|home| home.worker)
    }

    /// A peer is gone; its room too, if it was the last one.
    pub(super) fn forget(&self, peer: PeerId) {
        let mut tables = self.lock();
        let Tables { rooms, peers, load } = &mut *tables;
        let Some(room) = peers.remove(&peer) else { return };
        let Some(home) = rooms.get_mut(&room) else { return };
        home.peers -= 1;
        load[home.worker] -= 1;
        if home.peers == 0 {
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
    fn rooms_go_where_the_fewest_peers_are_and_stay() {
        let placement = Placement::new(2);
        let place = |room, peer| placement.place(RoomId(room), PeerId(peer)).worker;
        assert_eq!((place(1, 10), place(1, 11), place(1, 12)), (0, 0, 0));
        assert_eq!((place(2, 20), place(3, 30)), (1, 1));
        assert_eq!(place(1, 13), 0, "a room stays together");
        assert_eq!(place(4, 40), 1);
        assert_eq!(placement.worker_of(PeerId(12)), Some(0));
    }

    #[test]
    fn who_leaves_makes_room() {
        let placement = Placement::new(2);
        placement.place(RoomId(1), PeerId(10));
        placement.place(RoomId(2), PeerId(20));
        placement.place(RoomId(2), PeerId(21));
        placement.forget(PeerId(10));
        placement.forget(PeerId(10));
        assert_eq!(placement.worker_of(PeerId(10)), None);
        assert_eq!(placement.place(RoomId(3), PeerId(30)).worker, 0);
    }

    #[test]
    fn a_peer_is_new_once() {
        let placement = Placement::new(1);
        assert!(placement.place(RoomId(1), PeerId(10)).is_new);
        assert!(!placement.place(RoomId(1), PeerId(10)).is_new);
    }
}
