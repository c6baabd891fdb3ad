//! Counts per holder (a user or a network), with a limit.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Counts the items of each holder against a limit. A holder without items has no entry, so the map is never longer
/// than the table of the items.
#[derive(Debug)]
pub(crate) struct PerHolder<K> {
    limit: usize,
    taken: HashMap<K, usize>,
}

impl<K: Eq + Hash> PerHolder<K> {
    /// Creates empty counts; each holder may have `limit` items.
    pub(crate) fn new(limit: usize) -> PerHolder<K> {
        PerHolder { limit, taken: HashMap::new() }
    }

    /// Whether the holder has reached the limit. Callers check this before they call `take`.
    pub(crate) fn is_used_up<Q: Eq + Hash + ?Sized>(&self, holder: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.of(holder) >= self.limit
    }

    /// The number of items of the holder.
    pub(crate) fn of<Q: Eq + Hash + ?Sized>(&self, holder: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.taken.get(holder).copied().unwrap_or(0)
    }

    pub(crate) fn take(&mut self, holder: K) {
        *self.taken.entry(holder).or_insert(0) += 1;
    }

    pub(crate) fn give_back<Q: Eq + Hash + ?Sized>(&mut self, holder: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some(count) = self.taken.get_mut(holder) {
            *count -= 1;
            if *count == 0 {
                self.taken.remove(holder);
            }
        }
    }

    /// The count of each holder.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> impl Iterator<Item = usize> {
        self.taken.values().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_holder_has_a_limit_and_is_forgotten_with_the_last_share() {
        let mut counts = PerHolder::<Box<str>>::new(2);

        counts.take("minji".into());
        assert!(!counts.is_used_up("minji"));
        counts.take("minji".into());
        assert!(counts.is_used_up("minji") && !counts.is_used_up("jun"));

        counts.give_back("minji");
        counts.give_back("jun");
        assert!(!counts.is_used_up("minji"));
        counts.give_back("minji");
        assert_eq!(counts.counts().count(), 0);
    }
}
