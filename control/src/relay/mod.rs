//! Topics and queues on an external broker: RabbitMQ, ActiveMQ or Artemis, as Spring's `StompBrokerRelay` does it.
//!
//! ```text
//! Session ─▶ Routes: whose is this frame? ─▶ Line ─▶ Link ─▶ TCP ─▶ broker     one connection per client session,
//!    ▲                                               │                          opened at its first relayed frame
//!    └────────── Outbox ◀─ Delivery ◀────────────────┘
//! App ─▶ Relay::publish ─▶ Link ─▶ TCP ─▶ broker                                one for the server itself
//! ```
//!
//! `destination::is_outside` is the one place that says what lives there. `Routes` and `Link` decide and do no I/O;
//! `connection` is their task.
//!
//! The broker does the work: acknowledgement, redelivery, transactions, receipts. Ids stay unambiguous because each
//! session has its own connection: its subscriptions and transactions pass as they are, receipts are numbered, and what a
//! client acknowledges by carries the number of the connection that brought it.
//!
//! # While the broker is away
//!
//! - `/readyz` answers 503 with the reason; it follows the server's own connection, which is tried again after 0.25 s at
//!   first and 15 s at last, times a random factor. Sessions connect when that one is open, spread over a second.
//! - Clients keep their sessions. A SEND, COMMIT or BEGIN is refused by an `error` message with the code `overloaded`, and
//!   gets no RECEIPT. A SUBSCRIBE is kept; subscriptions are made again when the broker is back, and only then get their
//!   RECEIPT. An ACK of a message that an earlier connection brought is confirmed and forgotten: the broker delivers that
//!   message again. Transactions that were open are lost, which their COMMIT is told.
//! - What was published meanwhile to a topic is missed, as by every STOMP client without a durable subscription.
//!
//! An ERROR of the broker (a destination that it does not allow, say) is shown to the client as it is and ends its session,
//! as STOMP demands; only RabbitMQ's word that it is being stopped counts as its going away.
//!
//! # Tested with
//!
//! RabbitMQ 3.10 and ActiveMQ 5.17 (`control/tests/brokers`). Artemis, of which Debian has no package, is spoken to by its
//! documentation alone.
//!
//! # Cost
//!
//! `control/tests/brokers/costs.rs` prints the CPU time per message that goes from a client through the broker to other
//! clients. On two cores and without optimisation, the relay's part was 9.6 µs with RabbitMQ and 11.5 µs with ActiveMQ.

mod connection;
mod destination;
mod line;
mod link;
mod routes;
mod status;
mod url;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use madang_wire::{Command, ErrorCode, Frame, Headers, Version, header};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use destination::{has_wildcard, is_outside};
pub(crate) use line::Line;
pub(crate) use link::Order;
pub(crate) use routes::{Routes, parse_ack_id};
pub use status::RelayStats;
pub use url::RelayUrl;

use self::connection::{Connection, Owner};
use self::line::Orders;
use self::link::Link;
use self::status::{Counters, Status};
use crate::broker::{Outbox, SessionId, Signals};
use crate::limits::Limits;
use crate::refusal::Refusal;

/// The most that may be under way from the broker into one session's outbox, in bytes and frames; and never more than half
/// of what the outbox holds.
const WINDOW: (usize, usize) = (1024 * 1024, 256);

/// The way to the external broker. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Relay(Arc<Shared>);

struct Shared {
    url: Arc<RelayUrl>,
    limits: Arc<Limits>,
    /// Messages that the server itself publishes.
    own: Arc<Orders>,
    status: watch::Receiver<Status>,
    counters: Arc<Counters>,
    /// Owns the connections' tasks.
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Relay {
    /// Connects for the server itself. Must be called inside a tokio runtime.
    pub(crate) fn start(url: RelayUrl, limits: Arc<Limits>, shutdown: CancellationToken) -> Relay {
        let url = Arc::new(url);
        let reason = "it is not connected yet".to_owned();
        let (sender, status) = watch::channel(Status::Away { reason });
        let relay = Shared {
            url: Arc::clone(&url),
            limits,
            own: Arc::default(),
            status,
            counters: Arc::default(),
            tasks: TaskTracker::new(),
            shutdown,
        };
        let owner = Owner::Server { status: sender };
        relay.spawn(Arc::clone(&relay.own), owner, Version::V1_2);
        Relay(Arc::new(relay))
    }

    /// A session's own way to the broker.
    pub(crate) fn connect(
        &self,
        id: SessionId,
        outbox: &Outbox,
        signals: &Signals,
        version: Version,
    ) -> Line {
        let relay = &self.0;
        let bytes = (relay.limits.outbox_bytes / 2).clamp(1, WINDOW.0);
        let frames = (relay.limits.outbox_messages / 2).clamp(1, WINDOW.1);
        let window_bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let owner = Owner::Session {
            id,
            outbox: outbox.clone(),
            signals: signals.clone(),
            status: relay.status.clone(),
            window: Arc::new(Semaphore::new(bytes)),
            window_bytes,
            least_bytes: u32::try_from(bytes / frames).unwrap_or(u32::MAX).max(1),
        };
        let orders = Arc::default();
        relay.spawn(Arc::clone(&orders), owner, version);
        Line(orders)
    }

    /// Publishes in the server's own name.
    pub(crate) fn publish(
        &self,
        destination: &str,
        mut headers: Headers,
        body: Bytes,
    ) -> Result<(), Refusal> {
        if let Some(reason) = self.trouble() {
            return Err(Refusal::new(ErrorCode::Overloaded, reason));
        }
        headers.set(header::DESTINATION, destination);
        let frame = Frame { command: Command::Send, headers, body };
        if self.0.own.try_push(Order::Frame(frame)) {
            return Ok(());
        }
        let message = "the message broker accepts messages too slowly; this message was dropped";
        Err(Refusal::new(ErrorCode::Overloaded, message.to_owned()))
    }

    /// Why the broker can't be used, if that is so.
    pub(crate) fn trouble(&self) -> Option<String> {
        match &*self.0.status.borrow() {
            Status::Here => None,
            Status::Away { reason } => {
                Some(format!("the message broker {} is away: {reason}", self.0.url))
            }
        }
    }

    /// Says goodbye to the broker, and waits until all connections have.
    pub(crate) async fn drain(&self) {
        self.0.own.close();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// A snapshot of the counters.
    pub(crate) fn stats(&self) -> RelayStats {
        let Counters { connections, frames_sent, frames_received } = &*self.0.counters;
        RelayStats {
            is_here: *self.0.status.borrow() == Status::Here,
            connections: connections.load(Relaxed),
            frames_sent: frames_sent.load(Relaxed),
            frames_received: frames_received.load(Relaxed),
        }
    }
}

impl Shared {
    fn spawn(&self, orders: Arc<Orders>, owner: Owner, version: Version) {
        let connection = Connection {
            link: Link::new(Arc::clone(&self.url), version, self.limits.outbox_bytes),
            url: Arc::clone(&self.url),
            orders,
            owner,
            counters: Arc::clone(&self.counters),
            shutdown: self.shutdown.clone(),
        };
        self.tasks.spawn(connection.run());
    }
}
