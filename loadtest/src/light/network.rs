//! A simulated bad network in front of a receiver: it loses some packets and delays all others.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::options::Conditions;

/// Decides the fate of each packet.
pub struct Network {
    conditions: Conditions,
    rng: StdRng,
}

impl Network {
    /// Creates a network. Networks with the same seed behave the same.
    pub fn new(conditions: Conditions, seed: u64) -> Network {
        Network { conditions, rng: StdRng::seed_from_u64(seed) }
    }

    /// Whether the network changes nothing.
    pub fn is_perfect(&self) -> bool {
        self.conditions == Conditions::default()
    }

    /// The time at which a packet that arrives now is received; `None` when it is lost.
    pub fn arrival_us(&mut self, now_us: u64) -> Option<u64> {
        let is_lost = self.conditions.loss > 0.0 && self.rng.random_bool(self.conditions.loss);
        (!is_lost).then_some(now_us + self.conditions.delay_us)
    }

    /// The round-trip delay that the network adds.
    pub fn round_trip_us(&self) -> u64 {
        self.conditions.delay_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_lost_and_the_rest_is_late() {
        let mut network = Network::new(Conditions { loss: 0.1, delay_us: 20_000 }, 1);
        let arrived: Vec<u64> = (0..10_000).filter_map(|now| network.arrival_us(now)).collect();

        assert!((8_800..9_200).contains(&arrived.len()), "{}", arrived.len());
        assert!(arrived[0] >= 20_000 && arrived.is_sorted());
    }

    #[test]
    fn a_perfect_one_does_nothing() {
        let mut network = Network::new(Conditions::default(), 1);
        assert!(network.is_perfect());
        assert!((0..1000).all(|now| network.arrival_us(now) == Some(now)));
    }
}
