//! The outbox of one client: the queue of parcels that wait to be sent.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use super::parcel::Parcel;
use super::slow::Policies;
use crate::limits::Limits;
use crate::memory;

/// A queue shorter than this is not searched for replaceable parcels; an empty one keeps memory for as many.
const FEW: usize = 64;

/// The bounded queue towards one connection. Clones are the same queue.
///
/// A push never waits, so that a slow consumer causes no head-of-line blocking for others. At the limits, messages that
/// a later one replaces are removed first, then the oldest of those that may be lost ([`Policies`]). If that does not
/// free enough, the outbox overflows: it keeps only messages of queues, which other subscribers can get, accepts
/// nothing more, and the connection ends.
#[derive(Clone, Debug)]
pub(crate) struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Whether something changed that the connection has not seen.
    changed: AtomicBool,
    /// Whether the session's token was revoked.
    is_revoked: AtomicBool,
    /// Wakes the connection's task.
    waker: AtomicWaker,
    max_messages: usize,
    max_bytes: usize,
    policies: Policies,
}

#[derive(Debug, Default)]
struct Queue {
    parcels: VecDeque<Parcel>,
    bytes: usize,
    /// The number of receipts that are still held.
    owed: usize,
    state: State,
    /// The queue is searched for replaceable messages when it reaches this length.
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

/// The limit that an overflow exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Messages,
    Bytes,
}

/// The numbers of messages that were discarded because the client is a slow consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Discarded {
    /// Replaced by a later message.
    pub(crate) coalesced: u64,
    /// Dropped as the oldest.
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

    /// An outbox with these limits.
    #[cfg(test)]
    pub(crate) fn for_test(outbox_messages: usize, outbox_bytes: usize) -> Outbox {
        Outbox::new(&Limits { outbox_messages, outbox_bytes, ..Limits::default() })
    }

    /// Appends a parcel. Returns `false` if the outbox does not accept it, because the session is over. After an
    /// overflow, messages of queues are accepted until [`Outbox::close`], so that they stay in order. The connection is
    /// about to call that, and twice the limits are the bound until then.
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

    /// Moves parcels into `into` until it holds `most` parcels, or until at least `bytes` bytes have been moved; moves
    /// none after an overflow. Returns what was discarded since the last call.
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

    /// Removes and returns the first parcel.
    #[cfg(test)]
    pub(crate) fn pop(&self) -> Option<Parcel> {
        let mut parcels = Vec::new();
        self.take(1, usize::MAX, &mut parcels);
        parcels.pop()
    }

    /// Ready when something may have changed since the last `Ready`. Only one task may wait.
    pub(crate) fn poll_changed(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Registers first, so that a change between the two lines wakes the task.
        if !self.0.changed.load(Relaxed) {
            self.0.waker.register(cx.waker());
        }
        if self.0.changed.swap(false, AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Wakes the connection, unless an earlier wake-up is still pending.
    pub(crate) fn wake(&self) {
        if !self.0.changed.swap(true, AcqRel) {
            self.0.waker.wake();
        }
    }

    /// Ends the session because its token was revoked, whatever is queued: a client that reads nothing must not keep
    /// its rights.
    pub(crate) fn revoke(&self) {
        self.0.is_revoked.store(true, Relaxed);
        self.wake();
    }

    /// Whether the session must end because its token was revoked.
    pub(crate) fn is_revoked(&self) -> bool {
        self.0.is_revoked.load(Relaxed)
    }

    /// The limit that a slow consumer exceeded, if the outbox overflowed.
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

    /// Whether a [`Receipt`] is still held.
    pub(crate) fn owes_receipts(&self) -> bool {
        self.lock().owed > 0
    }

    /// Notes that a receipt is owed.
    pub(super) fn owe(&self) {
        self.lock().owed += 1;
    }

    /// Notes that a receipt is no longer owed; follows an [`Outbox::owe`].
    pub(super) fn settle(&self) {
        self.lock().owed -= 1;
    }

    /// Closes the outbox, which accepts nothing more; returns the parcels that are left.
    pub(crate) fn close(&self) -> VecDeque<Parcel> {
        let mut queue = self.lock();
        queue.bytes = 0;
        queue.state = State::Closed;
        std::mem::take(&mut queue.parcels)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic between the updates of two fields leaves at worst a wrong byte count.
        self.0.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Shared {
    fn has_twice_the_room(&self, queue: &Queue) -> bool {
        queue.parcels.len() / 2 < self.max_messages && queue.bytes / 2 < self.max_bytes()
    }

    /// The limit of this outbox, or what one connection may hold at present.
    fn max_bytes(&self) -> usize {
        self.max_bytes.min(memory::share())
    }

    /// Applies the policies for slow consumers until the queue is within its limits; otherwise it overflows.
    fn make_room(&self, queue: &mut Queue) {
        if queue.parcels.len() >= queue.tidy_at {
            queue.coalesce(self.policies);
            // Searches at twice the remaining length next, so that the cost per push stays small for long queues.
            queue.tidy_at = FEW.max(2 * queue.parcels.len());
        }
        let limit = match () {
            () if queue.parcels.len() > self.max_messages => Limit::Messages,
            () if queue.bytes > self.max_bytes() => Limit::Bytes,
            () => return,
        };
        queue.coalesce(self.policies);
        // Down to three quarters of the limits; freeing less would repeat this at every message.
        let (messages, bytes) = (self.max_messages / 4 * 3, self.max_bytes() / 4 * 3);
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
        // In order, without gaps.
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
