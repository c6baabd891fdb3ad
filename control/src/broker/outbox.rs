//! What waits to be sent to one client.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use super::parcel::Parcel;
use super::slow::Policies;
use crate::limits::Limits;

/// Below so many parcels nobody looks whether one replaces another.
const FEW: usize = 64;

/// The bounded queue towards one connection. Clones are the same queue.
///
/// Who puts something in never waits. When the client reads too slowly, messages that a later one replaces go first,
/// then the oldest of those that may be lost ([`Policies`]). When that makes no room worth having, the queue is emptied of
/// all but messages of queues, which somebody else can have, takes nothing more, and the connection ends.
#[derive(Clone, Debug)]
pub(crate) struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something happened that the connection has not looked at.
    changed: AtomicBool,
    /// What the session may do was taken back.
    is_revoked: AtomicBool,
    /// The one connection.
    waker: AtomicWaker,
    max_messages: usize,
    max_bytes: usize,
    policies: Policies,
}

#[derive(Debug, Default)]
struct Queue {
    parcels: VecDeque<Parcel>,
    bytes: usize,
    /// Receipts that somebody still holds.
    owed: usize,
    state: State,
    /// At so many parcels it is looked whether one replaces another.
    tidy_at: usize,
    discarded: Discarded,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Open,
    Overflowed(Limit),
    Closed,
}

/// What of the limits was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Messages,
    Bytes,
}

/// Messages that a slow client was not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Discarded {
    /// A later one took their place.
    pub(crate) coalesced: u64,
    /// They were the oldest.
    pub(crate) dropped: u64,
}

impl Outbox {
    /// An empty queue.
    pub(crate) fn new(limits: &Limits) -> Outbox {
        let queue = Queue { tidy_at: FEW, ..Queue::default() };
        Outbox(Arc::new(Shared {
            queue: Mutex::new(queue),
            changed: AtomicBool::new(false),
            is_revoked: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            max_messages: limits.outbox_messages,
            max_bytes: limits.outbox_bytes,
            policies: Policies { state: limits.slow_room_state, topics: limits.slow_topics },
        }))
    }

    /// One for at most so many messages and bytes.
    #[cfg(test)]
    pub(crate) fn for_test(outbox_messages: usize, outbox_bytes: usize) -> Outbox {
        Outbox::new(&Limits { outbox_messages, outbox_bytes, ..Limits::default() })
    }

    /// Puts a parcel at the end. `false` when it is not taken, because the session is over. After an overflow, messages
    /// of queues are taken until [`Outbox::close`], so that they stay in order; the connection is about to do that, and
    /// nothing is taken beyond twice the limits.
    pub(crate) fn push(&self, parcel: Parcel) -> bool {
        let mut queue = self.lock();
        match queue.state {
            State::Open => {}
            State::Overflowed(_) if parcel.is_queued() && self.0.has_twice_the_room(&queue) => {}
            State::Overflowed(_) | State::Closed => return false,
        }
        queue.bytes += parcel.weight();
        queue.parcels.push_back(parcel);
        if queue.state == State::Open {
            self.0.make_room(&mut queue);
        }
        drop(queue);
        self.wake();
        true
    }

    /// Takes parcels, at most so many and hardly more bytes; none after an overflow. Says what was discarded since the last
    /// call.
    pub(crate) fn take(&self, most: usize, bytes: usize, into: &mut Vec<Parcel>) -> Discarded {
        let mut queue = self.lock();
        if queue.state == State::Open {
            let left = queue.bytes.saturating_sub(bytes);
            while into.len() < most && (queue.bytes > left || bytes == usize::MAX) {
                let Some(parcel) = queue.parcels.pop_front() else { break };
                queue.bytes -= parcel.weight();
                into.push(parcel);
            }
            if queue.parcels.is_empty() && queue.parcels.capacity() > FEW {
                queue.parcels = VecDeque::new();
                queue.tidy_at = FEW;
            }
        }
        std::mem::take(&mut queue.discarded)
    }

    /// Takes the first parcel.
    #[cfg(test)]
    pub(crate) fn pop(&self) -> Option<Parcel> {
        let mut parcels = Vec::new();
        self.take(1, usize::MAX, &mut parcels);
        parcels.pop()
    }

    /// Ready when something may have changed since it last was. Only one task may wait.
    pub(crate) fn poll_changed(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Registered first: what is announced in between wakes.
        if !self.0.changed.load(Relaxed) {
            self.0.waker.register(cx.waker());
        }
        if self.0.changed.swap(false, AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Makes the connection look again, unless it has been woken and has not looked yet.
    pub(crate) fn wake(&self) {
        if !self.0.changed.swap(true, AcqRel) {
            self.0.waker.wake();
        }
    }

    /// Ends the session, whatever waits in the queue: a client that reads nothing must not keep its rights.
    pub(crate) fn revoke(&self) {
        self.0.is_revoked.store(true, Relaxed);
        self.wake();
    }

    /// Whether the session is to end so.
    pub(crate) fn is_revoked(&self) -> bool {
        self.0.is_revoked.load(Relaxed)
    }

    /// Whether the client was too slow, and which limit it ran into.
    pub(crate) fn overflow(&self) -> Option<Limit> {
        match self.lock().state {
            State::Overflowed(limit) => Some(limit),
            State::Open | State::Closed => None,
        }
    }

    /// Whether parcels wait.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().parcels.is_empty()
    }

    /// Whether a [`Receipt`] is still held by somebody.
    pub(crate) fn owes_receipts(&self) -> bool {
        self.lock().owed > 0
    }

    /// Notes that a receipt is owed.
    pub(super) fn owe(&self) {
        self.lock().owed += 1;
    }

    /// Notes that a receipt is owed no longer; follows an [`Outbox::owe`].
    pub(super) fn settle(&self) {
        self.lock().owed -= 1;
    }

    /// Takes nothing more from here on; returns what nobody has taken.
    pub(crate) fn close(&self) -> VecDeque<Parcel> {
        let mut queue = self.lock();
        queue.bytes = 0;
        queue.state = State::Closed;
        std::mem::take(&mut queue.parcels)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic between two fields' updates leaves at worst a wrong byte count.
        self.0.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Shared {
    fn has_twice_the_room(&self, queue: &Queue) -> bool {
        queue.parcels.len() / 2 < self.max_messages && queue.bytes / 2 < self.max_bytes
    }

    /// Sees to it that the queue is within its limits.
    fn make_room(&self, queue: &mut Queue) {
        if queue.parcels.len() >= queue.tidy_at {
            queue.coalesce(self.policies);
            // Each time twice as late as before, so that looking costs little however long the queue is.
            queue.tidy_at = FEW.max(2 * queue.parcels.len());
        }
        let limit = match () {
            () if queue.parcels.len() > self.max_messages => Limit::Messages,
            () if queue.bytes > self.max_bytes => Limit::Bytes,
            () => return,
        };
        queue.coalesce(self.policies);
        // To three quarters: less would have to be done again at every message.
        let (messages, bytes) = (self.max_messages / 4 * 3, self.max_bytes / 4 * 3);
        let (mut left, mut left_bytes) = (queue.parcels.len(), queue.bytes);
        let dropped = self.policies.drop_oldest(&mut queue.parcels, |gone| {
            left -= usize::from(gone.is_some());
            left_bytes -= gone.map_or(0, Parcel::weight);
            left > messages || left_bytes > bytes
        });
        queue.discarded.dropped += dropped;
        queue.bytes = left_bytes;
        if left > messages || left_bytes > bytes {
            queue.overflow(limit);
        }
    }
}

impl Queue {
    fn coalesce(&mut self, policies: Policies) {
        let gone = policies.coalesce(&mut self.parcels);
        if gone > 0 {
            self.discarded.coalesced += gone;
            self.bytes = self.parcels.iter().map(Parcel::weight).sum();
        }
    }

    fn overflow(&mut self, limit: Limit) {
        self.state = State::Overflowed(limit);
        self.parcels.retain(Parcel::is_queued);
        self.parcels.shrink_to_fit();
        self.bytes = self.parcels.iter().map(Parcel::weight).sum();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use madang_wire::Headers;

    use super::*;
    use crate::broker::{Kind, Message, Receipt, SubscriptionId};
    use crate::limits::SlowPolicy;

    #[test]
    fn parcels_leave_in_the_order_they_came() {
        let outbox = Outbox::for_test(10, 10_000);
        outbox.push(Parcel::Receipt("a".into()));
        outbox.push(Parcel::Receipt("b".into()));

        assert_eq!(outbox.pop(), Some(Parcel::Receipt("a".into())));
        assert_eq!(outbox.pop(), Some(Parcel::Receipt("b".into())));
        assert_eq!(outbox.pop(), None);
    }

    #[test]
    fn too_many_messages_empty_it_for_good() {
        let outbox = Outbox::for_test(2, 10_000);
        for _ in 0..3 {
            outbox.push(Parcel::Receipt("r".into()));
        }

        assert!(outbox.overflow().is_some());
        outbox.push(Parcel::Receipt("r".into()));
        assert_eq!(outbox.pop(), None);
    }

    #[test]
    fn messages_of_queues_are_left_for_others() {
        let outbox = Outbox::for_test(4, 10_000);
        let message = |destination| {
            let message = Message::new(destination, Headers::new(), Bytes::new());
            Parcel::Subscribed(SubscriptionId(1), Arc::new(message))
        };
        for destination in ["/topic/a", "/queue/a", "/topic/a", "/queue/b", "/topic/a"] {
            outbox.push(message(destination));
        }
        assert!(outbox.overflow().is_some());

        let left = outbox.close();

        let destinations = left.iter().map(|parcel| match parcel {
            Parcel::Subscribed(_, message) => message.destination.as_str(),
            other => panic!("{other:?}"),
        });
        assert_eq!(destinations.collect::<Vec<_>>(), ["/queue/a", "/queue/b"]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn too_many_bytes_empty_it_for_good() {
        let outbox = Outbox::for_test(100, 1_000);
        outbox.push(Parcel::Receipt("x".repeat(1_000)));

        assert!(outbox.overflow().is_some());
    }

    #[test]
    fn what_left_makes_room() {
        let outbox = Outbox::for_test(1, 10_000);
        for _ in 0..5 {
            outbox.push(Parcel::Receipt("r".into()));
            assert!(outbox.pop().is_some());
        }

        assert!(outbox.overflow().is_none());
    }

    #[test]
    fn a_receipt_is_sent_when_the_last_holder_lets_go() {
        let outbox = Outbox::for_test(10, 10_000);
        let receipt = Receipt::new("r-1".into(), &outbox);
        let other = receipt.clone();

        drop(receipt);
        assert!(outbox.is_empty());
        assert!(outbox.owes_receipts());
        drop(other);

        assert_eq!(outbox.pop(), Some(Parcel::Receipt("r-1".into())));
        assert!(!outbox.owes_receipts());
    }

    #[test]
    fn a_receipt_that_requires_success_is_not_sent_without() {
        let outbox = Outbox::for_test(10, 10_000);
        let receipt = Receipt::new("r-1".into(), &outbox);
        receipt.require_success();
        drop(receipt);

        assert!(outbox.is_empty());
        assert!(!outbox.owes_receipts());
    }

    #[test]
    fn a_receipt_for_two_messages_requires_both_to_succeed() {
        for successes in 0..=2 {
            let outbox = Outbox::for_test(10, 10_000);
            let receipt = Receipt::new("r-1".into(), &outbox);
            receipt.require_success();
            receipt.require_success();
            (0..successes).for_each(|_| receipt.succeed());
            drop(receipt);

            assert_eq!(outbox.is_empty(), successes < 2, "{successes}");
        }
    }

    #[test]
    fn a_later_state_replaces_an_earlier_one_of_the_same_thing() {
        let outbox = Outbox::for_test(1_000, 1_000_000);
        let state = |thing: &str, body: String| message(Kind::State(thing.into()), body);
        outbox.push(message(Kind::Needed, "first".to_owned()));
        for number in 0..500 {
            outbox.push(state("speakers", format!("s{number}")));
            outbox.push(state("room", format!("r{number}")));
        }

        let (bodies, discarded) = drain(&outbox);

        assert_eq!(bodies[0], "first");
        assert!(bodies.len() < 2 * FEW, "{}", bodies.len());
        assert_eq!(bodies[bodies.len() - 2..], ["s499", "r499"]);
        assert_eq!(discarded.coalesced as usize + bodies.len(), 1_001);
        assert_eq!(discarded.dropped, 0);
    }

    #[test]
    fn the_oldest_of_a_topic_make_room_and_nothing_else_is_lost() {
        let limits = Limits {
            outbox_messages: 100,
            slow_topics: SlowPolicy::DropOldest,
            ..Limits::default()
        };
        let outbox = Outbox::new(&limits);
        for number in 0..50 {
            outbox.push(message(Kind::Needed, format!("n{number}")));
        }
        for number in 0..1_000 {
            outbox.push(message(Kind::Topic, format!("t{number}")));
        }

        let (bodies, discarded) = drain(&outbox);

        assert_eq!(bodies.iter().filter(|body| body.starts_with('n')).count(), 50);
        assert_eq!(bodies.last().map(String::as_str), Some("t999"));
        assert!(bodies.len() <= 100);
        assert_eq!(discarded.dropped as usize + bodies.len(), 1_050);
        // In their order, without holes between them.
        let first: usize = bodies[50][1..].parse().unwrap();
        assert_eq!(bodies[50..], (first..1_000).map(|n| format!("t{n}")).collect::<Vec<_>>());
    }

    #[test]
    fn what_must_not_be_lost_ends_the_connection() {
        let outbox = Outbox::for_test(1_000, 10_000);
        for _ in 0..100 {
            outbox.push(message(Kind::Needed, "x".repeat(1_000)));
        }

        assert_eq!(outbox.overflow(), Some(Limit::Bytes));
        assert_eq!(drain(&outbox).0.len(), 0);
    }

    #[test]
    fn a_queue_that_is_empty_again_gives_its_memory_back() {
        let outbox = Outbox::for_test(10_000, 10_000_000);
        for _ in 0..5_000 {
            outbox.push(message(Kind::Needed, String::new()));
        }

        drain(&outbox);

        assert!(outbox.lock().parcels.capacity() <= FEW);
    }

    fn message(kind: Kind, body: String) -> Parcel {
        let message = Message::json("/topic/a", body.into()).of_kind(kind);
        Parcel::Subscribed(SubscriptionId(1), Arc::new(message))
    }

    fn drain(outbox: &Outbox) -> (Vec<String>, Discarded) {
        let mut parcels = Vec::new();
        let discarded = outbox.take(usize::MAX, usize::MAX, &mut parcels);
        let bodies = parcels.into_iter().map(|parcel| match parcel {
            Parcel::Subscribed(_, message) => String::from_utf8(message.body.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        });
        (bodies.collect(), discarded)
    }
}
