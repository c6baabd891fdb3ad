//! RECEIPTs that are owed to clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::outbox::Outbox;
use super::parcel::Parcel;

/// A RECEIPT that is owed to a client. It is sent when the last clone is dropped, that is when nobody works on the frame any
/// more; whichever way a request takes, its receipt cannot be forgotten.
///
/// Where a receipt means more than that the frame was handled, [`Receipt::require_success`] says so before the work begins.
/// Then every way that ends without [`Receipt::succeed`], such as a refusal, leaves the receipt unsent.
#[derive(Clone, Debug)]
pub(crate) struct Receipt(Arc<Owed>);

#[derive(Debug)]
struct Owed {
    id: String,
    outbox: Outbox,
    /// Successes that are required and have not happened.
    missing: AtomicUsize,
}

impl Receipt {
    /// A receipt that goes into `outbox`.
    pub(crate) fn new(id: String, outbox: &Outbox) -> Receipt {
        outbox.owe();
        Receipt(Arc::new(Owed { id, outbox: outbox.clone(), missing: AtomicUsize::new(0) }))
    }

    /// A receipt that is never sent, but owed until it is dropped.
    pub(crate) fn silent(outbox: &Outbox) -> Receipt {
        let receipt = Receipt::new(String::new(), outbox);
        receipt.require_success();
        receipt
    }

    /// Sends it only after one more [`Receipt::succeed`]. A frame with several messages requires one for each.
    pub(crate) fn require_success(&self) {
        self.0.missing.fetch_add(1, Relaxed);
    }

    /// What the receipt promises is true of one message; follows a [`Receipt::require_success`].
    pub(crate) fn succeed(&self) {
        self.0.missing.fetch_sub(1, Relaxed);
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.outbox.settle();
        if *self.missing.get_mut() == 0 {
            self.outbox.push(Parcel::Receipt(std::mem::take(&mut self.id)));
        }
        // Whoever waits for the last receipt looks again, also when there is nothing to send.
        self.outbox.wake();
    }
}
