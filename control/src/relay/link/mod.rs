//! One connection to the external broker, without I/O.

mod from_broker;
#[cfg(test)]
mod tests;
mod to_broker;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use madang_wire::{Command, Decoded, Decoder, Frame, HeartBeat, Limits, Version, encode, header};

use super::destination::{Rest, to_broker};
use super::url::RelayUrl;
use crate::broker::Receipt;
use crate::heart_beats::{Due, HeartBeats, TO_BROKER};

/// How long the broker may take to answer CONNECT, and DISCONNECT.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Frames that may wait for their RECEIPT; more orders are taken when some came.
const MOST_OWED: usize = 1_000;

/// Bytes that may wait to be written before more orders are taken.
const ENOUGH_OUTPUT: usize = 256 * 1024;

/// Requests from the owner of a link to the broker.
#[derive(Debug)]
pub(crate) enum Order {
    /// Send this frame of a client's, or the server's.
    Frame(Frame),
    /// Say goodbye once everything before is done; then let go of the receipt.
    Goodbye(Option<Receipt>),
}

/// Events for the owner of a link.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    /// The broker took the login.
    Connected,
    /// A frame for the client.
    Frame(Frame),
    /// Something could not be done; the client goes on.
    Refused { message: String, correlation_id: Option<String> },
    /// This connection is of no more use.
    Lost { reason: String },
}

/// The conversation with the broker on behalf of one session, or of the server itself; it outlives the connection.
///
/// ```text
/// Away ──handle_opened──▶ Connecting ──CONNECTED──▶ Open ──goodbye──▶ Leaving ──▶ Over
///   ▲                          │                      │
///   └────── handle_lost ◀──────┴──── Event::Lost ◀────┘
/// ```
///
/// Feed it with `handle_*`; then take the events, write `take_output`, and call `handle_timeout` at `poll_timeout`. After
/// `Event::Lost`, close the connection and open another; subscriptions are made again there.
#[derive(Debug)]
pub(super) struct Link {
    url: Arc<RelayUrl>,
    /// STOMP version of the client. Towards the broker it is always 1.2.
    version: Version,
    /// The longest frame from the broker, in bytes.
    frame_bytes: usize,
    state: State,
    decoder: Decoder,
    /// Connections so far; part of the ids that clients acknowledge by.
    connection: u64,
    rest: Rest,
    /// By the id that the broker hears. Bounded by `Limits::subscriptions`.
    subscriptions: HashMap<String, Subscription>,
    last_place: u64,
    /// Transactions that are open on this connection.
    transactions: HashSet<String>,
    /// RECEIPTs that the broker owes, by the number that it knows. Orders wait at [`MOST_OWED`].
    owed: BTreeMap<u64, Owed>,
    last_receipt: u64,
    /// Orders wait at [`ENOUGH_OUTPUT`].
    output: BytesMut,
    /// Grows by what one `handle_*` makes; nobody reads from the broker while there are some.
    events: VecDeque<Event>,
}

#[derive(Debug)]
enum State {
    Away {
        reason: String,
    },
    Connecting {
        until: Instant,
    },
    Open {
        heart_beats: HeartBeats,
    },
    /// The receipt is let go of when the broker has confirmed the goodbye.
    Leaving {
        _receipt: Option<Receipt>,
        number: u64,
        until: Instant,
    },
    Over,
}

#[derive(Debug)]
struct Subscription {
    /// In the client's words.
    destination: String,
    /// In the broker's, on this connection.
    asked: String,
    /// The client's SUBSCRIBE, to say it again.
    frame: Frame,
    acknowledges: bool,
    /// The client's receipt, which a broker that was away could not send.
    receipt: Option<String>,
    /// Which subscription was first.
    place: u64,
}

/// A RECEIPT that the broker has to send.
#[derive(Debug)]
struct Owed {
    /// The client's id for it.
    receipt: String,
    command: Command,
    /// Of a SUBSCRIBE.
    subscription: Option<String>,
}

impl Link {
    pub(super) fn new(url: Arc<RelayUrl>, version: Version, frame_bytes: usize) -> Link {
        Link {
            url,
            version,
            frame_bytes,
            state: State::Away { reason: "it is not connected yet".to_owned() },
            decoder: Decoder::new(Limits::default()),
            connection: 0,
            rest: Rest::Hash,
            subscriptions: HashMap::new(),
            last_place: 0,
            transactions: HashSet::new(),
            owed: BTreeMap::new(),
            last_receipt: 0,
            output: BytesMut::new(),
            events: VecDeque::new(),
        }
    }

    /// A connection is there.
    pub(super) fn handle_opened(&mut self, now: Instant) {
        self.connection += 1;
        self.decoder = Decoder::new(Limits { frame_bytes: self.frame_bytes, ..Limits::default() });
        self.output.clear();
        let mut connect = Frame::new(Command::Connect)
            .with_header(header::ACCEPT_VERSION, "1.2")
            .with_header(header::HOST, self.url.vhost.as_str())
            .with_header(header::HEART_BEAT, TO_BROKER.to_string());
        if !self.url.login.is_empty() {
            connect.headers.push(header::LOGIN, self.url.login.as_str());
            connect.headers.push(header::PASSCODE, self.url.passcode.expose());
        }
        self.write(&connect);
        self.state = State::Connecting { until: now + ANSWER_TIMEOUT };
    }

    /// Takes bytes from the broker.
    pub(super) fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        if let State::Open { heart_beats } = &mut self.state {
            heart_beats.handle_received(now);
        }
        if let Err(error) = self.decoder.push(bytes) {
            return self.lose(format!("it sent a malformed frame: {error}"));
        }
        while self.is_connected() {
            match self.decoder.next_frame() {
                Ok(None) => return,
                Ok(Some(Decoded::HeartBeat)) => {}
                Ok(Some(Decoded::Frame(frame))) => self.handle_broker(now, frame),
                Err(error) => return self.lose(format!("it sent a malformed frame: {error}")),
            }
        }
    }

    /// Takes an order; only while [`Link::takes_orders`].
    pub(super) fn handle_order(&mut self, now: Instant, order: Order) {
        match order {
            Order::Goodbye(receipt) => self.leave(now, receipt),
            Order::Frame(frame) => match frame.command {
                Command::Subscribe => self.subscribe(frame),
                Command::Unsubscribe => self.unsubscribe(frame),
                Command::Ack | Command::Nack => self.acknowledge(frame),
                Command::Begin => self.begin(frame),
                Command::Commit => self.commit(frame),
                Command::Abort => self.abort(frame),
                _ => self.send(frame),
            },
        }
    }

    /// The connection ended, or could not be opened.
    pub(super) fn handle_lost(&mut self, reason: &str) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Leaving { .. } | State::Over => {}
            State::Away { .. } | State::Connecting { .. } => {
                self.state = State::Away { reason: reason.to_owned() };
            }
            State::Open { .. } => {
                self.state = State::Away { reason: reason.to_owned() };
                self.forget_connection(reason);
            }
        }
        self.output.clear();
    }

    /// Acts on a deadline.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Connecting { until } if *until <= now => {
                self.lose("it did not answer CONNECT in time".to_owned());
            }
            State::Leaving { until, .. } if *until <= now => self.state = State::Over,
            State::Open { heart_beats } => match heart_beats.next() {
                Some((at, Due::Send)) if at <= now => {
                    heart_beats.handle_sent(now);
                    self.output.extend_from_slice(b"\n");
                }
                Some((at, Due::Receive)) if at <= now => {
                    self.lose("it sends no heart-beats".to_owned());
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// When to call `handle_timeout`.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Connecting { until } | State::Leaving { until, .. } => Some(*until),
            State::Open { heart_beats } => heart_beats.next().map(|(at, _)| at),
            State::Away { .. } | State::Over => None,
        }
    }

    /// Takes the next event.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Puts a frame back that could not be handed over yet.
    pub(super) fn put_back(&mut self, frame: Frame) {
        self.events.push_front(Event::Frame(frame));
    }

    /// The bytes to write, all at once.
    pub(super) fn take_output(&mut self, now: Instant) -> Bytes {
        if let (State::Open { heart_beats }, false) = (&mut self.state, self.output.is_empty()) {
            heart_beats.handle_sent(now);
        }
        self.output.split().freeze()
    }

    /// Whether orders can be dealt with: carried out, or refused. While it is being connected they wait.
    pub(super) fn takes_orders(&self) -> bool {
        match self.state {
            State::Away { .. } => true,
            State::Open { .. } => self.owed.len() < MOST_OWED && self.output.len() < ENOUGH_OUTPUT,
            State::Connecting { .. } | State::Leaving { .. } | State::Over => false,
        }
    }

    /// Whether the owner said goodbye and the broker has heard it, or won't.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether there is a connection that is of use.
    pub(super) fn is_connected(&self) -> bool {
        !matches!(self.state, State::Away { .. } | State::Over)
    }

    fn leave(&mut self, now: Instant, receipt: Option<Receipt>) {
        let State::Open { .. } = self.state else {
            self.state = State::Over;
            return;
        };
        self.last_receipt += 1;
        let number = self.last_receipt;
        let goodbye =
            Frame::new(Command::Disconnect).with_header(header::RECEIPT, number.to_string());
        self.write(&goodbye);
        self.state = State::Leaving { _receipt: receipt, number, until: now + ANSWER_TIMEOUT };
    }

    /// Requests made on the lost connection.
    fn forget_connection(&mut self, reason: &str) {
        self.transactions.clear();
        for Owed { receipt, command, subscription } in std::mem::take(&mut self.owed).into_values()
        {
            match command {
                Command::Subscribe => {
                    let id = subscription.unwrap_or_default();
                    if let Some(subscription) = self.subscriptions.get_mut(&id) {
                        subscription.receipt = Some(receipt);
                    }
                }
                // With the connection went the subscription, or the transaction.
                Command::Unsubscribe | Command::Abort => self.send_receipt(receipt),
                _ => self.refuse(
                    format!(
                        "the message broker was lost before it confirmed the {command} with receipt {receipt:?}: \
                         it is not known whether it was carried out"
                    ),
                    None,
                ),
            }
        }
        if !self.subscriptions.is_empty() {
            self.refuse(
                format!(
                    "the message broker is away ({reason}); subscriptions resume when it is back"
                ),
                None,
            );
        }
    }

    fn lose(&mut self, reason: String) {
        let reason = self.url.without_secret(&reason);
        self.events.push_back(Event::Lost { reason: reason.clone() });
        self.handle_lost(&reason);
    }

    fn refuse(&mut self, message: String, correlation_id: Option<String>) {
        self.events.push_back(Event::Refused { message, correlation_id });
    }

    fn send_receipt(&mut self, id: String) {
        let receipt = Frame::new(Command::Receipt).with_header(header::RECEIPT_ID, id);
        self.events.push_back(Event::Frame(receipt));
    }

    fn write(&mut self, frame: &Frame) {
        self.output.extend_from_slice(&encode(frame, Version::V1_2));
    }
}
