//! The subscribed patterns, indexed so that a destination finds its matches without a look at every pattern.

use std::collections::{BTreeMap, HashMap};

use super::message::{SessionId, SubscriptionId};
use super::outbox::Outbox;

/// A tree whose edges are segments. It holds only patterns with stars, and is bounded by the table of subscriptions.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    by_segment: HashMap<String, Node>,
    /// The node below `*`.
    any: Option<Box<Node>>,
    /// The subscribers of the pattern that ends here.
    here: Subscribers,
    /// The subscribers of the pattern that ends here with `**`.
    rest: Subscribers,
}

impl Patterns {
    pub(super) fn entry(&mut self, pattern: &str) -> &mut Subscribers {
        let mut node = &mut self.root;
        for segment in pattern.split('/') {
            match segment {
                "**" => return &mut node.rest,
                "*" => node = node.any.get_or_insert_default(),
                _ => node = node.by_segment.entry(segment.to_owned()).or_default(),
            }
        }
        &mut node.here
    }

    /// Removes a subscriber, and the nodes that are empty without it.
    pub(super) fn remove(&mut self, pattern: &str, key: &SubscriberKey) {
        let segments: Vec<&str> = pattern.split('/').collect();
        self.root.remove(&segments, key);
    }

    /// Calls `each` with the subscribers of every pattern that matches the destination.
    pub(super) fn find<'a>(&'a self, destination: &str, each: &mut impl FnMut(&'a Subscribers)) {
        if !self.root.is_empty() {
            self.root.find(Some(destination), each);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.root.is_empty()
    }
}

impl Node {
    /// `left` is the rest of the destination, or `None` at its end. The recursion is as deep as the longest pattern.
    fn find<'a>(&'a self, left: Option<&str>, each: &mut impl FnMut(&'a Subscribers)) {
        if !self.rest.is_empty() {
            each(&self.rest);
        }
        let Some(left) = left else {
            if !self.here.is_empty() {
                each(&self.here);
            }
            return;
        };
        let (segment, left) = match left.split_once('/') {
            Some((segment, left)) => (segment, Some(left)),
            None => (left, None),
        };
        for node in self.by_segment.get(segment).into_iter().chain(self.any.as_deref()) {
            node.find(left, each);
        }
    }

    fn remove(&mut self, segments: &[&str], key: &SubscriberKey) {
        match segments {
            [] => {
                self.here.remove(key);
            }
            ["**", ..] => {
                self.rest.remove(key);
            }
            ["*", rest @ ..] => {
                if let Some(node) = &mut self.any {
                    node.remove(rest, key);
                    if node.is_empty() {
                        self.any = None;
                    }
                }
            }
            [segment, rest @ ..] => {
                if let Some(node) = self.by_segment.get_mut(*segment) {
                    node.remove(rest, key);
                    if node.is_empty() {
                        self.by_segment.remove(*segment);
                    }
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.here.is_empty()
            && self.rest.is_empty()
            && self.any.is_none()
            && self.by_segment.is_empty()
    }
}

pub(super) type SubscriberKey = (SessionId, SubscriptionId);

pub(super) type Subscribers = BTreeMap<SubscriberKey, Outbox>;

#[cfg(test)]
mod tests {
    use madang_wire::Pattern;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::broker::Outbox;
    use crate::broker::{SessionId, SubscriptionId};

    /// A random path of few segments, so that many match.
    fn path(random: &mut StdRng, segments: &[&str]) -> String {
        let count = random.random_range(1..5);
        (0..count)
            .map(|_| format!("/{}", segments[random.random_range(0..segments.len())]))
            .collect()
    }

    #[test]
    fn the_tree_finds_what_a_look_at_every_pattern_finds() {
        for seed in 0..200 {
            let mut random = StdRng::seed_from_u64(seed);
            let (mut tree, mut all) = (Patterns::default(), Vec::new());
            let outbox = Outbox::for_test(10, 1_000);
            for number in 0..30 {
                let text = path(&mut random, &["a", "b", "a*", "", "*", "**"]);
                let Ok(pattern) = Pattern::parse(&text) else { continue };
                if pattern.is_literal() {
                    continue;
                }
                let key = (SessionId(number), SubscriptionId(1));
                tree.entry(&text).insert(key, outbox.clone());
                all.push((pattern, key));
            }
            while !all.is_empty() {
                for _ in 0..20 {
                    let destination = path(&mut random, &["a", "b", "c", "a*", ""]);
                    let mut found = Vec::new();
                    tree.find(&destination, &mut |them| found.extend(them.keys().copied()));
                    let mut expected: Vec<_> = all
                        .iter()
                        .filter(|(pattern, _)| pattern.matches(&destination))
                        .map(|(_, key)| *key)
                        .collect();
                    found.sort();
                    expected.sort();
                    assert_eq!(found, expected, "seed {seed}, {destination}");
                }
                let (pattern, key) = all.swap_remove(random.random_range(0..all.len()));
                tree.remove(pattern.as_str(), &key);
            }
            assert!(tree.is_empty());
        }
    }
}
