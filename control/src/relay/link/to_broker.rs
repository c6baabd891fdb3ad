//! Frames of the client, on their way to the broker.

use super::*;
use crate::relay::routes::parse_ack_id;

/// Headers that are between the client and this server.
const PRIVATE_HEADERS: [&str; 4] =
    [header::AUTHORIZATION, header::LOGIN, header::PASSCODE, header::CONTENT_LENGTH];

impl Link {
    pub(super) fn send(&mut self, mut frame: Frame) {
        let transaction = frame.header(header::TRANSACTION);
        if transaction.is_some_and(|name| !self.transactions.contains(name)) {
            return self.refuse_frame(&frame);
        }
        if !matches!(self.state, State::Open { .. }) {
            return self.refuse_frame(&frame);
        }
        let destination = frame.header(header::DESTINATION).unwrap_or_default();
        let destination = to_broker(destination, self.rest);
        frame.headers.set(header::DESTINATION, destination);
        let is_private = |name: &str| {
            PRIVATE_HEADERS.contains(&name) || name.eq_ignore_ascii_case(header::AUTHORIZATION)
        };
        frame.headers.retain(|name| !is_private(name));
        self.pass_on(frame, None);
    }

    pub(super) fn subscribe(&mut self, mut frame: Frame) {
        let id = frame.header(header::ID).unwrap_or_default().to_owned();
        let receipt = frame.header(header::RECEIPT).map(str::to_owned);
        frame.headers.remove(header::RECEIPT);
        self.last_place += 1;
        let subscription = Subscription {
            destination: frame.header(header::DESTINATION).unwrap_or_default().to_owned(),
            asked: String::new(),
            acknowledges: frame.header(header::ACK).is_some_and(|mode| mode != "auto"),
            frame,
            receipt,
            place: self.last_place,
        };
        self.subscriptions.insert(id.clone(), subscription);
        match &self.state {
            State::Away { reason } => {
                let message = format!(
                    "the message broker is away ({reason}); the subscription begins when it is back"
                );
                self.refuse(message, None);
            }
            _ => self.ask_for(&id),
        }
    }

    /// Says a SUBSCRIBE, for the first time or again.
    pub(super) fn ask_for(&mut self, id: &str) {
        let Some(subscription) = self.subscriptions.get_mut(id) else {
            return;
        };
        subscription.asked = to_broker(&subscription.destination, self.rest);
        let mut frame = subscription.frame.clone();
        frame.headers.set(header::DESTINATION, subscription.asked.as_str());
        if let Some(receipt) = subscription.receipt.take() {
            frame.headers.push(header::RECEIPT, receipt);
        }
        self.pass_on(frame, Some(id.to_owned()));
    }

    pub(super) fn unsubscribe(&mut self, mut frame: Frame) {
        let subscription = self.subscriptions.remove(frame.header(header::ID).unwrap_or_default());
        let (State::Open { .. }, Some(subscription)) = (&self.state, subscription) else {
            return self.confirm(&frame);
        };
        if frame.header(header::DESTINATION).is_some() {
            frame.headers.set(header::DESTINATION, subscription.asked);
        }
        self.pass_on(frame, None);
    }

    pub(super) fn acknowledge(&mut self, mut frame: Frame) {
        let by = frame.header(header::ID).or_else(|| frame.header(header::MESSAGE_ID));
        let Some((connection, id)) = by.and_then(parse_ack_id) else {
            return self.confirm(&frame);
        };
        // The broker redelivers messages of an earlier connection, so nothing waits for this ACK.
        if connection != self.connection || !matches!(self.state, State::Open { .. }) {
            return self.confirm(&frame);
        }
        let transaction = frame.header(header::TRANSACTION);
        if transaction.is_some_and(|name| !self.transactions.contains(name)) {
            return self.refuse_frame(&frame);
        }
        let id = id.to_owned();
        frame.headers.set(header::ID, id);
        frame.headers.remove(header::MESSAGE_ID);
        self.pass_on(frame, None);
    }

    pub(super) fn begin(&mut self, frame: Frame) {
        let State::Open { .. } = self.state else {
            return;
        };
        let name = frame.header(header::TRANSACTION).unwrap_or_default().to_owned();
        self.transactions.insert(name);
        self.pass_on(frame, None);
    }

    pub(super) fn commit(&mut self, frame: Frame) {
        if !self.transactions.remove(frame.header(header::TRANSACTION).unwrap_or_default()) {
            return self.refuse_frame(&frame);
        }
        self.pass_on(frame, None);
    }

    pub(super) fn abort(&mut self, frame: Frame) {
        if !self.transactions.remove(frame.header(header::TRANSACTION).unwrap_or_default()) {
            return self.confirm(&frame);
        }
        self.pass_on(frame, None);
    }

    /// Writes a frame; its receipt becomes a number, so that what the broker owes is known.
    fn pass_on(&mut self, mut frame: Frame, subscription: Option<String>) {
        if let Some(receipt) = frame.header(header::RECEIPT).map(str::to_owned) {
            self.last_receipt += 1;
            frame.headers.set(header::RECEIPT, self.last_receipt.to_string());
            let owed = Owed { receipt, command: frame.command, subscription };
            self.owed.insert(self.last_receipt, owed);
        }
        self.write(&frame);
    }

    /// Answers for the broker: what was asked is so.
    fn confirm(&mut self, frame: &Frame) {
        if let Some(receipt) = frame.header(header::RECEIPT) {
            self.send_receipt(receipt.to_owned());
        }
    }

    /// There is no broker, or the transaction went with the last connection. No RECEIPT is sent.
    fn refuse_frame(&mut self, frame: &Frame) {
        let correlation_id = frame.header(header::CORRELATION_ID).map(str::to_owned);
        let command = frame.command;
        let message = match &self.state {
            State::Away { reason } => {
                format!("the message broker is away ({reason}); this {command} was dropped")
            }
            _ => format!(
                "the message broker was away and has lost the transaction; this {command} was dropped"
            ),
        };
        self.refuse(message, correlation_id);
    }
}
