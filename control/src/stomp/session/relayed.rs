//! Frames that belong to the external broker, when there is one.

use std::sync::Arc;
use std::time::Instant;

use madang_wire::{Command, Destination, ErrorCode, Frame, Version, header};

use super::violation::{SessionError, Violation, required, violation};
use super::{Action, Output, Session};
use crate::broker::Delivery;
use crate::relay;
use crate::stomp::subscriptions::AckMode;

impl Session {
    /// Takes a frame that is for the external broker; gives back one that is not, or not only.
    pub(super) fn relay(&mut self, now: Instant, frame: Frame) -> Result<Option<Frame>, Violation> {
        if !self.config.relays {
            return Ok(Some(frame));
        }
        match frame.command {
            Command::Send if self.is_outside(&frame) => self.relay_send(now, frame),
            Command::Subscribe => self.relay_subscribe(now, frame),
            Command::Unsubscribe => Ok(self.relay_unsubscribe(frame)),
            Command::Ack | Command::Nack => self.relay_ack(frame),
            Command::Commit | Command::Abort => Ok(self.relay_end(frame)),
            _ => Ok(Some(frame)),
        }
    }

    /// Takes a frame of the external broker.
    pub(super) fn deliver_relayed(&mut self, delivery: Arc<Delivery>) {
        if self.is_over() {
            return;
        }
        let frame = match Arc::try_unwrap(delivery) {
            Ok(delivery) => delivery.frame,
            Err(shared) => shared.frame.clone(),
        };
        let ends = frame.command == Command::Error;
        self.push_output(Output::Frame(frame));
        if ends {
            self.end_by(SessionError::ExternalBroker);
        }
    }

    fn is_outside(&self, frame: &Frame) -> bool {
        let destination = frame.header(header::DESTINATION).unwrap_or_default();
        Destination::parse(destination, &self.config.prefixes)
            .is_ok_and(|destination| relay::is_outside(&destination))
    }

    fn relay_send(&mut self, now: Instant, frame: Frame) -> Result<Option<Frame>, Violation> {
        if !self.rate.take(now) {
            self.refuse_for_rate(&frame);
            return Ok(None);
        }
        if relay::has_wildcard(frame.header(header::DESTINATION).unwrap_or_default()) {
            let message = "a message goes to one destination: wildcards are for subscriptions";
            self.refuse(&frame, ErrorCode::BadRequest, message.to_owned());
            return Ok(None);
        }
        self.join_transaction(&frame)?;
        self.pass_on(frame);
        Ok(None)
    }

    fn relay_subscribe(
        &mut self,
        now: Instant,
        mut frame: Frame,
    ) -> Result<Option<Frame>, Violation> {
        let text = required(&frame, header::DESTINATION)?;
        let name = frame.header(header::ID);
        if self.routes.has(name, Some(text)) {
            return violation(
                SessionError::DuplicateSubscription,
                "The subscription's id is in use.",
            );
        }
        if !self.is_outside(&frame) {
            return Ok(Some(frame));
        }
        if name.is_none() && self.version() != Version::V1_0 {
            return violation(SessionError::MissingHeader, "SUBSCRIBE needs the header id.");
        }
        if self.subscriptions.find(name, Some(text)).is_some() {
            return violation(
                SessionError::DuplicateSubscription,
                "The subscription's id is in use.",
            );
        }
        if AckMode::parse(frame.header(header::ACK)).is_none() {
            return violation(SessionError::BadHeader, "ack is auto, client or client-individual.");
        }
        let most = self.config.limits.subscriptions;
        if self.subscriptions.len() + self.routes.len() >= most {
            let message = format!("a session has at most {most} subscriptions");
            self.refuse(&frame, ErrorCode::NotAllowed, message);
            self.receipt(&frame);
            return Ok(None);
        }
        if !self.rate.take(now) {
            self.refuse_for_rate(&frame);
            return Ok(None);
        }
        let id = self.routes.subscribe(name, text);
        frame.headers.set(header::ID, id);
        self.pass_on(frame);
        Ok(None)
    }

    fn relay_unsubscribe(&mut self, mut frame: Frame) -> Option<Frame> {
        let (name, destination) = (frame.header(header::ID), frame.header(header::DESTINATION));
        let Some(id) = self.routes.unsubscribe(name, destination) else {
            return Some(frame);
        };
        frame.headers.set(header::ID, id);
        self.pass_on(frame);
        None
    }

    fn relay_ack(&mut self, frame: Frame) -> Result<Option<Frame>, Violation> {
        let by = required(&frame, self.ack_header())?;
        if relay::parse_ack_id(by).is_none() {
            return Ok(Some(frame));
        }
        self.join_transaction(&frame)?;
        self.pass_on(frame);
        Ok(None)
    }

    /// COMMIT and ABORT are for both sides; the RECEIPT comes from the farther one.
    fn relay_end(&mut self, mut frame: Frame) -> Option<Frame> {
        if self.routes.end(frame.header(header::TRANSACTION).unwrap_or_default()) {
            self.pass_on(frame.clone());
            frame.headers.remove(header::RECEIPT);
        }
        Some(frame)
    }

    /// Opens the transaction that a frame names at the broker too, when this is its first frame there.
    fn join_transaction(&mut self, frame: &Frame) -> Result<(), Violation> {
        let Some(name) = frame.header(header::TRANSACTION) else {
            return Ok(());
        };
        if !self.transactions.is_open(name) {
            return violation(
                SessionError::BadTransaction,
                format!("no transaction {name:?} is open"),
            );
        }
        if self.routes.begin(name) {
            self.pass_on(Frame::new(Command::Begin).with_header(header::TRANSACTION, name));
        }
        Ok(())
    }

    fn pass_on(&mut self, frame: Frame) {
        let version = self.version();
        self.actions.push_back(Action::Relay { frame, version });
    }
}
