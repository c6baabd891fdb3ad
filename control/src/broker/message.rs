//! What is published, and who it is published to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use bytes::Bytes;
use madang_wire::{Broadcast, Encoded, Headers, Version, header};

/// One STOMP session, unique for the lifetime of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(crate) u64);

/// One subscription, unique within its session: an id that the client uses again gets another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SubscriptionId(pub(crate) u64);

/// What is published, shared by all who get it.
#[derive(Debug)]
pub(crate) struct Message {
    /// Where it was published.
    pub(crate) destination: String,
    /// Its `message-id`.
    pub(crate) id: String,
    /// Its place among a room's chat messages, when it is one.
    pub(crate) seq: Option<u64>,
    /// The body, as in the frame.
    pub(crate) body: Bytes,
    /// What it is to a client that reads too slowly.
    pub(crate) kind: Kind,
    /// When its SEND was read, if it is a client's.
    pub(crate) accepted_at: Option<Instant>,
    encoded: Broadcast,
}

impl Message {
    /// A message with an id of its own. Headers that the server sets are set over those given here.
    pub(crate) fn new(destination: &str, headers: Headers, body: Bytes) -> Message {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Message::with_id(format!("m-{}", NEXT.fetch_add(1, Relaxed)), destination, headers, body)
    }

    /// A message with an id that somebody else gave it.
    pub(crate) fn with_id(
        id: String,
        destination: &str,
        mut headers: Headers,
        body: Bytes,
    ) -> Message {
        headers.set(header::DESTINATION, destination);
        headers.set(header::MESSAGE_ID, id.as_str());
        let seq = headers.get(header::SEQ).and_then(|seq| seq.parse().ok());
        let encoded = Broadcast::new(headers, body.clone());
        Message {
            destination: destination.to_owned(),
            id,
            seq,
            body,
            kind: Kind::Needed,
            accepted_at: None,
            encoded,
        }
    }

    /// The same, of a SEND that was read then.
    pub(crate) fn accepted(self, at: Instant) -> Message {
        Message { accepted_at: Some(at), ..self }
    }

    /// The same, of this kind.
    pub(crate) fn of_kind(self, kind: Kind) -> Message {
        Message { kind, ..self }
    }

    /// A message whose body is JSON.
    pub(crate) fn json(destination: &str, body: Bytes) -> Message {
        let headers = [(header::CONTENT_TYPE, "application/json")].into_iter().collect();
        Message::new(destination, headers, body)
    }

    /// Whether it is a queue's: one subscriber has it, and can give it back.
    pub(crate) fn is_queued(&self) -> bool {
        self.destination.starts_with("/queue/")
    }

    /// The MESSAGE frame for one subscriber, which begins with this [`Broadcast::head`].
    pub(crate) fn for_subscriber(&self, head: Bytes, version: Version) -> Encoded {
        self.encoded.for_subscriber(head, version)
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Message) -> bool {
        (&self.id, &self.destination, &self.body) == (&other.id, &other.destination, &other.body)
    }
}

/// What a message is, to somebody who can't have all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Chat, queues, replies, who came and went: without it the client would be wrong and not know it.
    #[default]
    Needed,
    /// What clients publish to a topic.
    Topic,
    /// The whole state of that thing, which a later one of the same destination replaces.
    State(Arc<str>),
}
