//! Frames to the client.

use std::sync::Arc;

use madang_wire::{Command, ErrorCode, Frame, Version, header};

use super::{Action, Output, Session, State};
use crate::broker::{Message, SubscriptionId};
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
        let number = match subscription.ack {
            AckMode::Auto => None,
            AckMode::Client | AckMode::ClientIndividual => {
                Some(self.pending.add(id, message).to_string())
            }
        };
        let mut own = Vec::with_capacity(2);
        own.extend(subscription.name.as_deref().map(|name| (header::SUBSCRIPTION, name)));
        if version == Version::V1_2 {
            own.extend(number.as_deref().map(|number| (header::ACK, number)));
        }
        self.output.push_back(Output::Message(message.for_subscriber(&own, version)));
        let limits = &self.config.limits;
        if self.pending.len() > limits.outbox_messages || self.pending.bytes() > limits.outbox_bytes
        {
            self.fail("too many unacknowledged messages", "Send ACK frames sooner.", None);
        }
    }

    /// Sends the RECEIPT that the frame asked for, if it did.
    pub(super) fn receipt(&mut self, frame: &Frame) {
        if let Some(id) = frame.header(header::RECEIPT) {
            self.push_receipt(id.to_owned());
        }
    }

    pub(super) fn push_receipt(&mut self, id: String) {
        if !self.is_over() {
            let receipt = Frame::new(Command::Receipt).with_header(header::RECEIPT_ID, id);
            self.output.push_back(Output::Frame(receipt));
        }
    }

    pub(super) fn refuse(&mut self, frame: &Frame, code: ErrorCode, message: String) {
        let correlation_id = frame.header(header::CORRELATION_ID).map(str::to_owned);
        self.actions.push_back(Action::Refuse { code, message, correlation_id });
    }

    pub(super) fn refuse_for_rate(&mut self, frame: &Frame) {
        let rate = self.config.limits.messages_per_second;
        let message = format!("this {} was dropped: at most {rate} a second", frame.command);
        self.refuse(frame, ErrorCode::RateLimited, message);
    }

    /// Ends the session with an ERROR.
    pub(super) fn fail(&mut self, message: &str, detail: &str, receipt: Option<String>) {
        if self.is_over() {
            return;
        }
        let mut error = Frame::new(Command::Error)
            .with_header(header::MESSAGE, message)
            .with_header(header::CONTENT_TYPE, "text/plain");
        if let State::ExpectConnect { .. } = self.state {
            error.headers.push(header::VERSION, "1.0,1.1,1.2");
        }
        if let Some(receipt) = receipt {
            error.headers.push(header::RECEIPT_ID, receipt);
        }
        self.output.push_back(Output::Frame(error.with_body(detail.to_owned())));
        self.counts.errors += 1;
        self.state = State::Over { version: self.version(), after_error: true };
    }

    pub(super) fn give_back(&mut self, messages: Vec<Arc<Message>>) {
        let of_queues = messages.into_iter().filter(|message| message.is_queued());
        self.actions.extend(of_queues.map(Action::GiveBack));
    }
}
