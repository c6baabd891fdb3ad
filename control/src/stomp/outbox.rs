//! What waits to be sent to one client.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use crate::broker::{Message, SubscriptionId};
use crate::relay::Delivery;

/// What a parcel weighs besides its message's body, in bytes: headers and bookkeeping, roughly.
const PARCEL_BYTES: usize = 256;

/// Something for a session, from whoever has something for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Parcel {
    /// A message for one of its subscriptions.
    Subscribed(SubscriptionId, Arc<Message>),
    /// A message for whichever of its subscriptions to `/user/**` match the destination.
    Private(Arc<Message>),
    /// A frame of the external broker. Those under way are bounded by the relay.
    Relayed(Arc<Delivery>),
    /// A request with this receipt id is done.
    Receipt(String),
    /// The server ends the session; the text goes into an ERROR.
    End(&'static str),
}

/// The bounded queue towards one connection. Clones are the same queue.
///
/// Who puts something in never waits. When the client reads too slowly and the queue is full, it is emptied of all but
/// messages of queues, which somebody else can have, takes nothing more, and the connection ends.
#[derive(Clone, Debug)]
pub(crate) struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something happened that the connection has not looked at.
    changed: AtomicBool,
    /// The one connection.
    waker: AtomicWaker,
    max_messages: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Queue {
    parcels: VecDeque<Parcel>,
    bytes: usize,
    /// Receipts that somebody still holds.
    owed: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Open,
    Overflowed,
    Closed,
}

impl Outbox {
    /// An empty queue for at most so many messages and bytes.
    pub(crate) fn new(max_messages: usize, max_bytes: usize) -> Outbox {
        Outbox(Arc::new(Shared {
            queue: Mutex::default(),
            changed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            max_messages,
            max_bytes,
        }))
    }

    /// Puts a parcel at the end, unless the session is over.
    pub(crate) fn push(&self, parcel: Parcel) {
        let mut queue = self.lock();
        if queue.state != State::Open {
            return;
        }
        queue.bytes += weight(&parcel);
        queue.parcels.push_back(parcel);
        if queue.parcels.len() > self.0.max_messages || queue.bytes > self.0.max_bytes {
            queue.overflow();
        }
        drop(queue);
        self.wake();
    }

    /// Takes the first parcel; none after an overflow.
    pub(crate) fn pop(&self) -> Option<Parcel> {
        let mut queue = self.lock();
        if queue.state != State::Open {
            return None;
        }
        let parcel = queue.parcels.pop_front()?;
        queue.bytes -= weight(&parcel);
        Some(parcel)
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

    /// Whether the client was too slow.
    pub(crate) fn has_overflowed(&self) -> bool {
        self.lock().state == State::Overflowed
    }

    /// Whether parcels wait.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().parcels.is_empty()
    }

    /// Whether a [`Receipt`] is still held by somebody.
    pub(crate) fn owes_receipts(&self) -> bool {
        self.lock().owed > 0
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

impl Queue {
    fn overflow(&mut self) {
        self.state = State::Overflowed;
        self.parcels.retain(|parcel| match parcel {
            Parcel::Subscribed(_, message) => message.is_queued(),
            _ => false,
        });
        self.parcels.shrink_to_fit();
        self.bytes = self.parcels.iter().map(weight).sum();
    }
}

fn weight(parcel: &Parcel) -> usize {
    match parcel {
        Parcel::Subscribed(_, message) | Parcel::Private(message) => {
            PARCEL_BYTES + message.body.len()
        }
        Parcel::Relayed(delivery) => PARCEL_BYTES + delivery.frame.body.len(),
        Parcel::Receipt(id) => PARCEL_BYTES + id.len(),
        Parcel::End(_) => PARCEL_BYTES,
    }
}

/// A RECEIPT that is owed to a client. It is sent when the last clone is dropped, that is when nobody works on the
/// frame any more; whichever way a request takes, its receipt can't be forgotten.
#[derive(Clone, Debug)]
pub(crate) struct Receipt(Arc<Owed>);

#[derive(Debug)]
struct Owed {
    id: String,
    outbox: Outbox,
    withheld: AtomicBool,
}

impl Receipt {
    /// A receipt that goes into `outbox`.
    pub(crate) fn new(id: String, outbox: &Outbox) -> Receipt {
        outbox.lock().owed += 1;
        Receipt(Arc::new(Owed { id, outbox: outbox.clone(), withheld: AtomicBool::new(false) }))
    }

    /// A receipt that is never sent, but owed until it is dropped.
    pub(crate) fn silent(outbox: &Outbox) -> Receipt {
        let receipt = Receipt::new(String::new(), outbox);
        receipt.withhold();
        receipt
    }

    /// Never sends it: what it would acknowledge did not happen.
    pub(crate) fn withhold(&self) {
        self.0.withheld.store(true, Relaxed);
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.outbox.lock().owed -= 1;
        if !self.withheld.load(Relaxed) {
            self.outbox.push(Parcel::Receipt(std::mem::take(&mut self.id)));
        }
        // Whoever waits for the last receipt looks again, also when there is nothing to send.
        self.outbox.wake();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use madang_wire::Headers;

    use super::*;

    #[test]
    fn parcels_leave_in_the_order_they_came() {
        let outbox = Outbox::new(10, 10_000);
        outbox.push(Parcel::Receipt("a".into()));
        outbox.push(Parcel::Receipt("b".into()));

        assert_eq!(outbox.pop(), Some(Parcel::Receipt("a".into())));
        assert_eq!(outbox.pop(), Some(Parcel::Receipt("b".into())));
        assert_eq!(outbox.pop(), None);
    }

    #[test]
    fn too_many_messages_empty_it_for_good() {
        let outbox = Outbox::new(2, 10_000);
        for _ in 0..3 {
            outbox.push(Parcel::End("over"));
        }

        assert!(outbox.has_overflowed());
        outbox.push(Parcel::End("over"));
        assert_eq!(outbox.pop(), None);
    }

    #[test]
    fn messages_of_queues_are_left_for_others() {
        let outbox = Outbox::new(4, 10_000);
        let message = |destination| {
            let message = Message::new(destination, Headers::new(), Bytes::new());
            Parcel::Subscribed(SubscriptionId(1), Arc::new(message))
        };
        for destination in ["/topic/a", "/queue/a", "/topic/a", "/queue/b", "/topic/a"] {
            outbox.push(message(destination));
        }
        assert!(outbox.has_overflowed());

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
        let outbox = Outbox::new(100, 1_000);
        outbox.push(Parcel::Receipt("x".repeat(1_000)));

        assert!(outbox.has_overflowed());
    }

    #[test]
    fn what_left_makes_room() {
        let outbox = Outbox::new(1, 10_000);
        for _ in 0..5 {
            outbox.push(Parcel::End("over"));
            assert!(outbox.pop().is_some());
        }

        assert!(!outbox.has_overflowed());
    }

    #[test]
    fn a_receipt_is_sent_when_the_last_holder_lets_go() {
        let outbox = Outbox::new(10, 10_000);
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
    fn a_withheld_receipt_is_never_sent() {
        let outbox = Outbox::new(10, 10_000);
        let receipt = Receipt::new("r-1".into(), &outbox);
        receipt.withhold();
        drop(receipt);

        assert!(outbox.is_empty());
        assert!(!outbox.owes_receipts());
    }
}
