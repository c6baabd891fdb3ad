//! Which of a session's subscriptions, transactions and messages belong to the external broker.

use std::collections::HashSet;

/// The part of a session's memory that says where a frame without destination goes. Bounded by `Limits::subscriptions`
/// and by the number of open transactions.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    subscriptions: Vec<Outside>,
    /// Open transactions of which the broker knows.
    transactions: HashSet<String>,
    last_unnamed: u64,
}

#[derive(Debug)]
struct Outside {
    /// The client's id for it; a 1.0 client may have none.
    name: Option<String>,
    destination: String,
    /// The id that the broker hears.
    id: String,
}

impl Routes {
    pub(crate) fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// Whether the client has such a subscription; of a 1.0 client's without a name, one to that destination.
    pub(crate) fn has(&self, name: Option<&str>, destination: Option<&str>) -> bool {
        self.find(name, destination).is_some()
    }

    /// Notes a subscription; returns the id that the broker hears: the client's, if it has one.
    pub(crate) fn subscribe(&mut self, name: Option<&str>, destination: &str) -> String {
        let id = match name {
            Some(name) => name.to_owned(),
            None => self.unused_id(),
        };
        let (name, destination) = (name.map(str::to_owned), destination.to_owned());
        self.subscriptions.push(Outside { name, destination, id: id.clone() });
        id
    }

    /// Forgets a subscription; returns the id that the broker knows.
    pub(crate) fn unsubscribe(
        &mut self,
        name: Option<&str>,
        destination: Option<&str>,
    ) -> Option<String> {
        let index = self.find(name, destination)?;
        Some(self.subscriptions.swap_remove(index).id)
    }

    /// Notes that a transaction has something for the broker; whether that is new.
    pub(crate) fn begin(&mut self, transaction: &str) -> bool {
        !self.transactions.contains(transaction) && self.transactions.insert(transaction.to_owned())
    }

    /// Forgets a transaction; whether the broker knows it.
    pub(crate) fn end(&mut self, transaction: &str) -> bool {
        self.transactions.remove(transaction)
    }

    fn find(&self, name: Option<&str>, destination: Option<&str>) -> Option<usize> {
        self.subscriptions.iter().position(|one| match name {
            Some(name) => one.name.as_deref() == Some(name),
            None => one.name.is_none() && Some(one.destination.as_str()) == destination,
        })
    }

    fn unused_id(&mut self) -> String {
        loop {
            self.last_unnamed += 1;
            let id = format!("unnamed-{}", self.last_unnamed);
            if self.subscriptions.iter().all(|one| one.id != id) {
                return id;
            }
        }
    }
}

/// The `ack` header that a client sees on a broker's message awaiting an ACK: which connection to the broker brought it, and
/// the broker's own id. The server's own messages have numbers or ids that do not look so.
pub(super) fn ack_id(connection: u64, id: &str) -> String {
    format!("relay{connection}-{id}")
}

/// The parts of an [`ack_id`]; `None` when it is not one.
pub(crate) fn parse_ack_id(text: &str) -> Option<(u64, &str)> {
    let (connection, id) = text.strip_prefix("relay")?.split_once('-')?;
    Some((connection.parse().ok()?, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_passed_on_and_a_missing_one_is_made() {
        let mut routes = Routes::default();

        assert_eq!(routes.subscribe(Some("unnamed-1"), "/topic/a"), "unnamed-1");
        assert_eq!(routes.subscribe(None, "/topic/b"), "unnamed-2");

        assert!(routes.has(None, Some("/topic/b")) && !routes.has(None, Some("/topic/a")));
        assert_eq!(routes.unsubscribe(None, Some("/topic/b")).as_deref(), Some("unnamed-2"));
        assert_eq!(routes.unsubscribe(Some("unnamed-1"), None).as_deref(), Some("unnamed-1"));
        assert_eq!(routes.unsubscribe(Some("unnamed-1"), None), None);
    }

    #[test]
    fn a_transaction_begins_once_at_the_broker() {
        let mut routes = Routes::default();

        assert!(routes.begin("t") && !routes.begin("t"));
        assert!(routes.end("t") && !routes.end("t"));
    }

    #[test]
    fn ack_ids_are_not_taken_for_others() {
        assert_eq!(parse_ack_id(&ack_id(3, "ID:a-1")), Some((3, "ID:a-1")));
        for other in ["17", "m-3", "relay", "relay-1", "relayx-1", ""] {
            assert_eq!(parse_ack_id(other), None, "{other}");
        }
    }
}
