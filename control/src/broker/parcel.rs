//! The items of an outbox.

use std::sync::Arc;

use madang_wire::Frame;
use tokio::sync::OwnedSemaphorePermit;

use super::message::{Message, SubscriptionId};

/// The approximate memory of a parcel besides its message, in bytes.
const PARCEL_BYTES: usize = 64;

/// An item for a session: from the broker, a room, the external broker, or the session itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Parcel {
    /// A message for one of its subscriptions.
    Subscribed(SubscriptionId, Arc<Message>),
    /// A message for all of its subscriptions to `/user/**` that match the destination.
    Private(Arc<Message>),
    /// A frame of the external broker. The relay bounds how many are in flight.
    Relayed(Arc<Delivery>),
    /// The request with this receipt id is done.
    Receipt(String),
}

impl Parcel {
    /// Whether it is a message of a queue, which another subscriber can get.
    pub(super) fn is_queued(&self) -> bool {
        matches!(self, Parcel::Subscribed(_, message) if message.is_queued())
    }

    /// The approximate memory that it takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Parcel::Subscribed(_, message) | Parcel::Private(message) => {
                PARCEL_BYTES + message.weight()
            }
            Parcel::Relayed(delivery) => PARCEL_BYTES + delivery.frame.weight(),
            Parcel::Receipt(id) => PARCEL_BYTES + id.len(),
        }
    }
}

/// A frame of the external broker on its way to the client. Back-pressure: while too many are in flight, the relay
/// reads nothing from the broker. So they cannot overflow the client's outbox, and the broker keeps what a slow
/// consumer has not read.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) frame: Frame,
    /// Its share of the window of bytes in flight, released when the frame is dropped.
    pub(crate) _place: Option<OwnedSemaphorePermit>,
}

impl PartialEq for Delivery {
    fn eq(&self, other: &Delivery) -> bool {
        self.frame == other.frame
    }
}
