//! RECEIPTs that are owed to clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::outbox::Outbox;
use super::parcel::Parcel;

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
        outbox.owe();
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
        self.outbox.settle();
        if !self.withheld.load(Relaxed) {
            self.outbox.push(Parcel::Receipt(std::mem::take(&mut self.id)));
        }
        // Whoever waits for the last receipt looks again, also when there is nothing to send.
        self.outbox.wake();
    }
}
