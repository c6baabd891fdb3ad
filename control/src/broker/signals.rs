//! Signals: messages of the server to one session.

use std::sync::Arc;

use madang_wire::{Destination, Headers, Signal, header};

use super::Broker;
use super::message::{Message, SessionId};
use crate::counters::Counters;

/// Sends signals to `/user/queue/signal` of a session. A session that has not subscribed to it gets none.
#[derive(Clone)]
pub(crate) struct Signals {
    broker: Broker,
    counters: Arc<Counters>,
}

impl Signals {
    pub(crate) fn new(broker: Broker, counters: Arc<Counters>) -> Signals {
        Signals { broker, counters }
    }

    /// Sends a signal, with the `correlation-id` of the request that it answers.
    pub(crate) fn send(&self, to: &Requester, signal: &Signal) {
        if let Signal::Error { code, .. } = signal {
            self.counters.count_error(*code);
        }
        let mut headers: Headers =
            [(header::CONTENT_TYPE, "application/json")].into_iter().collect();
        if let Some(id) = &to.correlation_id {
            headers.push(header::CORRELATION_ID, id.as_str());
        }
        let message = Message::new(Destination::SIGNAL, headers, signal.to_json());
        self.broker.tell(to.session, Arc::new(message));
    }
}

/// The receiver of a signal: a session, and the request that the signal answers, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requester {
    pub(crate) session: SessionId,
    /// The header `correlation-id` of the request.
    pub(crate) correlation_id: Option<String>,
}

impl From<SessionId> for Requester {
    fn from(session: SessionId) -> Requester {
        Requester { session, correlation_id: None }
    }
}
