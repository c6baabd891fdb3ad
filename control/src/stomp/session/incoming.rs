//! Handles the frames of the client.

use std::time::Instant;

use madang_wire::{
    Command, Destination, DestinationError, ErrorCode, Frame, HeartBeat, Pattern, Version, header,
};

use super::outgoing::subscription_head;
use super::violation::{SessionError, Violation, required, transaction_violation, violation};
use super::{Action, Connecting, Output, Session, State};
use crate::auth::Credential;
use crate::counters::up;
use crate::heart_beats::{HeartBeats, TO_CLIENTS};
use crate::refusal::Refusal;
use crate::stomp::expiry::Expiry;
use crate::stomp::sent::Sent;
use crate::stomp::subscriptions::{AckMode, Gate, Replay, Subscription};

/// The maximum number of segments of a subscribed pattern; each is a level of the broker's pattern tree.
const MOST_SEGMENTS: usize = 64;

type Handled = Result<(), Violation>;

impl Session {
    pub(super) fn handle_frame(&mut self, now: Instant, frame: Frame) {
        up(&self.config.counters.frames_received[frame.command as usize]);
        let receipt = frame.header(header::RECEIPT).map(str::to_owned);
        let handled = match &self.state {
            State::ExpectConnect { .. } => self.handle_connect(&frame),
            _ => self.handle_open(now, frame),
        };
        if let Err(Violation { error, detail }) = handled {
            self.fail(error, &detail, receipt);
        }
    }

    fn handle_connect(&mut self, frame: &Frame) -> Handled {
        if !matches!(frame.command, Command::Connect | Command::Stomp) {
            let detail = format!("The first frame must be CONNECT, not {}.", frame.command);
            return violation(SessionError::NotConnected, detail);
        }
        let Some(version) = Version::negotiate(frame.header(header::ACCEPT_VERSION)) else {
            return violation(
                SessionError::UnsupportedVersion,
                "The server supports STOMP 1.0, 1.1 and 1.2.",
            );
        };
        let client = match frame.header(header::HEART_BEAT) {
            None => HeartBeat::default(),
            Some(text) => match HeartBeat::parse(text) {
                Some(client) => client,
                None => {
                    return violation(SessionError::BadHeader, "heart-beat must be two numbers.");
                }
            },
        };
        self.decoder.set_version(version);
        let receipt = frame.header(header::RECEIPT).map(str::to_owned);
        let connecting = Connecting { version, heart_beat: client, receipt };
        self.transition(State::ExpectVerdict(Box::new(connecting)));
        match Credential::of(&frame.headers) {
            Ok(credential) => {
                self.actions.push_back(Action::Authenticate(credential.map(Box::new)));
            }
            Err(error) => self.handle_refused(&error),
        }
        Ok(())
    }

    pub(super) fn handle_connected(
        &mut self,
        now: Instant,
        version: Version,
        client: HeartBeat,
        user: &str,
        expiry: Option<Box<Expiry>>,
    ) {
        let heart_beats = HeartBeats::agree(TO_CLIENTS, client, now);
        self.transition(State::Open { version, heart_beats, expiry });
        let server = concat!("madang/", env!("CARGO_PKG_VERSION"));
        let connected = Frame::new(Command::Connected)
            .with_header(header::VERSION, version.as_str())
            .with_header(header::SERVER, server)
            .with_header(header::SESSION, self.config.id.as_str())
            .with_header(header::HEART_BEAT, TO_CLIENTS.to_string())
            .with_header(header::USER_NAME, user);
        self.push_output(Output::Frame(connected));
        self.actions.push_back(Action::Attach);
    }

    fn handle_open(&mut self, now: Instant, frame: Frame) -> Handled {
        let Some(frame) = self.relay(frame)? else {
            return Ok(());
        };
        match frame.command {
            Command::Send => self.handle_send(now, frame),
            Command::Subscribe => self.handle_subscribe(now, frame),
            Command::Unsubscribe => self.handle_unsubscribe(&frame),
            Command::Ack | Command::Nack => self.handle_ack(frame),
            Command::Begin => self.handle_begin(&frame),
            Command::Commit => self.handle_commit(now, &frame),
            Command::Abort => self.handle_abort(&frame),
            Command::Disconnect => self.handle_disconnect(&frame),
            Command::Connect | Command::Stomp => {
                violation(SessionError::AlreadyConnected, "A session has only one CONNECT frame.")
            }
            Command::Connected | Command::Message | Command::Receipt | Command::Error => violation(
                SessionError::NotAClientsFrame,
                format!("{} is for servers to send, not for clients.", frame.command),
            ),
        }
    }

    fn handle_send(&mut self, now: Instant, frame: Frame) -> Handled {
        let to = Destination::parse(required(&frame, header::DESTINATION)?, &self.config.prefixes);
        if !self.rate.take(now) {
            self.refuse_for_rate(&frame);
            return Ok(());
        }
        if self.is_outside(to.as_ref().ok()) {
            return self.relay_send(frame);
        }
        if let Some(transaction) = frame.header(header::TRANSACTION).map(str::to_owned) {
            return self.postpone(&transaction, frame);
        }
        let receipt = frame.header(header::RECEIPT).map(str::to_owned);
        self.actions.push_back(Action::Send { messages: vec![sent(frame, to, now)], receipt });
        Ok(())
    }

    fn handle_subscribe(&mut self, now: Instant, frame: Frame) -> Handled {
        let text = required(&frame, header::DESTINATION)?;
        let name = frame.header(header::ID).map(str::to_owned);
        if name.is_none() && self.version() != Version::V1_0 {
            return violation(SessionError::MissingHeader, "SUBSCRIBE needs the header id.");
        }
        if self.subscriptions.find(name.as_deref(), Some(text)).is_some()
            || self.routes.has(name.as_deref(), Some(text))
        {
            return violation(
                SessionError::DuplicateSubscription,
                "The subscription id is in use by another subscription of this session.",
            );
        }
        let Some(ack) = AckMode::parse(frame.header(header::ACK)) else {
            return violation(
                SessionError::BadHeader,
                "ack must be auto, client or client-individual.",
            );
        };
        if !self.rate.take(now) {
            self.refuse_for_rate(&frame);
            return Ok(());
        }
        match self.feed(text, &frame) {
            Ok(Some(feed)) => self.subscribe(name, ack, feed),
            Ok(None) => {
                // The RECEIPT comes from the broker.
                self.relay_subscribe(frame);
                return Ok(());
            }
            Err(Refusal { code, message }) => self.refuse(&frame, code, message),
        }
        self.receipt(&frame);
        Ok(())
    }

    /// The subscription that a SUBSCRIBE asks for; `None` if the external broker decides.
    fn feed(&self, text: &str, frame: &Frame) -> Result<Option<Feed>, Refusal> {
        let most = self.config.limits.subscriptions;
        if self.subscriptions.len() + self.routes.len() >= most {
            return Err(Refusal::new(
                ErrorCode::NotAllowed,
                format!("a session has at most {most} subscriptions"),
            ));
        }
        let bad =
            |error: &dyn std::fmt::Display| Refusal::new(ErrorCode::BadRequest, error.to_string());
        let destination =
            Destination::parse(text, &self.config.prefixes).map_err(|error| bad(&error))?;
        let is_broker = matches!(destination, Destination::Topic(_) | Destination::Queue(_));
        if is_broker && !self.destinations.let_subscribe(text) {
            return Err(Refusal::destination_not_granted(text));
        }
        if self.is_outside(Some(&destination)) {
            return Ok(None);
        }
        let pattern = Pattern::parse(text).map_err(|error| bad(&error))?;
        if !pattern.is_literal() && text.split('/').count() > MOST_SEGMENTS {
            return Err(bad(&format!("a pattern has at most {MOST_SEGMENTS} segments")));
        }
        let replay = match &destination {
            Destination::Request { .. } | Destination::App(_) => {
                return Err(bad(
                    &"requests are for SEND, not for SUBSCRIBE; replies arrive on /user/queue/signal",
                ));
            }
            Destination::OtherUserQueue { .. } => {
                return Err(Refusal::new(
                    ErrorCode::NotAllowed,
                    "this queue belongs to another user".to_owned(),
                ));
            }
            Destination::Chat(_) => Replay::of(&frame.headers).map_err(|error| bad(&error))?,
            _ => None,
        };
        Ok(Some(Feed { destination, pattern, replay }))
    }

    fn subscribe(&mut self, name: Option<String>, ack: AckMode, feed: Feed) {
        let Feed { destination, pattern, replay } = feed;
        let is_private = matches!(destination, Destination::UserQueue(_));
        let gate = Gate::of(replay);
        let head = subscription_head(name.as_deref(), None, self.version());
        let pattern_kept = pattern.clone();
        let subscription =
            Subscription { name, head, pattern: pattern_kept, is_private, ack, gate };
        let id = self.subscriptions.add(subscription);
        if is_private {
            return;
        }
        let room = match &destination {
            Destination::Chat(room) => Some(room.clone()),
            _ => None,
        };
        self.actions.push_back(Action::Subscribe { id, destination, pattern });
        // After the broker knows the subscription, so that no message is lost between the replay and the live messages.
        if let (Some(room), Some(what)) = (room, replay) {
            self.actions.push_back(Action::Replay { id, room, what });
        }
    }

    fn handle_unsubscribe(&mut self, frame: &Frame) -> Handled {
        let name = frame.header(header::ID);
        let destination = frame.header(header::DESTINATION);
        if name.is_none() && (destination.is_none() || self.version() != Version::V1_0) {
            return violation(SessionError::MissingHeader, "UNSUBSCRIBE needs the header id.");
        }
        // An unknown id is no error: its SUBSCRIBE may have been refused while this frame was on its way.
        if let Some(id) = self.subscriptions.find(name, destination) {
            let subscription = self.subscriptions.remove(id);
            if subscription.is_some_and(|subscription| !subscription.is_private) {
                self.actions.push_back(Action::Unsubscribe { id });
            }
            let unacknowledged = self.pending.take(|one| one.subscription == id);
            self.give_back(unacknowledged);
        }
        self.receipt(frame);
        Ok(())
    }

    fn handle_ack(&mut self, frame: Frame) -> Handled {
        required(&frame, self.ack_header())?;
        if let Some(transaction) = frame.header(header::TRANSACTION).map(str::to_owned) {
            return self.postpone(&transaction, frame);
        }
        self.receipt(&frame);
        self.acknowledge(&frame);
        Ok(())
    }

    /// The header of an ACK that names the message: `id` in STOMP 1.2, `message-id` in 1.1 and 1.0.
    pub(super) fn ack_header(&self) -> &'static str {
        match self.version() {
            Version::V1_2 => header::ID,
            Version::V1_1 | Version::V1_0 => header::MESSAGE_ID,
        }
    }

    fn acknowledge(&mut self, frame: &Frame) {
        let by = frame.header(self.ack_header()).unwrap_or_default();
        let found = if self.version() == Version::V1_2 {
            let number = by.parse::<u64>().ok();
            self.pending.find(|one| Some(one.number) == number)
        } else {
            let name = frame.header(header::SUBSCRIPTION);
            let within = name.and_then(|name| self.subscriptions.find(Some(name), None));
            let fits = |id| name.is_none() || within == Some(id);
            self.pending.find(|one| one.message.id == by && fits(one.subscription))
        };
        // A repeated ACK, or one after UNSUBSCRIBE, finds nothing and changes nothing.
        let Some((number, id)) = found else { return };
        let ack = self.subscriptions.get_mut(id).map(|subscription| subscription.ack);
        let taken = match ack {
            Some(AckMode::Client) => {
                self.pending.take(|one| one.subscription == id && one.number <= number)
            }
            _ => self.pending.take(|one| one.number == number),
        };
        if frame.command == Command::Nack {
            self.give_back(taken);
        }
    }

    fn handle_begin(&mut self, frame: &Frame) -> Handled {
        let name = required(frame, header::TRANSACTION)?;
        self.transactions.begin(name).map_err(transaction_violation)?;
        self.receipt(frame);
        Ok(())
    }

    fn postpone(&mut self, transaction: &str, frame: Frame) -> Handled {
        let receipt = frame.header(header::RECEIPT).map(str::to_owned);
        self.transactions.add(transaction, frame).map_err(transaction_violation)?;
        if let Some(receipt) = receipt {
            self.acknowledge_frame(receipt);
        }
        Ok(())
    }

    fn handle_commit(&mut self, now: Instant, frame: &Frame) -> Handled {
        let name = required(frame, header::TRANSACTION)?;
        let frames = self.transactions.end(name).map_err(transaction_violation)?;
        let mut messages = Vec::new();
        for frame in frames {
            match frame.command {
                Command::Send => {
                    let text = frame.header(header::DESTINATION).unwrap_or_default();
                    let to = Destination::parse(text, &self.config.prefixes);
                    messages.push(sent(frame, to, now));
                }
                _ => self.acknowledge(&frame),
            }
        }
        let receipt = frame.header(header::RECEIPT).map(str::to_owned);
        self.actions.push_back(Action::Send { messages, receipt });
        Ok(())
    }

    fn handle_abort(&mut self, frame: &Frame) -> Handled {
        let name = required(frame, header::TRANSACTION)?;
        self.transactions.end(name).map_err(transaction_violation)?;
        self.receipt(frame);
        Ok(())
    }

    fn handle_disconnect(&mut self, frame: &Frame) -> Handled {
        let receipt = frame.header(header::RECEIPT).map(str::to_owned);
        self.transition(State::Draining { version: self.version() });
        self.actions.push_back(Action::Disconnect { receipt });
        Ok(())
    }
}

/// The parsed content of a valid SUBSCRIBE.
struct Feed {
    destination: Destination,
    pattern: Pattern,
    replay: Option<Replay>,
}

fn sent(frame: Frame, to: Result<Destination, DestinationError>, at: Instant) -> Sent {
    Sent { to, headers: frame.headers, body: frame.body, at }
}
