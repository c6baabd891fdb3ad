//! Counts by key: connections by address, rooms by account.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Counts by key. A key whose count is 0 takes no memory.
#[derive(Debug)]
pub(crate) struct Tally<K>(HashMap<K, usize>);

impl<K> Default for Tally<K> {
    fn default() -> Tally<K> {
        Tally(HashMap::new())
    }
}

impl<K: Eq + Hash> Tally<K> {
    /// The count of a key.
    pub(crate) fn of<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.0.get(key).copied().unwrap_or(0)
    }

    /// Counts one more of a key.
    pub(crate) fn add(&mut self, key: K) {
        *self.0.entry(key).or_default() += 1;
    }

    /// Counts one less of a key; follows a [`Tally::add`].
    pub(crate) fn remove(&mut self, key: &K) {
        if let Some(count) = self.0.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(key);
            }
        }
    }

    /// The key with the highest count, and that count.
    pub(crate) fn highest(&self) -> Option<(&K, usize)> {
        self.0.iter().map(|(key, count)| (key, *count)).max_by_key(|(_, count)| *count)
    }

    /// Whether all counts are 0.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_removed_is_forgotten() {
        let mut tally = Tally::default();
        ["a", "b", "b"].into_iter().for_each(|key| tally.add(key));
        assert_eq!((tally.of("a"), tally.of("b"), tally.of("c")), (1, 2, 0));
        assert_eq!(tally.highest(), Some((&"b", 2)));

        ["a", "b", "b", "c"].iter().for_each(|key| tally.remove(key));

        assert!(tally.is_empty());
    }
}
