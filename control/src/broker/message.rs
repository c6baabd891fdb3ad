//! Published messages, and the ids of sessions and subscriptions that receive them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use bytes::Bytes;
use madang_wire::{Broadcast, Encoded, Headers, Version, header};

use crate::memory::{Held, counted};

/// The memory of a message besides its headers and body, in bytes.
const MESSAGE_BYTES: usize = size_of::<Message>();

/// The id of a STOMP session, unique for the lifetime of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(crate) u64);

/// The id of a subscription, unique within its session: if the client reuses its own id, the number is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SubscriptionId(pub(crate) u64);

/// A published message, shared by all its receivers.
#[derive(Debug)]
pub(crate) struct Message {
    /// The destination it was published to.
    pub(crate) destination: String,
    /// Its `message-id`.
    pub(crate) id: String,
    /// Its sequence number, if it is a chat message of a room.
    pub(crate) seq: Option<u64>,
    /// The body of the frame.
    pub(crate) body: Bytes,
    /// How this message is treated when its consumer is slow.
    pub(crate) kind: Kind,
    /// When its SEND was read; `None` if the server published it.
    pub(crate) accepted_at: Option<Instant>,
    encoded: Broadcast,
    /// The memory that it takes besides the body.
    held: Held,
}

impl Message {
    /// A message with a new id. Headers that the server sets replace those given here.
    pub(crate) fn new(destination: &str, headers: Headers, body: Bytes) -> Message {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Message::with_id(format!("m-{}", NEXT.fetch_add(1, Relaxed)), destination, headers, body)
    }

    /// A message with a given id.
    pub(crate) fn with_id(
        id: String,
        destination: &str,
        mut headers: Headers,
        body: Bytes,
    ) -> Message {
        headers.set(header::DESTINATION, destination);
        headers.set(header::MESSAGE_ID, id.as_str());
        let seq = headers.get(header::SEQ).and_then(|seq| seq.parse().ok());
        // Sockets that wait for the kernel hold body and encoded headers longer than this message lives.
        let body = counted(body);
        let held = Held::new(MESSAGE_BYTES + headers.weight());
        let encoded = Broadcast::owned_by(counted, headers, body.clone());
        Message {
            destination: destination.to_owned(),
            id,
            seq,
            body,
            kind: Kind::Needed,
            accepted_at: None,
            encoded,
            held,
        }
    }

    /// Sets the time at which its SEND was read.
    pub(crate) fn accepted(self, at: Instant) -> Message {
        Message { accepted_at: Some(at), ..self }
    }

    /// Sets the kind.
    pub(crate) fn of_kind(self, kind: Kind) -> Message {
        Message { kind, ..self }
    }

    /// A message whose body is JSON.
    pub(crate) fn json(destination: &str, body: Bytes) -> Message {
        let headers = [(header::CONTENT_TYPE, "application/json")].into_iter().collect();
        Message::new(destination, headers, body)
    }

    /// The memory that it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.held.bytes() + self.body.len()
    }

    /// Whether it belongs to a queue: one subscriber gets it, and may give it back.
    pub(crate) fn is_queued(&self) -> bool {
        self.destination.starts_with("/queue/")
    }

    /// The MESSAGE frame for one subscriber, with its [`Broadcast::head`].
    pub(crate) fn for_subscriber(&self, head: Bytes, version: Version) -> Encoded {
        self.encoded.for_subscriber(head, version)
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Message) -> bool {
        (&self.id, &self.destination, &self.body) == (&other.id, &other.destination, &other.body)
    }
}

/// The kind of a message, which selects the policy for slow consumers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Chat, queues, replies, joins and leaves: a client that misses one has a wrong state without noticing.
    #[default]
    Needed,
    /// A client's message to a topic.
    Topic,
    /// The whole state of the named thing. A later state of the same thing and destination replaces it.
    State(Arc<str>),
}
