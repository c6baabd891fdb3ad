//! One client's STOMP session, without I/O.

mod incoming;
mod outgoing;
mod relayed;
#[cfg(test)]
mod tests;
mod violation;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::Bytes;
use madang_wire::{
    Command, Decoded, Decoder, Destination, Encoded, ErrorCode, Frame, HeartBeat, Limits, Pattern,
    Prefixes, RoomName, Version, encode,
};

use super::expiry::Expiry;
use super::subscriptions::{Pending, REPLAY_PAGE, Replay, Subscriptions};
use super::transactions::Transactions;
use crate::auth::{AuthError, Credential, Grant};
use crate::broker::{Limit, Message, Parcel, SubscriptionId};
use crate::counters::{Counters, up};
use crate::heart_beats::{Due, HeartBeats};
use crate::moment::Moment;
use crate::relay::Routes;
use crate::stomp::Sent;
use crate::token_bucket::TokenBucket;

pub(crate) use violation::SessionError;

/// Frames that may wait to be written; more wait in the outbox.
const ENOUGH_OUTPUT: usize = 64;
/// The same in bytes; the last frame may be longer.
const ENOUGH_OUTPUT_BYTES: usize = 256 * 1024;

/// What a session is given at its start.
#[derive(Clone, Debug)]
pub(crate) struct SessionConfig {
    /// Its id, for the header `session`.
    pub(crate) id: String,
    /// What destinations begin with.
    pub(crate) prefixes: Arc<Prefixes>,
    /// Whether topics and queues live on an external broker.
    pub(crate) relays: bool,
    /// See [`crate::hub::Limits`].
    pub(crate) limits: Arc<crate::limits::Limits>,
    /// What is counted of it.
    pub(crate) counters: Arc<Counters>,
}

/// A STOMP session.
///
/// Feed it with `handle_*`; afterwards carry out what `poll_action` says, write what `poll_output` gives, and call
/// `handle_timeout` at `poll_timeout`. When `is_over`, write the rest of the output and close.
#[derive(Debug)]
pub(crate) struct Session {
    config: SessionConfig,
    state: State,
    decoder: Decoder,
    rate: TokenBucket,
    subscriptions: Subscriptions,
    pending: Pending,
    transactions: Transactions,
    /// What of it is the external broker's.
    routes: Routes,
    actions: VecDeque<Action>,
    /// Grows by what one `handle_parcel` or `handle_replay` makes; nobody calls them while [`Session::has_enough_output`], and
    /// the RECEIPTs of `handle_bytes` then go another way ([`Action::Receipt`]).
    output: VecDeque<Output>,
    /// Of the bodies of all output.
    output_bytes: usize,
}

#[derive(Debug)]
enum State {
    ExpectConnect {
        until: Instant,
    },
    /// After CONNECT, until somebody knows what its credential is worth. What the client sends meanwhile waits.
    ExpectVerdict(Box<Connecting>),
    Open {
        version: Version,
        heart_beats: HeartBeats,
        /// When the rights end; in a box, because guests have none.
        expiry: Option<Box<Expiry>>,
    },
    /// After DISCONNECT, until what came before it is done.
    Draining {
        version: Version,
    },
    Over {
        version: Version,
        end: End,
    },
}

/// A CONNECT that is good but for its credential.
#[derive(Debug)]
struct Connecting {
    version: Version,
    /// What it said about heart-beats.
    heart_beat: HeartBeat,
    receipt: Option<String>,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By DISCONNECT.
    Goodbye,
    /// By an ERROR.
    Error(SessionError),
}

/// What a session can want from the world.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Find out what the client may do, and call `handle_admitted` or `handle_refused`.
    Authenticate(Option<Box<Credential>>),
    /// The client is connected: make the session reachable.
    Attach,
    /// Let the broker send what matches.
    Subscribe { id: SubscriptionId, destination: Destination, pattern: Pattern },
    /// The broker need not any more.
    Unsubscribe { id: SubscriptionId },
    /// Read stored chat messages, and call `handle_replay` with them.
    Replay { id: SubscriptionId, room: RoomName, what: Replay },
    /// Carry out SENDs in their order, then send the receipt.
    Send { messages: Vec<Sent>, receipt: Option<String> },
    /// Pass a frame on to the external broker.
    Relay { frame: Frame, version: Version },
    /// Give a queue's message to somebody else.
    GiveBack(Arc<Message>),
    /// Put a RECEIPT into the outbox, because the output is full.
    Receipt(String),
    /// Tell the client that a frame was refused.
    Refuse { code: ErrorCode, message: String, correlation_id: Option<String> },
    /// The client says goodbye: once everything before is done, call `handle_drained`.
    Disconnect { receipt: Option<String> },
}

#[derive(Debug)]
enum Output {
    Frame(Frame),
    /// Begins with this `Broadcast::head`.
    Message {
        head: Bytes,
        message: Arc<Message>,
    },
    HeartBeat,
}

impl Output {
    /// Bytes that it keeps in memory, roughly.
    fn weight(&self) -> usize {
        match self {
            Output::Frame(frame) => frame.body.len(),
            Output::Message { message, .. } => message.body.len(),
            Output::HeartBeat => 0,
        }
    }
}

impl Session {
    pub(crate) fn new(config: SessionConfig, now: Instant) -> Session {
        let limit = |limit| if limit == 0 { usize::MAX } else { limit };
        let limits = Limits {
            frame_bytes: limit(config.limits.frame_bytes),
            headers: limit(config.limits.headers),
            header_bytes: limit(config.limits.header_bytes),
        };
        Session {
            state: State::ExpectConnect { until: now + config.limits.connect_timeout },
            decoder: Decoder::new(limits),
            rate: TokenBucket::new(config.limits.messages_per_second, now),
            subscriptions: Subscriptions::default(),
            pending: Pending::default(),
            transactions: Transactions::default(),
            routes: Routes::default(),
            actions: VecDeque::new(),
            output: VecDeque::new(),
            output_bytes: 0,
            config,
        }
    }

    /// Takes bytes from the client.
    pub(crate) fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        if !self.reads() && !matches!(self.state, State::ExpectVerdict(_)) {
            return;
        }
        if let State::Open { heart_beats, .. } = &mut self.state {
            heart_beats.handle_received(now);
        }
        if let Err(error) = self.decoder.push(bytes) {
            return self.fail(SessionError::MalformedFrame, &error.to_string(), None);
        }
        self.read_frames(now);
    }

    fn read_frames(&mut self, now: Instant) {
        while self.reads() {
            match self.decoder.next_frame() {
                Ok(None) => return,
                Ok(Some(Decoded::HeartBeat)) => {}
                Ok(Some(Decoded::Frame(frame))) => self.handle_frame(now, frame),
                Err(error) => {
                    return self.fail(SessionError::MalformedFrame, &error.to_string(), None);
                }
            }
        }
    }

    /// The client may connect: this is what it may do.
    pub(crate) fn handle_admitted(&mut self, now: Moment, grant: &Grant) {
        let State::ExpectVerdict(connecting) = &mut self.state else {
            return;
        };
        let Connecting { version, heart_beat, ref mut receipt } = **connecting;
        let receipt = receipt.take();
        let expiry = grant.expires_at.map(|at| Box::new(Expiry::new(at, now)));
        self.handle_connected(now.instant, version, heart_beat, &grant.user, expiry);
        if let Some(receipt) = receipt {
            self.push_receipt(receipt);
        }
        // What came behind CONNECT has waited.
        self.read_frames(now.instant);
    }

    /// The client may not connect.
    pub(crate) fn handle_refused(&mut self, why: &AuthError) {
        let State::ExpectVerdict(connecting) = &mut self.state else {
            return;
        };
        let receipt = connecting.receipt.take();
        self.fail(SessionError::NotAuthenticated, &why.to_string(), receipt);
    }

    /// The client's token was taken back.
    pub(crate) fn handle_revoked(&mut self) {
        self.fail(SessionError::TokenRevoked, "Your token was revoked.", None);
    }

    /// Ends the session because the client sent something that the WebSocket can't read.
    pub(crate) fn handle_unreadable(&mut self, error: SessionError, detail: &str) {
        self.fail(error, detail, None);
    }

    /// Ends the session because the server shuts down.
    pub(crate) fn handle_drain(&mut self) {
        let error = SessionError::Draining;
        self.fail(error, error.text(), None);
    }

    /// Takes what others have for this session.
    pub(crate) fn handle_parcel(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Subscribed(id, message) => self.deliver_live(id, &message),
            Parcel::Private(message) => {
                for id in self.subscriptions.private(&message.destination) {
                    self.deliver(id, &message);
                }
            }
            Parcel::Relayed(delivery) => self.deliver_relayed(delivery),
            Parcel::Receipt(id) => self.push_receipt(id),
        }
    }

    /// Takes stored chat messages that a replay asked for, in ascending order.
    pub(crate) fn handle_replay(
        &mut self,
        id: SubscriptionId,
        room: RoomName,
        what: Replay,
        page: &[Arc<Message>],
    ) {
        for message in page {
            self.deliver(id, message);
        }
        let Some(subscription) = self.subscriptions.get_mut(id) else {
            return;
        };
        let last = page.last().and_then(|message| message.seq);
        let is_full = matches!(what, Replay::Since(_)) && page.len() >= REPLAY_PAGE as usize;
        if let Some(what) = subscription.gate.replayed(last, is_full) {
            self.actions.push_back(Action::Replay { id, room, what });
        }
    }

    /// A replay failed: the client is told, and gets the live messages.
    pub(crate) fn handle_replay_failed(
        &mut self,
        id: SubscriptionId,
        code: ErrorCode,
        message: String,
    ) {
        let Some(subscription) = self.subscriptions.get_mut(id) else {
            return;
        };
        subscription.gate.open();
        self.actions.push_back(Action::Refuse { code, message, correlation_id: None });
    }

    /// Everything before the DISCONNECT is done.
    pub(crate) fn handle_drained(&mut self, receipt: Option<String>) {
        let State::Draining { version } = self.state else {
            return;
        };
        if let Some(receipt) = receipt {
            self.push_receipt(receipt);
        }
        self.transition(State::Over { version, end: End::Goodbye });
    }

    /// The client does not read fast enough.
    pub(crate) fn handle_overflow(&mut self, limit: Limit) {
        self.output.clear();
        self.output_bytes = 0;
        let limits = &self.config.limits;
        let (most, what, key) = match limit {
            Limit::Messages => (limits.outbox_messages, "messages", "limits.outbox_messages"),
            Limit::Bytes => (limits.outbox_bytes, "bytes", "limits.outbox_bytes"),
        };
        let detail = format!(
            "More than {most} {what} were queued for this client ({key}): it reads more slowly than they arrive. Connect again."
        );
        self.fail(SessionError::SlowConsumer, &detail, None);
    }

    /// The client reads nothing, and the external broker takes nothing more from it.
    pub(crate) fn handle_stall(&mut self) {
        self.output.clear();
        self.output_bytes = 0;
        let detail = "The message broker accepts nothing more from this client, and this client does not read what is \
                      queued for it. Connect again.";
        self.fail(SessionError::SlowConsumer, detail, None);
    }

    /// Nothing is read from the client at the moment, so its silence means nothing.
    pub(crate) fn handle_unread(&mut self, now: Instant) {
        if let State::Open { heart_beats, .. } = &mut self.state {
            heart_beats.handle_received(now);
        }
    }

    /// Acts on a deadline.
    pub(crate) fn handle_timeout(&mut self, moment: Moment) {
        let now = moment.instant;
        if let State::Open { expiry: Some(expiry), .. } = &mut self.state
            && expiry.deadline() <= now
            && expiry.look(moment)
        {
            let detail = format!("Your token expired at {}. Connect with a new one.", expiry.at());
            self.fail(SessionError::TokenExpired, &detail, None);
        }
        match &mut self.state {
            State::ExpectConnect { until } if *until <= now => {
                let within = self.config.limits.connect_timeout;
                self.fail(
                    SessionError::Timeout,
                    &format!("No CONNECT frame came within {within:?}."),
                    None,
                );
            }
            State::Open { heart_beats, .. } => match heart_beats.next() {
                Some((at, Due::Send)) if at <= now => {
                    heart_beats.handle_sent(now);
                    // What waits to be written is a sign of life by itself.
                    if self.output.is_empty() {
                        self.push_output(Output::HeartBeat);
                    }
                }
                Some((at, Due::Receive)) if at <= now => {
                    self.fail(
                        SessionError::Timeout,
                        "Nothing arrived within twice the agreed heart-beat interval.",
                        None,
                    );
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// When to call `handle_timeout`.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::ExpectConnect { until } => Some(*until),
            State::Open { heart_beats, expiry, .. } => {
                let heart_beat = heart_beats.next().map(|(at, _)| at);
                let expiry = expiry.as_ref().map(|expiry| expiry.deadline());
                heart_beat.into_iter().chain(expiry).min()
            }
            State::ExpectVerdict(_) | State::Draining { .. } | State::Over { .. } => None,
        }
    }

    /// The next thing to carry out.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next frame to write.
    pub(crate) fn poll_output(&mut self, now: Instant) -> Option<Encoded> {
        let output = self.output.pop_front()?;
        self.output_bytes -= output.weight();
        let version = self.version();
        if let State::Open { heart_beats, .. } = &mut self.state {
            heart_beats.handle_sent(now);
        }
        let counters = &self.config.counters;
        let (command, encoded) = match output {
            Output::HeartBeat => return Some(Encoded::whole(Bytes::from_static(b"\n"))),
            Output::Frame(frame) => (frame.command, Encoded::whole(encode(&frame, version))),
            Output::Message { head, message } => {
                if let Some(at) = message.accepted_at {
                    counters.count_delivery(now.saturating_duration_since(at));
                }
                (Command::Message, message.for_subscriber(head, version))
            }
        };
        up(&counters.frames_sent[command as usize]);
        counters.bytes_sent.fetch_add(encoded.len() as u64, Relaxed);
        Some(encoded)
    }

    /// Whether something is to be written.
    pub(crate) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Whether so much waits to be written that parcels and replays have to wait too. The client's frames are still handled:
    /// it may read only after it has sent them.
    pub(crate) fn has_enough_output(&self) -> bool {
        self.output.len() >= ENOUGH_OUTPUT || self.output_bytes >= ENOUGH_OUTPUT_BYTES
    }

    /// How many messages and bytes may come before it [has enough](Session::has_enough_output).
    pub(crate) fn room_for_output(&self) -> (usize, usize) {
        let room = ENOUGH_OUTPUT.saturating_sub(self.output.len());
        (room, ENOUGH_OUTPUT_BYTES.saturating_sub(self.output_bytes))
    }

    fn push_output(&mut self, output: Output) {
        self.output_bytes += output.weight();
        self.output.push_back(output);
    }

    /// Whether frames are read from the client. What it sends afterwards is of no interest.
    fn reads(&self) -> bool {
        matches!(self.state, State::ExpectConnect { .. } | State::Open { .. })
    }

    /// Whether the connection is to be closed once the output is written.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Over { .. })
    }

    /// How it ended, if it is over.
    pub(crate) fn end(&self) -> Option<End> {
        match self.state {
            State::Over { end, .. } => Some(end),
            _ => None,
        }
    }

    /// Enters a state, unless the session is over: nothing follows that. The state changes nowhere else.
    fn transition(&mut self, next: State) {
        if !self.is_over() {
            self.state = next;
        }
    }

    /// How many subscriptions live at this server's broker, below `/user`, and at the external broker.
    pub(crate) fn subscription_counts(&self) -> [u64; 3] {
        let private = self.subscriptions.private_len();
        [self.subscriptions.len() - private, private, self.routes.len()].map(|count| count as u64)
    }

    /// What is to be given to others when the session ends, oldest first: the messages of queues that the client never
    /// acknowledged, and those that were `unread` in the outbox.
    pub(crate) fn take_undelivered(&mut self, unread: VecDeque<Parcel>) -> Vec<Arc<Message>> {
        let mut messages = self.pending.take(|_| true);
        messages.extend(unread.into_iter().filter_map(|parcel| match parcel {
            Parcel::Subscribed(_, message) => Some(message),
            _ => None,
        }));
        messages.retain(|message| message.is_queued());
        messages
    }

    fn version(&self) -> Version {
        match &self.state {
            State::ExpectConnect { .. } => Version::V1_2,
            State::ExpectVerdict(connecting) => connecting.version,
            State::Open { version, .. }
            | State::Draining { version }
            | State::Over { version, .. } => *version,
        }
    }
}
