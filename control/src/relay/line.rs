//! Messages between a session and the task of its broker connection.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::link::Order;
use crate::broker::Outbox;

/// Orders that may wait before the session reads no more from its client. What one WebSocket message brings comes on top.
const ENOUGH_ORDERS: usize = 256;
/// The same limit, in bytes of bodies.
const ENOUGH_BYTES: usize = 1024 * 1024;

/// A session's end of its way to the broker. Dropping it ends the connection, after what was ordered.
#[derive(Debug)]
pub(crate) struct Line(pub(super) Arc<Orders>);

impl Line {
    /// Puts an order behind the others.
    pub(crate) fn order(&self, order: Order) {
        self.0.push(order);
    }

    /// Whether nothing more should be ordered for the moment. The session's outbox is woken when that changes.
    pub(crate) fn is_full(&self) -> bool {
        self.0.lock().is_full()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The queue of orders.
#[derive(Debug, Default)]
pub(super) struct Orders {
    queue: Mutex<Queue>,
    /// Tells the one task that there is something to look at.
    changed: Notify,
}

/// Bounded by who fills it: a session stops reading while it `is_full`; the server's own messages are refused.
#[derive(Debug, Default)]
struct Queue {
    orders: VecDeque<Order>,
    bytes: usize,
    is_closed: bool,
}

impl Orders {
    /// Puts an order behind the others.
    pub(super) fn push(&self, order: Order) {
        let mut queue = self.lock();
        queue.bytes += weight(&order);
        queue.orders.push_back(order);
        drop(queue);
        self.changed.notify_one();
    }

    /// Puts an order behind the others, unless too many wait.
    pub(super) fn try_push(&self, order: Order) -> bool {
        if self.lock().is_full() {
            return false;
        }
        self.push(order);
        true
    }

    /// Says that no order will follow.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Takes the first order. Wakes the session when it may order again.
    pub(super) fn pop(&self, session: Option<&Outbox>) -> Option<Order> {
        let mut queue = self.lock();
        let was_full = queue.is_full();
        let order = queue.orders.pop_front()?;
        queue.bytes -= weight(&order);
        if let (true, false, Some(outbox)) = (was_full, queue.is_full(), session) {
            outbox.wake();
        }
        Some(order)
    }

    /// Whether the session is gone and all its orders are taken.
    pub(super) fn is_done(&self) -> bool {
        let queue = self.lock();
        queue.is_closed && queue.orders.is_empty()
    }

    /// Waits until something may have changed since the last call.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic between two fields' updates leaves at worst a wrong byte count.
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Queue {
    fn is_full(&self) -> bool {
        self.orders.len() >= ENOUGH_ORDERS || self.bytes >= ENOUGH_BYTES
    }
}

fn weight(order: &Order) -> usize {
    match order {
        Order::Frame(frame) => frame.weight(),
        Order::Goodbye(_) => 0,
    }
}
