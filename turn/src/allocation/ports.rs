//! The free ports for relayed transport addresses.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// Free ports, in the order in which they are handed out. They start shuffled, so that they can't be guessed (RFC
/// 6056). Returned ports go to the end, so that each rests as long as possible before it is reused (RFC 8656 §7.2).
#[derive(Debug)]
pub(crate) struct FreePorts {
    queue: VecDeque<u16>,
    /// Whether each port of the range is in the queue, starting at `first`.
    is_free: Box<[bool]>,
    first: u16,
}

/// Which kind of port a client requests (RFC 8656 §18.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortWish {
    Any,
    Even,
    /// An even port, with the next-higher port reserved.
    Pair,
}

impl FreePorts {
    pub(crate) fn new(range: RangeInclusive<u16>, seed: u64) -> FreePorts {
        let first = *range.start();
        let mut ports: Vec<u16> = range.collect();
        ports.shuffle(&mut StdRng::seed_from_u64(seed));
        FreePorts { is_free: vec![true; ports.len()].into(), queue: ports.into(), first }
    }

    /// Takes a port; with [`PortWish::Pair`], also takes the next-higher port.
    pub(crate) fn take(&mut self, wish: PortWish) -> Option<u16> {
        // Half of the ports are even, so the search takes few steps unless nearly all ports are in use.
        let index = self.queue.iter().position(|&port| match wish {
            PortWish::Any => true,
            PortWish::Even => port % 2 == 0,
            PortWish::Pair => port % 2 == 0 && self.is_free(port.wrapping_add(1)),
        })?;
        let port = self.remove(index)?;
        if wish == PortWish::Pair {
            let next = self.queue.iter().position(|&other| other == port + 1);
            next.and_then(|index| self.remove(index));
        }
        Some(port)
    }

    pub(crate) fn give_back(&mut self, port: u16) {
        if let Some(is_free) = self.is_free.get_mut(usize::from(port.wrapping_sub(self.first)))
            && !*is_free
        {
            *is_free = true;
            self.queue.push_back(port);
        }
    }

    fn is_free(&self, port: u16) -> bool {
        self.is_free.get(usize::from(port.wrapping_sub(self.first))).copied().unwrap_or(false)
    }

    fn remove(&mut self, index: usize) -> Option<u16> {
        let port = self.queue.remove(index)?;
        if let Some(is_free) = self.is_free.get_mut(usize::from(port.wrapping_sub(self.first))) {
            *is_free = false;
        }
        Some(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_once_and_the_returned_one_last() {
        let mut ports = FreePorts::new(100..=103, 1);

        let first = ports.take(PortWish::Any).unwrap();
        ports.give_back(first);
        let order: Vec<u16> = std::iter::from_fn(|| ports.take(PortWish::Any)).collect();

        assert_eq!(order.last(), Some(&first));
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, [100, 101, 102, 103]);
    }

    #[test]
    fn even_ports_run_out_before_odd_ones() {
        let mut ports = FreePorts::new(100..=103, 1);

        let even: Vec<u16> = std::iter::from_fn(|| ports.take(PortWish::Even)).collect();

        assert!(even.iter().all(|port| port % 2 == 0));
        assert_eq!(even.len(), 2);
        assert!(ports.take(PortWish::Any).is_some());
    }

    #[test]
    fn a_pair_is_an_even_port_and_the_one_behind_it() {
        let mut ports = FreePorts::new(99..=103, 1);

        let pairs: Vec<u16> = std::iter::from_fn(|| ports.take(PortWish::Pair)).collect();

        assert_eq!(pairs.len(), 2);
        assert_eq!(ports.take(PortWish::Any), Some(99));
        assert_eq!(ports.take(PortWish::Any), None);
        ports.give_back(101);
        assert_eq!(ports.take(PortWish::Pair), None, "100 is taken");
    }

    #[test]
    fn the_last_port_of_all_has_none_behind_it() {
        let mut ports = FreePorts::new(65_534..=65_534, 1);

        assert_eq!(ports.take(PortWish::Pair), None);
    }
}
