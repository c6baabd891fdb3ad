//! Revoked tokens.

use std::collections::HashMap;

use jiff::Timestamp;

/// The `jti` of revoked tokens, each with the time at which the token expires. Holds the tokens in the store, which
/// bounds their number ([`MOST_REVOCATIONS`](crate::store::MOST_REVOCATIONS)).
#[derive(Debug, Default)]
pub(super) struct Revoked(HashMap<String, Timestamp>);

impl Revoked {
    /// Adds a token until it expires, and removes those that have expired.
    pub(super) fn add(&mut self, id: String, until: Timestamp, now: Timestamp) {
        self.0.retain(|_, until| *until > now);
        let known = self.0.entry(id).or_insert(until);
        *known = until.max(*known);
    }

    /// The time until which a token is revoked; `None` if it is not.
    pub(super) fn until(&self, id: &str) -> Option<Timestamp> {
        self.0.get(id).copied()
    }

    /// Adds the stored tokens.
    pub(super) fn recall(&mut self, stored: Vec<(String, Timestamp)>) {
        self.0.extend(stored);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_what_has_expired_and_nothing_else() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut revoked = Revoked::default();
        revoked.recall(vec![("a".to_owned(), at(100)), ("b".to_owned(), at(200))]);

        revoked.add("b".to_owned(), at(150), at(99));
        revoked.add("c".to_owned(), at(300), at(100));

        let until = ["a", "b", "c"].map(|id| revoked.until(id));
        assert_eq!(until, [None, Some(at(200)), Some(at(300))]);
    }
}
