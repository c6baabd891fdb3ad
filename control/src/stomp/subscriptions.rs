//! The subscriptions of a session, and its unacknowledged messages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use madang_wire::{Headers, Pattern, header};

use crate::broker::{Message, SubscriptionId};

/// The number of stored messages that a replay reads and sends at a time.
pub(crate) const REPLAY_PAGE: u32 = 100;
/// The maximum number of messages for a `history` header; higher values are clamped to it.
const MAX_HISTORY: u32 = 1_000;

/// The stored messages that a replay reads next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// This many of the latest messages.
    Last(u32),
    /// At most [`REPLAY_PAGE`] messages after this `seq`.
    Since(u64),
}

impl Replay {
    /// The replay that the headers of a SUBSCRIBE ask for. If both are present, `since` wins over `history`.
    ///
    /// # Errors
    /// A text for the client, when the header is not a number.
    pub(super) fn of(headers: &Headers) -> Result<Option<Replay>, String> {
        if let Some(since) = headers.get(header::SINCE) {
            let seq = since.parse().map_err(|_| format!("since: {since:?} is not a number"))?;
            return Ok(Some(Replay::Since(seq)));
        }
        let Some(history) = headers.get(header::HISTORY) else {
            return Ok(None);
        };
        let count: u32 =
            history.parse().map_err(|_| format!("history: {history:?} is not a number"))?;
        Ok((count > 0).then_some(Replay::Last(count.min(MAX_HISTORY))))
    }
}

/// How the client acknowledges the messages of a subscription (STOMP 1.2, "SUBSCRIBE ack Header").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckMode {
    Auto,
    /// An ACK covers all messages of the subscription up to and including the one it names.
    Client,
    ClientIndividual,
}

impl AckMode {
    pub(super) fn parse(value: Option<&str>) -> Option<AckMode> {
        match value {
            None | Some("auto") => Some(AckMode::Auto),
            Some("client") => Some(AckMode::Client),
            Some("client-individual") => Some(AckMode::ClientIndividual),
            Some(_) => None,
        }
    }
}

/// One subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    /// The `id` that the client gave it; a 1.0 client may omit it.
    pub(super) name: Option<String>,
    /// The first header lines of a MESSAGE that needs no ACK ([`Broadcast::head`](madang_wire::Broadcast::head)).
    pub(super) head: Bytes,
    pub(super) pattern: Pattern,
    /// Whether its destination is below `/user`; then only this session knows it, not the broker.
    pub(super) is_private: bool,
    pub(super) ack: AckMode,
    pub(super) gate: Gate,
}

/// Decides which live messages a subscription gets. Between a replay and the live messages there must be no gap and no
/// duplicate.
///
/// ```text
/// subscribed ─▶ Replaying: a live message is held back; it only announces that it is stored
///                  │  page after page, until a read that began after the last announcement
///                  ▼
///               Open: live messages pass, except those that the replay already sent
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open {
        /// The replay ended at this `seq`.
        after: u64,
    },
    Replaying {
        /// The highest `seq` sent.
        sent: u64,
        /// The highest `seq` of a live message that was held back.
        announced: u64,
        /// The value of `announced` when the current read began.
        announced_before: u64,
    },
}

impl Gate {
    pub(super) fn of(replay: Option<Replay>) -> Gate {
        match replay {
            None => Gate::Open { after: 0 },
            Some(Replay::Last(_)) => Gate::replaying(0),
            Some(Replay::Since(seq)) => Gate::replaying(seq),
        }
    }

    fn replaying(sent: u64) -> Gate {
        Gate::Replaying { sent, announced: 0, announced_before: 0 }
    }

    /// Whether a live message passes.
    pub(super) fn lets_pass(&mut self, seq: Option<u64>) -> bool {
        let Some(seq) = seq else { return true };
        match self {
            Gate::Open { after } => seq > *after,
            Gate::Replaying { announced, .. } => {
                *announced = seq.max(*announced);
                false
            }
        }
    }

    /// Records that stored messages up to `last` were sent; returns what to read next, if anything. `is_full` says that
    /// the read returned a full page.
    pub(super) fn replayed(&mut self, last: Option<u64>, is_full: bool) -> Option<Replay> {
        let Gate::Replaying { sent, announced, announced_before } = self else {
            return None;
        };
        *sent = last.unwrap_or(0).max(*sent);
        // A message is stored before it is announced. If a read that began later did not return it, this session may
        // not see it, and waiting for it would never end.
        let missed_some = announced > announced_before && announced > sent;
        *announced_before = *announced;
        if is_full || missed_some {
            return Some(Replay::Since(*sent));
        }
        *self = Gate::Open { after: *sent };
        None
    }

    /// Aborts a replay; live messages pass from here on.
    pub(super) fn open(&mut self) {
        if let Gate::Replaying { sent, .. } = *self {
            *self = Gate::Open { after: sent };
        }
    }
}

/// The subscriptions of a session by id; bounded by `Limits::subscriptions`.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// Boxed, because a B-tree node allocates space for eleven entries at once, and most sessions have one or two.
    by_id: BTreeMap<SubscriptionId, Box<Subscription>>,
    /// The number of subscriptions below `/user`.
    private: usize,
    last_id: u64,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The number of subscriptions below `/user`.
    pub(super) fn private_len(&self) -> usize {
        self.private
    }

    pub(super) fn add(&mut self, subscription: Subscription) -> SubscriptionId {
        self.last_id += 1;
        let id = SubscriptionId(self.last_id);
        self.private += usize::from(subscription.is_private);
        self.by_id.insert(id, Box::new(subscription));
        id
    }

    pub(super) fn remove(&mut self, id: SubscriptionId) -> Option<Subscription> {
        let removed = self.by_id.remove(&id)?;
        self.private -= usize::from(removed.is_private);
        Some(*removed)
    }

    pub(super) fn get_mut(&mut self, id: SubscriptionId) -> Option<&mut Subscription> {
        self.by_id.get_mut(&id).map(Box::as_mut)
    }

    /// Finds the subscription with this client id, or without an id (1.0 clients) the unnamed one to this destination.
    pub(super) fn find(
        &self,
        name: Option<&str>,
        destination: Option<&str>,
    ) -> Option<SubscriptionId> {
        let found = self.by_id.iter().find(|(_, subscription)| match name {
            Some(name) => subscription.name.as_deref() == Some(name),
            None => {
                subscription.name.is_none() && Some(subscription.pattern.as_str()) == destination
            }
        });
        found.map(|(id, _)| *id)
    }

    /// The private subscriptions that match this destination, oldest first.
    pub(super) fn private(&self, destination: &str) -> Vec<SubscriptionId> {
        self.by_id
            .iter()
            .filter(|(_, them)| them.is_private && them.pattern.matches(destination))
            .map(|(id, _)| *id)
            .collect()
    }
}

/// A message that was sent and waits for its ACK or NACK.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    /// The `ack` header of its MESSAGE.
    pub(super) number: u64,
    pub(super) subscription: SubscriptionId,
    pub(super) message: Arc<Message>,
}

/// The messages that wait for ACK or NACK, oldest first. The session bounds their number and bytes.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: VecDeque<Unacknowledged>,
    bytes: usize,
    last_number: u64,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a message; returns its number.
    pub(super) fn add(&mut self, subscription: SubscriptionId, message: &Arc<Message>) -> u64 {
        self.last_number += 1;
        self.bytes += message.weight();
        let (number, message) = (self.last_number, Arc::clone(message));
        self.waiting.push_back(Unacknowledged { number, subscription, message });
        self.last_number
    }

    /// Finds the message that an ACK or NACK names: by its number (1.2), or by message and subscription (1.1, 1.0).
    pub(super) fn find(
        &self,
        is_it: impl Fn(&Unacknowledged) -> bool,
    ) -> Option<(u64, SubscriptionId)> {
        self.waiting.iter().find(|one| is_it(one)).map(|one| (one.number, one.subscription))
    }

    /// Removes and returns the messages that match `is_meant`.
    pub(super) fn take(&mut self, is_meant: impl Fn(&Unacknowledged) -> bool) -> Vec<Arc<Message>> {
        let (taken, kept): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(is_meant);
        self.waiting = kept;
        let taken: Vec<_> = taken.into_iter().map(|one| one.message).collect();
        self.bytes -= taken.iter().map(|message| message.weight()).sum::<usize>();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_goes_on_while_pages_are_full() {
        let mut gate = Gate::of(Some(Replay::Since(5)));

        assert_eq!(gate.replayed(Some(105), true), Some(Replay::Since(105)));
        assert_eq!(gate.replayed(Some(110), false), None);
        assert_eq!(gate, Gate::Open { after: 110 });
    }

    #[test]
    fn what_is_published_during_a_replay_is_neither_lost_nor_repeated() {
        let mut gate = Gate::of(Some(Replay::Last(10)));

        assert!(!gate.lets_pass(Some(7)));
        assert!(!gate.lets_pass(Some(8)));
        // The read saw message 7 but began too early for 8.
        assert_eq!(gate.replayed(Some(7), false), Some(Replay::Since(7)));
        assert_eq!(gate.replayed(Some(8), false), None);

        assert!(!gate.lets_pass(Some(8)));
        assert!(gate.lets_pass(Some(9)));
    }

    #[test]
    fn a_message_that_the_store_does_not_show_does_not_hold_up_the_rest() {
        let mut gate = Gate::of(Some(Replay::Last(10)));
        assert!(!gate.lets_pass(Some(3)));

        assert_eq!(gate.replayed(Some(2), false), Some(Replay::Since(2)));
        assert_eq!(gate.replayed(None, false), None);
        assert!(gate.lets_pass(Some(4)));
    }

    #[test]
    fn replay_headers_must_be_numbers() {
        let of = |name: &str, value: &str| Replay::of(&[(name, value)].into_iter().collect());

        assert_eq!(of("history", "20"), Ok(Some(Replay::Last(20))));
        assert_eq!(of("history", "4000000000"), Ok(Some(Replay::Last(MAX_HISTORY))));
        assert_eq!(of("history", "0"), Ok(None));
        assert_eq!(of("since", "17"), Ok(Some(Replay::Since(17))));
        assert!(of("since", "-1").is_err());
        assert!(of("history", "many").is_err());
    }
}
