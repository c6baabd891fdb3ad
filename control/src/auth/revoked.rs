//! Tokens that were taken back.

use std::collections::HashMap;

use jiff::Timestamp;

/// Revoked tokens that are remembered; one more is refused. Those that have expired are forgotten.
const MOST: usize = 100_000;

/// The `jti` of revoked tokens, until they would have expired by themselves.
#[derive(Debug, Default)]
pub(super) struct Revoked(HashMap<String, Timestamp>);

impl Revoked {
    /// Remembers a token until it expires. False: there is no room, even though the expired ones were forgotten.
    pub(super) fn add(&mut self, id: String, until: Timestamp, now: Timestamp) -> bool {
        if self.0.len() >= MOST {
            self.0.retain(|_, until| *until > now);
        }
        if self.0.len() >= MOST && !self.0.contains_key(&id) {
            return false;
        }
        let known = self.0.entry(id).or_insert(until);
        *known = until.max(*known);
        true
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_forgets_what_has_expired() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut revoked = Revoked::default();
        for n in 0..MOST {
            assert!(revoked.add(n.to_string(), at(100), at(0)));
        }

        assert!(!revoked.add("one more".to_owned(), at(200), at(99)));
        assert!(revoked.add("7".to_owned(), at(300), at(99)), "it is there already");
        assert!(revoked.add("one more".to_owned(), at(200), at(100)));
        assert!(revoked.has("7") && revoked.has("one more") && !revoked.has("8"));
    }
}
