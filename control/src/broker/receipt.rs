//! RECEIPTs that the server owes to clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::outbox::Outbox;
use super::parcel::Parcel;

/// A RECEIPT that the server owes to a client. It is sent when the last clone is dropped, that is, when nothing works
/// on the frame any more. So no path that a request takes can forget its receipt.
///
/// If a receipt means more than that the frame was handled, call [`Receipt::require_success`] before the work begins.
/// Then every path that ends without [`Receipt::succeed`], such as a refusal, leaves the receipt unsent.
#[derive(Clone, Debug)]
pub(crate) struct Receipt(Arc<Owed>);

#[derive(Debug)]
struct Owed {
    id: String,
    outbox: Outbox,
    /// The number of required successes that have not happened.
    missing: AtomicUsize,
}

impl Receipt {
    /// A receipt that goes into `outbox`.
    pub(crate) fn new(id: String, outbox: &Outbox) -> Receipt {
        outbox.owe();
        Receipt(Arc::new(Owed { id, outbox: outbox.clone(), missing: AtomicUsize::new(0) }))
    }

    /// A receipt that is never sent, but counts as owed until it is dropped.
    pub(crate) fn silent(outbox: &Outbox) -> Receipt {
        let receipt = Receipt::new(String::new(), outbox);
        receipt.require_success();
        receipt
    }

    /// Requires one more [`Receipt::succeed`] before the receipt is sent. A frame with several messages requires one
    /// each.
    pub(crate) fn require_success(&self) {
        self.0.missing.fetch_add(1, Relaxed);
    }

    /// Records one success; follows a [`Receipt::require_success`].
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
        // The session may wait for the last receipt, so wakes it even if nothing is sent.
        self.outbox.wake();
    }
}
