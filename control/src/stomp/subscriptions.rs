//! What a session subscribed to, and what it has not acknowledged yet.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use madang_wire::{Headers, Pattern, header};

use crate::broker::{Message, SubscriptionId};

/// Stored messages that are read and sent at a time during a replay.
pub(crate) const REPLAY_PAGE: u32 = 100;
/// The most that a `history` header gets; a higher number means this one.
const MAX_HISTORY: u32 = 1_000;

/// Which stored messages a replay wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// The last so many.
    Last(u32),
    /// Those after this `seq`, [`REPLAY_PAGE`] of them.
    Since(u64),
}

impl Replay {
    /// What the headers of a SUBSCRIBE ask for; `since` counts when both are there. An `Err` is a text for the client.
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

/// How messages of a subscription are acknowledged (STOMP 1.2, "SUBSCRIBE ack Header").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckMode {
    Auto,
    /// An ACK is for all messages of the subscription up to that one.
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
    /// The client's id for it; a 1.0 client may have none.
    pub(super) name: Option<String>,
    /// How its MESSAGEs begin that need no ACK.
    pub(super) head: Bytes,
    pub(super) pattern: Pattern,
    /// Below `/user`: known to this session alone, not to the broker.
    pub(super) is_private: bool,
    pub(super) ack: AckMode,
    pub(super) gate: Gate,
}

/// Whether live messages pass. A replay must leave no gap before them, and repeat none.
///
/// ```text
/// subscribed ─▶ Replaying: live messages only announce that they are stored
///                  │  page after page, until a read that began after the last announcement
///                  ▼
///               Open: live messages pass, unless the replay had them
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open {
        /// The replay went up to this `seq`.
        after: u64,
    },
    Replaying {
        /// The highest `seq` sent.
        sent: u64,
        /// The highest `seq` of a live message that was held back.
        announced: u64,
        /// What `announced` was when the present read began.
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

    /// Takes note that stored messages up to `last` were sent; says what to read next, if anything. `is_full`: the read
    /// returned as many as it was allowed to.
    pub(super) fn replayed(&mut self, last: Option<u64>, is_full: bool) -> Option<Replay> {
        let Gate::Replaying { sent, announced, announced_before } = self else {
            return None;
        };
        *sent = last.unwrap_or(0).max(*sent);
        // A message is stored before it is announced. One that a read begun later did not return is not for this
        // session's eyes, and waiting for it would never end.
        let missed_some = announced > announced_before && announced > sent;
        *announced_before = *announced;
        if is_full || missed_some {
            return Some(Replay::Since(*sent));
        }
        *self = Gate::Open { after: *sent };
        None
    }

    /// Gives a replay up.
    pub(super) fn open(&mut self) {
        if let Gate::Replaying { sent, .. } = *self {
            *self = Gate::Open { after: sent };
        }
    }
}

/// The subscriptions of a session by their numbers; bounded by `Limits::subscriptions`.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// In boxes, because a tree has room for eleven from the first on, and most sessions have one or two.
    by_id: BTreeMap<SubscriptionId, Box<Subscription>>,
    /// How many of them are below `/user`.
    private: usize,
    last_id: u64,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// How many of them are below `/user`.
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

    /// The subscription that the client calls so; of a 1.0 client's without a name, the one to that destination.
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

    /// The private subscriptions that mean this destination, oldest first.
    pub(super) fn private(&self, destination: &str) -> Vec<SubscriptionId> {
        self.by_id
            .iter()
            .filter(|(_, them)| them.is_private && them.pattern.matches(destination))
            .map(|(id, _)| *id)
            .collect()
    }
}

/// A message that waits for its ACK or NACK.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    /// The `ack` header of its MESSAGE.
    pub(super) number: u64,
    pub(super) subscription: SubscriptionId,
    pub(super) message: Arc<Message>,
}

/// What waits for ACK or NACK, oldest first. Bounded in messages and bytes by the session.
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
        self.bytes += message.body.len();
        let (number, message) = (self.last_number, Arc::clone(message));
        self.waiting.push_back(Unacknowledged { number, subscription, message });
        self.last_number
    }

    /// Which message an ACK or NACK names: by its number (1.2), or by message and subscription (1.1, 1.0).
    pub(super) fn find(
        &self,
        is_it: impl Fn(&Unacknowledged) -> bool,
    ) -> Option<(u64, SubscriptionId)> {
        self.waiting.iter().find(|one| is_it(one)).map(|one| (one.number, one.subscription))
    }

    /// Takes out what `is_meant`.
    pub(super) fn take(&mut self, is_meant: impl Fn(&Unacknowledged) -> bool) -> Vec<Arc<Message>> {
        let (taken, kept): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(is_meant);
        self.waiting = kept;
        let taken: Vec<_> = taken.into_iter().map(|one| one.message).collect();
        self.bytes -= taken.iter().map(|message| message.body.len()).sum::<usize>();
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
        // The read saw 7 but began too early for 8.
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
