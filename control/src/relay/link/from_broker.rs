//! Frames of the broker, on their way to the client.

use super::*;
use crate::relay::destination::from_broker;
use crate::relay::routes::ack_id;

/// The ERROR text with which RabbitMQ announces that its operator stops it (AMQP 0-9-1, reply code 320).
const SHUTTING_DOWN: &str = "connection_forced";

impl Link {
    pub(super) fn handle_broker(&mut self, now: Instant, frame: Frame) {
        match (frame.command, &self.state) {
            (Command::Connected, State::Connecting { .. }) => self.handle_connected(now, &frame),
            (Command::Error, State::Connecting { .. }) => {
                let reason = format!("it refuses the login: {}", summary(&frame));
                self.lose(reason);
            }
            (Command::Error, _) => self.handle_error(frame),
            (Command::Message, State::Open { .. }) => self.handle_message(frame),
            (Command::Receipt, _) => self.handle_receipt(&frame),
            // Nothing else is expected, or of use.
            _ => {}
        }
    }

    fn handle_connected(&mut self, now: Instant, frame: &Frame) {
        let broker = frame.header(header::HEART_BEAT).and_then(HeartBeat::parse);
        let heart_beats = HeartBeats::agree(TO_BROKER, broker.unwrap_or_default(), now);
        self.rest = Rest::of(frame.header(header::SERVER).unwrap_or_default());
        self.state = State::Open { heart_beats };
        self.events.push_back(Event::Connected);
        let mut again: Vec<(u64, String)> =
            self.subscriptions.iter().map(|(id, them)| (them.place, id.clone())).collect();
        again.sort();
        for (_, id) in again {
            self.ask_for(&id);
        }
    }

    fn handle_message(&mut self, mut frame: Frame) {
        let id = frame.header(header::SUBSCRIPTION).unwrap_or_default();
        // Unsubscribed while the message was on its way.
        let Some(subscription) = self.subscriptions.get(id) else { return };
        if let Some(actual) = frame.header(header::DESTINATION)
            && (actual != subscription.asked || subscription.asked != subscription.destination)
        {
            let name = from_broker(&subscription.destination, &subscription.asked, actual);
            let name = name.into_owned();
            frame.headers.set(header::DESTINATION, name);
        }
        let ack = frame.header(header::ACK).map(|ack| ack_id(self.connection, ack));
        match (ack.filter(|_| subscription.acknowledges), self.version) {
            (Some(ack), Version::V1_2) => frame.headers.set(header::ACK, ack),
            // Older clients acknowledge by the message's id.
            (Some(ack), Version::V1_1 | Version::V1_0) => {
                frame.headers.remove(header::ACK);
                frame.headers.set(header::MESSAGE_ID, ack);
            }
            (None, _) => frame.headers.remove(header::ACK),
        }
        self.events.push_back(Event::Frame(frame));
    }

    fn handle_receipt(&mut self, frame: &Frame) {
        let number = frame.header(header::RECEIPT_ID).and_then(|id| id.parse().ok());
        let Some(number) = number else { return };
        if matches!(&self.state, State::Leaving { number: last, .. } if *last == number) {
            self.state = State::Over;
        } else if let Some(owed) = self.owed.remove(&number) {
            self.send_receipt(owed.receipt);
        }
    }

    /// The broker ends the connection (STOMP 1.2, "ERROR"). One that is being stopped comes back; anything else would
    /// come again, so the client is shown it, and its session ends.
    fn handle_error(&mut self, mut frame: Frame) {
        if frame.header(header::MESSAGE) == Some(SHUTTING_DOWN) {
            return self.lose("it is shutting down".to_owned());
        }
        if let Some(number) = frame.header(header::RECEIPT_ID).map(str::parse::<u64>) {
            match number.ok().and_then(|number| self.owed.remove(&number)) {
                Some(owed) => frame.headers.set(header::RECEIPT_ID, owed.receipt),
                None => frame.headers.remove(header::RECEIPT_ID),
            }
        }
        let reason = format!("it ended the connection: {}", summary(&frame));
        self.events.push_back(Event::Frame(frame));
        self.lose(reason);
    }
}

/// An ERROR in one line.
fn summary(error: &Frame) -> String {
    let message = error.header(header::MESSAGE).unwrap_or("ERROR");
    let body = String::from_utf8_lossy(&error.body);
    // ActiveMQ's bodies are stack traces, whose first line says it all.
    match body.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => format!("{message}: {line}").chars().take(300).collect(),
        None => message.to_owned(),
    }
}
