//! Produces the frames to the client.

use std::sync::Arc;

use bytes::Bytes;
use madang_wire::{Broadcast, Command, ErrorCode, Frame, Version, header};

use super::violation::SessionError;
use super::{Action, End, Output, Session, State};
use crate::broker::{Message, SubscriptionId};
use crate::memory;
use crate::stomp::subscriptions::AckMode;

impl Session {
    pub(super) fn deliver_live(&mut self, id: SubscriptionId, message: &Arc<Message>) {
        let Some(subscription) = self.subscriptions.get_mut(id) else {
            // Unsubscribed while the message was on its way.
            return self.give_back(vec![Arc::clone(message)]);
        };
        if subscription.gate.lets_pass(message.seq) {
            self.deliver(id, message);
        }
    }

    pub(super) fn deliver(&mut self, id: SubscriptionId, message: &Arc<Message>) {
        if self.is_over() {
            return;
        }
        let version = self.version();
        let Some(subscription) = self.subscriptions.get_mut(id) else {
            return;
        };
        let head = match subscription.ack {
            AckMode::Auto => subscription.head.clone(),
            AckMode::Client | AckMode::ClientIndividual => {
                let number = self.pending.add(id, message);
                // Before 1.2, clients acknowledge by the message id.
                let number = (version == Version::V1_2).then_some(number);
                subscription_head(subscription.name.as_deref(), number, version)
            }
        };
        self.push_output(Output::Message { head, message: Arc::clone(message) });
        let limits = &self.config.limits;
        let most_bytes = limits.outbox_bytes.min(memory::share());
        if self.pending.len() > limits.outbox_messages || self.pending.bytes() > most_bytes {
            self.fail(
                SessionError::TooManyUnacknowledged,
                "Too many messages wait for an ACK. Send ACK frames sooner.",
                None,
            );
        }
    }

    /// Sends a RECEIPT if the frame asked for one.
    pub(super) fn receipt(&mut self, frame: &Frame) {
        if let Some(id) = frame.header(header::RECEIPT) {
            self.acknowledge_frame(id.to_owned());
        }
    }

    /// Sends a RECEIPT. While the output is full, the RECEIPT waits in the outbox instead, whose limits then apply to
    /// it.
    pub(super) fn acknowledge_frame(&mut self, receipt: String) {
        if self.has_enough_output() {
            self.actions.push_back(Action::Receipt(receipt));
        } else {
            self.push_receipt(receipt);
        }
    }

    pub(super) fn push_receipt(&mut self, id: String) {
        if !self.is_over() {
            let receipt = Frame::new(Command::Receipt).with_header(header::RECEIPT_ID, id);
            self.push_output(Output::Frame(receipt));
        }
    }

    pub(super) fn refuse(&mut self, frame: &Frame, code: ErrorCode, message: String) {
        let correlation_id = frame.header(header::CORRELATION_ID).map(str::to_owned);
        self.actions.push_back(Action::Refuse { code, message, correlation_id });
    }

    /// Refuses a frame that exceeded the rate limit.
    pub(super) fn refuse_for_rate(&mut self, frame: &Frame) {
        let rate = self.config.limits.messages_per_second;
        let message = format!(
            "this {} was dropped: the rate limit of a session is {rate} SEND and SUBSCRIBE frames per second",
            frame.command
        );
        self.refuse(frame, ErrorCode::RateLimited, message);
    }

    /// Sends an ERROR, and ends the session.
    pub(super) fn fail(&mut self, error: SessionError, detail: &str, receipt: Option<String>) {
        if self.is_over() {
            return;
        }
        let mut frame = Frame::new(Command::Error)
            .with_header(header::MESSAGE, error.text())
            .with_header(header::CONTENT_TYPE, "text/plain");
        if let State::ExpectConnect { .. } = self.state {
            frame.headers.push(header::VERSION, "1.0,1.1,1.2");
        }
        if let Some(receipt) = receipt {
            frame.headers.push(header::RECEIPT_ID, receipt);
        }
        self.push_output(Output::Frame(frame.with_body(detail.to_owned())));
        self.end_by(error);
    }

    /// Ends the session, whose ERROR is already in the output.
    pub(super) fn end_by(&mut self, error: SessionError) {
        self.config.counters.count_protocol_error(error.text());
        self.transition(State::Over { version: self.version(), end: End::Error(error) });
    }

    pub(super) fn give_back(&mut self, messages: Vec<Arc<Message>>) {
        let of_queues = messages.into_iter().filter(|message| message.is_queued());
        self.actions.extend(of_queues.map(Action::GiveBack));
    }
}

/// The first header lines of a subscription's MESSAGE; `number` becomes its `ack` header.
pub(super) fn subscription_head(
    name: Option<&str>,
    number: Option<u64>,
    version: Version,
) -> Bytes {
    let number = number.map(|number| number.to_string());
    let own: Vec<_> = [(header::SUBSCRIPTION, name), (header::ACK, number.as_deref())]
        .into_iter()
        .filter_map(|(header, value)| Some((header, value?)))
        .collect();
    Broadcast::head(&own, version)
}
