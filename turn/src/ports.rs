//! Which ports are free for relayed transport addresses.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// Free ports in the order in which they are handed out. They start shuffled, so that they can't be guessed (RFC 6056),
/// and return to the end, so that a port rests as long as possible before its next owner gets it (RFC 8656 §7.2).
#[derive(Debug)]
pub(crate) struct FreePorts {
    queue: VecDeque<u16>,
}

impl FreePorts {
    pub(crate) fn new(range: RangeInclusive<u16>, seed: u64) -> FreePorts {
        let mut ports: Vec<u16> = range.collect();
        ports.shuffle(&mut StdRng::seed_from_u64(seed));
        FreePorts { queue: ports.into() }
    }

    /// Takes a port; with `even`, an even one (RFC 8656 §18.6).
    pub(crate) fn take(&mut self, even: bool) -> Option<u16> {
        if !even {
            return self.queue.pop_front();
        }
        // Half of the ports are even: the search ends after a few steps unless they are nearly used up.
        let index = self.queue.iter().position(|port| port % 2 == 0)?;
        self.queue.remove(index)
    }

    pub(crate) fn give_back(&mut self, port: u16) {
        self.queue.push_back(port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_once_and_the_returned_one_last() {
        let mut ports = FreePorts::new(100..=103, 1);

        let first = ports.take(false).unwrap();
        ports.give_back(first);
        let order: Vec<u16> = std::iter::from_fn(|| ports.take(false)).collect();

        assert_eq!(order.last(), Some(&first));
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, [100, 101, 102, 103]);
    }

    #[test]
    fn even_ports_run_out_before_odd_ones() {
        let mut ports = FreePorts::new(100..=103, 1);

        let even: Vec<u16> = std::iter::from_fn(|| ports.take(true)).collect();

        assert!(even.iter().all(|port| port % 2 == 0));
        assert_eq!(even.len(), 2);
        assert!(ports.take(false).is_some());
    }
}
