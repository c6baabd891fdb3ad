//! Handles the frames that belong to the external broker, if one is configured.

use std::sync::Arc;

use madang_wire::{Command, Destination, ErrorCode, Frame, header};

use super::violation::{SessionError, Violation, required, violation};
use super::{Action, Output, Session};
use crate::broker::Delivery;
use crate::refusal::Refusal;
use crate::relay;

impl Session {
    /// Takes a frame that names something of the external broker's; gives back one that does not, or not only. SEND and
    /// SUBSCRIBE are told by their destination, see [`Session::is_outside`].
    pub(super) fn relay(&mut self, frame: Frame) -> Result<Option<Frame>, Violation> {
        if !self.config.relays {
            return Ok(Some(frame));
        }
        match frame.command {
            Command::Unsubscribe => Ok(self.relay_unsubscribe(frame)),
            Command::Ack | Command::Nack => self.relay_ack(frame),
            Command::Commit | Command::Abort => Ok(self.relay_end(frame)),
            _ => Ok(Some(frame)),
        }
    }

    /// Delivers a frame of the external broker to the client.
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

    /// Whether a frame for this destination belongs to the external broker.
    pub(super) fn is_outside(&self, destination: Option<&Destination>) -> bool {
        self.config.relays && destination.is_some_and(relay::is_outside)
    }

    /// Passes a SEND on.
    pub(super) fn relay_send(&mut self, frame: Frame) -> Result<(), Violation> {
        let to = frame.header(header::DESTINATION).unwrap_or_default();
        if !self.destinations.let_send(to) {
            let Refusal { code, message } = Refusal::destination_not_granted(to);
            self.refuse(&frame, code, message);
            return Ok(());
        }
        if relay::has_wildcard(to) {
            let message = "a SEND must name one destination; wildcards are for SUBSCRIBE";
            self.refuse(&frame, ErrorCode::BadRequest, message.to_owned());
            return Ok(());
        }
        self.join_transaction(&frame)?;
        self.pass_on(frame);
        Ok(())
    }

    /// Passes a SUBSCRIBE on that has been checked.
    pub(super) fn relay_subscribe(&mut self, mut frame: Frame) {
        let destination = frame.header(header::DESTINATION).unwrap_or_default();
        let id = self.routes.subscribe(frame.header(header::ID), destination);
        frame.headers.set(header::ID, id);
        self.pass_on(frame);
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

    /// Returns a COMMIT or ABORT for the session to handle. If the broker knows the transaction too, also forwards the
    /// frame, and the broker sends the RECEIPT.
    fn relay_end(&mut self, mut frame: Frame) -> Option<Frame> {
        if self.routes.end(frame.header(header::TRANSACTION).unwrap_or_default()) {
            self.pass_on(frame.clone());
            frame.headers.remove(header::RECEIPT);
        }
        Some(frame)
    }

    /// Opens the transaction of a frame at the broker, if this is its first frame there.
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
