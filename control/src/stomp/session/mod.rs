//! The STOMP session of one client, without I/O.

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
use crate::auth::{AuthError, Credential, Destinations, Grant};
use crate::broker::{Limit, Message, Parcel, SubscriptionId};
use crate::counters::{Counters, up};
use crate::heart_beats::{Due, HeartBeats};
use crate::memory::{self, Held};
use crate::moment::Moment;
use crate::relay::Routes;
use crate::stomp::Sent;
use crate::token_bucket::TokenBucket;

pub(crate) use violation::SessionError;

/// Back-pressure: with this many frames waiting to be written, further parcels stay in the outbox.
const ENOUGH_OUTPUT: usize = 64;
/// Back-pressure: the bound in bytes ([`memory::enough`]); the last frame may exceed it.
const ENOUGH_OUTPUT_BYTES: usize = 256 * 1024;

/// The configuration of a session.
#[derive(Clone, Debug)]
pub(crate) struct SessionConfig {
    /// The session id, for the header `session` of CONNECTED.
    pub(crate) id: String,
    /// The prefixes of destinations.
    pub(crate) prefixes: Arc<Prefixes>,
    /// Whether topics and queues live on an external broker.
    pub(crate) relays: bool,
    /// See [`crate::hub::Limits`].
    pub(crate) limits: Arc<crate::limits::Limits>,
    /// The counters that the session updates.
    pub(crate) counters: Arc<Counters>,
}

/// A STOMP session.
///
/// Feed it with `handle_*`. Then carry out the actions of `poll_action`, write the frames of `poll_output`, and call
/// `handle_timeout` at the time that `poll_timeout` returns. When `is_over`, write the remaining output and close.
#[derive(Debug)]
pub(crate) struct Session {
    config: SessionConfig,
    state: State,
    decoder: Decoder,
    /// The rate limit of SEND and SUBSCRIBE frames.
    rate: TokenBucket,
    subscriptions: Subscriptions,
    pending: Pending,
    transactions: Transactions,
    /// The destinations outside rooms that the client may use.
    destinations: Destinations,
    /// The subscriptions and transactions that belong to the external broker.
    routes: Routes,
    actions: VecDeque<Action>,
    /// Bounded by back-pressure: it grows by the frames of one `handle_parcel` or `handle_replay`, which are not called
    /// while [`Session::has_enough_output`]. The RECEIPTs of `handle_bytes` then go to the outbox instead
    /// ([`Action::Receipt`]).
    output: VecDeque<Output>,
    /// The memory of all frames in `output`.
    output_bytes: usize,
    /// The memory of frames that have arrived in part, and of transactions that are not committed.
    unfinished: Held,
}

#[derive(Debug)]
enum State {
    ExpectConnect {
        until: Instant,
    },
    /// After CONNECT, until its credential is verified. Until then, further input of the client is buffered.
    ExpectVerdict(Box<Connecting>),
    Open {
        version: Version,
        heart_beats: HeartBeats,
        /// When the rights end. Boxed, because guests have no expiry.
        expiry: Option<Box<Expiry>>,
    },
    /// After DISCONNECT, until the frames before it are done.
    Draining {
        version: Version,
    },
    Over {
        version: Version,
        end: End,
    },
}

/// A valid CONNECT whose credential is not verified yet.
#[derive(Debug)]
struct Connecting {
    version: Version,
    /// Its header `heart-beat`.
    heart_beat: HeartBeat,
    receipt: Option<String>,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client sent DISCONNECT.
    Goodbye,
    /// The session failed with an ERROR.
    Error(SessionError),
}

/// A side effect that a session asks its owner to carry out.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Verify the credential, and call `handle_admitted` or `handle_refused`.
    Authenticate(Option<Box<Credential>>),
    /// The client is connected: make the session reachable.
    Attach,
    /// Add a subscription to the broker.
    Subscribe { id: SubscriptionId, destination: Destination, pattern: Pattern },
    /// Remove a subscription from the broker.
    Unsubscribe { id: SubscriptionId },
    /// Read stored chat messages, and call `handle_replay` with them.
    Replay { id: SubscriptionId, room: RoomName, what: Replay },
    /// Carry out the SENDs in order, then send the receipt.
    Send { messages: Vec<Sent>, receipt: Option<String> },
    /// Forward a frame to the external broker.
    Relay { frame: Frame, version: Version },
    /// Give a message of a queue to another subscriber.
    GiveBack(Arc<Message>),
    /// Put a RECEIPT into the outbox, because the output is full (back-pressure).
    Receipt(String),
    /// Tell the client that a frame was refused.
    Refuse { code: ErrorCode, message: String, correlation_id: Option<String> },
    /// The client disconnects: once all its earlier frames are done, call `handle_drained`.
    Disconnect { receipt: Option<String> },
}

#[derive(Debug)]
enum Output {
    Frame(Frame),
    /// A MESSAGE whose first header lines are `head` (`Broadcast::head`).
    Message {
        head: Bytes,
        message: Arc<Message>,
    },
    HeartBeat,
}

impl Output {
    /// The approximate size in memory, in bytes.
    fn weight(&self) -> usize {
        match self {
            Output::Frame(frame) => frame.weight(),
            Output::Message { message, .. } => message.weight(),
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
            destinations: Destinations::Every,
            routes: Routes::default(),
            actions: VecDeque::new(),
            output: VecDeque::new(),
            output_bytes: 0,
            unfinished: Held::default(),
            config,
        }
    }

    /// Handles bytes from the client.
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
        self.unfinished.set(self.decoder.unfinished() + self.transactions.bytes());
        if self.unfinished.is_too_much() {
            let detail = format!(
                "The server is short of memory, and holds {} bytes of frames and transactions that you have begun. Finish \
                 them sooner, or try again later.",
                self.unfinished.bytes()
            );
            self.fail(SessionError::ShortOfMemory, &detail, None);
        }
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

    /// Accepts the credential: the client is connected, with the rights of `grant`.
    pub(crate) fn handle_admitted(&mut self, now: Moment, grant: &Grant) {
        let State::ExpectVerdict(connecting) = &mut self.state else {
            return;
        };
        let Connecting { version, heart_beat, ref mut receipt } = **connecting;
        let receipt = receipt.take();
        self.destinations.clone_from(&grant.destinations);
        let expiry = grant.expires_at.map(|at| Box::new(Expiry::new(at, now)));
        self.handle_connected(now.instant, version, heart_beat, &grant.user, expiry);
        if let Some(receipt) = receipt {
            self.push_receipt(receipt);
        }
        // Frames behind CONNECT have waited in the decoder.
        self.read_frames(now.instant);
    }

    /// Refuses the credential, which ends the session.
    pub(crate) fn handle_refused(&mut self, why: &AuthError) {
        let State::ExpectVerdict(connecting) = &mut self.state else {
            return;
        };
        let receipt = connecting.receipt.take();
        self.fail(SessionError::NotAuthenticated, &why.to_string(), receipt);
    }

    /// Ends the session because the client's token was revoked.
    pub(crate) fn handle_revoked(&mut self) {
        self.fail(SessionError::TokenRevoked, "Your token was revoked.", None);
    }

    /// Ends the session because the WebSocket cannot decode what the client sent.
    pub(crate) fn handle_unreadable(&mut self, error: SessionError, detail: &str) {
        self.fail(error, detail, None);
    }

    /// Ends the session because the server shuts down.
    pub(crate) fn handle_drain(&mut self) {
        let error = SessionError::Draining;
        self.fail(error, error.text(), None);
    }

    /// Handles a parcel from the outbox.
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

    /// Handles the stored chat messages that a replay asked for, in ascending order of `seq`.
    pub(crate) fn handle_replay(
        &mut self,
        id: SubscriptionId,
        room: RoomName,
        page: &[Arc<Message>],
    ) {
        for message in page {
            self.deliver(id, message);
        }
        let Some(subscription) = self.subscriptions.get_mut(id) else {
            return;
        };
        let last = page.last().and_then(|message| message.seq);
        let is_full = page.len() >= REPLAY_PAGE as usize;
        if let Some(what) = subscription.gate.replayed(last, is_full) {
            self.actions.push_back(Action::Replay { id, room, what });
        }
    }

    /// Handles a failed replay: the client gets an `error` message, and from here on the live messages.
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

    /// Ends the session, because everything before the DISCONNECT is done.
    pub(crate) fn handle_drained(&mut self, receipt: Option<String>) {
        let State::Draining { version } = self.state else {
            return;
        };
        if let Some(receipt) = receipt {
            self.push_receipt(receipt);
        }
        self.transition(State::Over { version, end: End::Goodbye });
    }

    /// Ends the session because the client is a slow consumer: its outbox exceeded `limit`.
    pub(crate) fn handle_overflow(&mut self, limit: Limit) {
        self.output.clear();
        self.output_bytes = 0;
        let limits = &self.config.limits;
        let (most, what, key) = match limit {
            Limit::Messages => (limits.outbox_messages, "messages", "limits.outbox_messages"),
            Limit::Bytes => (limits.outbox_bytes, "bytes", "limits.outbox_bytes"),
        };
        let detail = format!(
            "More than {most} {what} were queued for this client ({key}): it reads more slowly than they arrive. \
             Connect again."
        );
        self.fail(SessionError::SlowConsumer, &detail, None);
    }

    /// Ends the session because both directions are stalled: the client reads nothing, and the external broker accepts
    /// nothing more from it.
    pub(crate) fn handle_stall(&mut self) {
        self.output.clear();
        self.output_bytes = 0;
        let detail = "The message broker accepts nothing more from this client, and this client does not read what is \
                      queued for it. Connect again.";
        self.fail(SessionError::SlowConsumer, detail, None);
    }

    /// Notes that nothing is read from the client at the moment, so that its silence does not count as a missed
    /// heart-beat.
    pub(crate) fn handle_unread(&mut self, now: Instant) {
        if let State::Open { heart_beats, .. } = &mut self.state {
            heart_beats.handle_received(now);
        }
    }

    /// Handles the deadlines that are due: the end of the token, the wait for CONNECT, and heart-beats.
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
                    // Frames that wait to be written serve as a heart-beat.
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

    /// The next action to carry out.
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

    /// Whether frames wait to be written.
    pub(crate) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Back-pressure: whether so much output waits that parcels and replays must wait too. The client's frames are
    /// still handled, because a client may not read before it has sent everything.
    pub(crate) fn has_enough_output(&self) -> bool {
        self.output.len() >= ENOUGH_OUTPUT
            || self.output_bytes >= memory::enough(ENOUGH_OUTPUT_BYTES)
    }

    /// How many more messages and bytes fit before it [has enough output](Session::has_enough_output).
    pub(crate) fn room_for_output(&self) -> (usize, usize) {
        let room = ENOUGH_OUTPUT.saturating_sub(self.output.len());
        (room, memory::enough(ENOUGH_OUTPUT_BYTES).saturating_sub(self.output_bytes))
    }

    fn push_output(&mut self, output: Output) {
        self.output_bytes += output.weight();
        self.output.push_back(output);
    }

    /// Whether frames are read from the client. In the other states they wait, or are ignored.
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

    /// Enters a state, unless the session is over, which is final. This is the only place that changes the state.
    fn transition(&mut self, next: State) {
        if !self.is_over() {
            self.state = next;
        }
    }

    /// The numbers of subscriptions at this server's broker, below `/user`, and at the external broker.
    pub(crate) fn subscription_counts(&self) -> [u64; 3] {
        let private = self.subscriptions.private_len();
        [self.subscriptions.len() - private, private, self.routes.len()].map(|count| count as u64)
    }

    /// The messages of queues to give to other subscribers when the session ends, oldest first: those that the client
    /// never acknowledged, and those `unread` in the outbox.
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
