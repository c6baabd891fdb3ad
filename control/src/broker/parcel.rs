//! What an outbox carries.

use std::sync::Arc;

use madang_wire::Frame;
use tokio::sync::OwnedSemaphorePermit;

use super::message::{Message, SubscriptionId};

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
}

impl Parcel {
    /// Whether another consumer can have it: it is a message of a queue.
    pub(super) fn is_queued(&self) -> bool {
        matches!(self, Parcel::Subscribed(_, message) if message.is_queued())
    }

    /// How much memory it takes, roughly, in bytes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Parcel::Subscribed(_, message) | Parcel::Private(message) => {
                PARCEL_BYTES + message.body.len()
            }
            Parcel::Relayed(delivery) => PARCEL_BYTES + delivery.frame.body.len(),
            Parcel::Receipt(id) => PARCEL_BYTES + id.len(),
        }
    }
}

/// A frame of the broker on its way into the session. While too many are under way, nothing is read from the broker: the
/// client's outbox can't overflow by them, and the broker keeps what the client is too slow for.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) frame: Frame,
    pub(crate) _place: Option<OwnedSemaphorePermit>,
}

impl PartialEq for Delivery {
    fn eq(&self, other: &Delivery) -> bool {
        self.frame == other.frame
    }
}
