//! The task of one connection.
//!
//! This loop determines the cost of delivering a message, so it is optimised for many small turns. One turn takes
//! everything from the outbox, writes it into the socket's buffer, and hands the buffer to the kernel in one call. No
//! turn sets anything up: there is one timer, which moves only when a deadline comes closer, and a push into the outbox
//! wakes the task only if the task has seen everything before.
//!
//! Back-pressure, in both directions:
//!
//! - A client that reads slowly fills the session's output. Then parcels stay in the outbox, whose policies deal with
//!   the slow consumer, and replays pause.
//! - An external broker that reads slowly fills the line. Then nothing more is read from the client.
#![expect(clippy::disallowed_methods, reason = "the only place that reads the session's clock")]

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::extract::ws::close_code;
use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use madang_wire::{
    Command, Destination, Encoded, Frame, Pattern, RoomName, Signal, Version, encode, header,
};
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::dispatch::{Dispatch, OfferRate, Sender};
use super::replays::{Page, Replays};
use super::socket::{Outgoing, Socket};
use super::{Action, End, Replay, Session, SessionConfig, SessionError};
use crate::auth::{Auth, Credential, Grant};
use crate::broker::{Discarded, Outbox, Parcel, Receipt, Requester, SessionId, SubscriptionId};
use crate::counters::{Counters, up};
use crate::limits::SlowPolicy;
use crate::moment::Moment;
use crate::refusal::Refusal;
use crate::relay::{Line, Order};
use crate::store::Store;

/// How long the last frames may take to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the client may take to answer the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// The interval of WebSocket pings, which detect dead connections of clients without heart-beats.
const PING_INTERVAL: Duration = Duration::from_secs(25);
/// The connection counts as dead after more than this many pings without a message from the client.
const MAX_SILENT_PINGS: u32 = 2;

/// How long both the client and the external broker may accept nothing before the client counts as a slow consumer.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The capacity for parcels that an idle connection keeps.
const FEW_PARCELS: usize = 4;

/// The parts that the task of a connection works with.
pub(crate) struct Connection {
    pub(crate) id: SessionId,
    /// The client's address.
    pub(crate) address: IpAddr,
    pub(crate) app: Dispatch,
    pub(crate) auth: Auth,
    pub(crate) store: Store,
    pub(crate) counters: Arc<Counters>,
    /// Asks the session to end.
    pub(crate) drain: CancellationToken,
    /// Ends the task at once.
    pub(crate) shutdown: CancellationToken,
}

/// A running connection.
struct Running {
    connection: Connection,
    session: Session,
    outbox: Outbox,
    sender: Sender,
    /// A DISCONNECT that waits for the frames before it, with the id of its receipt.
    goodbye: Option<Option<String>>,
    replays: Replays,
    /// Subscriptions to the list of rooms that have not begun. Bounded by `Limits::subscriptions`.
    room_lists: VecDeque<(SubscriptionId, Pattern)>,
    /// The line to the external broker; the first frame for the broker opens it.
    line: Option<Line>,
    /// Whether written items may still be buffered.
    needs_flush: bool,
    /// Pings since the last message from the client.
    silent_pings: u32,
    needs_ping: bool,
    ping_at: Instant,
    /// When to give up, while the client accepts no output and the broker accepts nothing from the client.
    stalled_until: Option<Instant>,
    /// The parcels that a turn took from the outbox; empty between turns.
    parcels: Vec<Parcel>,
    /// By policy: whether it was applied to this slow consumer.
    slow: [bool; 3],
    /// The counts that are included in the gauges of subscriptions.
    counted: [u64; 3],
}

/// How the other end ended the connection.
enum Lost {
    /// It is gone.
    Gone,
    /// It began the closing handshake, and waits for the server's Close frame (RFC 6455 §5.5.1).
    Closing,
}

/// An event that ends the wait of a turn.
enum Event {
    Message(Option<Result<Message, Error>>),
    Page(Page),
    /// The outbox or the output changed: run another turn.
    Changed,
    Timeout,
    Drain,
}

impl Connection {
    /// Speaks STOMP until either side ends the session. `guest` holds the rights of a client that has no credential and
    /// needs none.
    ///
    /// Not an `async fn`: its future would store the arguments as well as what is built from them, for each connection.
    pub(crate) fn run<S: Socket>(
        self,
        mut socket: S,
        config: SessionConfig,
        guest: Grant,
    ) -> impl Future<Output = ()> + Send {
        let outbox = Outbox::new(&config.limits);
        let mut running = Running {
            sender: Sender {
                session: self.id,
                name: config.id.clone(),
                address: self.address,
                grant: Arc::new(guest),
                rooms: HashSet::new(),
                offers: OfferRate::new(config.limits.offers_per_second, Instant::now()),
            },
            session: Session::new(config, Instant::now()),
            outbox,
            goodbye: None,
            replays: Replays::new(
                Instant::now(),
                self.id,
                self.store.clone(),
                self.app.rooms.clone(),
            ),
            room_lists: VecDeque::new(),
            line: None,
            needs_flush: false,
            silent_pings: 0,
            needs_ping: false,
            ping_at: Instant::now() + PING_INTERVAL,
            stalled_until: None,
            parcels: Vec::new(),
            slow: [false; 3],
            counted: [0; 3],
            connection: self,
        };
        async move {
            let ended = running.run(&mut socket).await;
            running.leave().await;
            match ended {
                Ok(()) => running.close(&mut socket).await,
                Err(Lost::Closing) => answer_close(&mut socket).await,
                Err(Lost::Gone) => {}
            }
            running.count_subscriptions([0; 3]);
        }
    }
}

impl Running {
    /// Runs until the session is over (`Ok`) or the other end is gone.
    async fn run<S: Socket>(&mut self, socket: &mut S) -> Result<(), Lost> {
        // A child token, because every connection would take the lock of a shared token at every turn.
        let drain = self.connection.drain.child_token();
        let mut drained = pin!(drain.cancelled());
        let mut armed = Instant::now() + PING_INTERVAL;
        let mut alarm = pin!(tokio::time::sleep_until(armed.into()));
        loop {
            self.carry_out().await;
            self.list_rooms();
            self.take_parcels();
            self.count();
            if self.session.is_over() {
                return Ok(());
            }
            // If a deadline moved away, the alarm fires too early and is set again; moving it each time costs more.
            let deadline = self.deadline();
            if deadline < armed {
                armed = deadline;
                alarm.as_mut().reset(armed.into());
            }
            let event = poll_fn(|cx| self.poll(socket, alarm.as_mut(), drained.as_mut(), cx));
            match event.await? {
                Event::Message(message) => self.handle_message(message)?,
                Event::Page(page) => self.handle_page(page),
                Event::Changed => {}
                Event::Timeout => {
                    self.handle_timeout(Instant::now())?;
                    armed = self.deadline();
                    alarm.as_mut().reset(armed.into());
                }
                Event::Drain if self.connection.shutdown.is_cancelled() => return Err(Lost::Gone),
                Event::Drain => self.session.handle_drain(),
            }
        }
    }

    /// Writes the output, and waits for the first event. Cancel safe: nothing is lost when it is not polled again.
    fn poll<S: Socket>(
        &mut self,
        socket: &mut S,
        alarm: Pin<&mut Sleep>,
        drained: Pin<&mut impl Future<Output = ()>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Event, Lost>> {
        let was_full = self.session.has_enough_output();
        let is_blocked = match self.poll_write(socket, cx) {
            Poll::Ready(written) => written.map(|()| false).map_err(|_| Lost::Gone)?,
            Poll::Pending => true,
        };
        let begins_to_stall = self.watch_stall(is_blocked);
        if begins_to_stall || was_full && !self.session.has_enough_output() {
            return Poll::Ready(Ok(Event::Changed));
        }
        if drained.poll(cx).is_ready() {
            return Poll::Ready(Ok(Event::Drain));
        }
        if alarm.poll(cx).is_ready() {
            return Poll::Ready(Ok(Event::Timeout));
        }
        if self.outbox.poll_changed(cx).is_ready() {
            return Poll::Ready(Ok(Event::Changed));
        }
        // Reads even while the output is full. A client may send everything before it reads anything; if the server
        // stopped reading, the two would deadlock. The replies to its frames wait in the outbox, within the outbox's
        // limits.
        if self.may_order()
            && let Poll::Ready(message) = socket.poll_next_unpin(cx)
        {
            return Poll::Ready(Ok(Event::Message(message)));
        }
        if !was_full
            && self.replays.has_any()
            && let Poll::Ready(page) = self.replays.poll_next(Instant::now(), cx)
        {
            return Poll::Ready(Ok(page.map_or(Event::Changed, Event::Page)));
        }
        Poll::Pending
    }

    /// Writes all output, and hands it to the kernel in one call if the kernel accepts it. Ready when nothing is left.
    fn poll_write<S: Socket>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        if self.session.has_output() || self.needs_ping {
            let now = Instant::now();
            ready!(socket.poll_ready_unpin(cx))?;
            while let Some(outgoing) = self.next_outgoing(now) {
                self.needs_flush = true;
                self.stalled_until = None;
                socket.start_send_unpin(outgoing)?;
                ready!(socket.poll_ready_unpin(cx))?;
            }
        }
        if self.needs_flush {
            ready!(socket.poll_flush_unpin(cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// The next item to write, if any.
    fn next_outgoing(&mut self, now: Instant) -> Option<Outgoing> {
        if std::mem::take(&mut self.needs_ping) {
            return Some(Outgoing::Ping);
        }
        self.session.poll_output(now).map(Outgoing::Frame)
    }

    /// Whether the line to the external broker has room for the client's next frames. Back-pressure: if it has none,
    /// nothing is read from the client.
    fn may_order(&self) -> bool {
        !self.line.as_ref().is_some_and(Line::is_full)
    }

    /// Sets or clears the deadline of a stall; returns whether a stall begins. `is_blocked` says that the client
    /// accepts no more output.
    fn watch_stall(&mut self, is_blocked: bool) -> bool {
        if !is_blocked || self.may_order() {
            self.stalled_until = None;
            return false;
        }
        let begins = self.stalled_until.is_none();
        if begins {
            self.stalled_until = Some(Instant::now() + STALL_TIMEOUT);
        }
        begins
    }

    fn deadline(&self) -> Instant {
        let others = [self.session.poll_timeout(), self.stalled_until, self.replays.poll_timeout()];
        others.into_iter().flatten().fold(self.ping_at, Instant::min)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Lost> {
        if self.stalled_until.is_some_and(|until| until <= now) {
            self.is_slow(SlowPolicy::Disconnect);
            self.session.handle_stall();
        }
        if !self.may_order() {
            self.silent_pings = 0;
            self.session.handle_unread(now);
        }
        self.replays.handle_timeout(now);
        self.session.handle_timeout(Moment { instant: now, utc: Timestamp::now() });
        if self.ping_at <= now {
            self.ping_at = now + PING_INTERVAL;
            self.silent_pings += 1;
            self.needs_ping = true;
        }
        if self.silent_pings > MAX_SILENT_PINGS { Err(Lost::Gone) } else { Ok(()) }
    }

    fn handle_message(&mut self, message: Option<Result<Message, Error>>) -> Result<(), Lost> {
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => return self.handle_unreadable(error),
            None => return Err(Lost::Gone),
        };
        self.silent_pings = 0;
        let bytes: &[u8] = match &message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
            // The WebSocket itself answers pings.
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) | Message::Frame(_) => return Err(Lost::Closing),
        };
        self.connection.counters.bytes_received.fetch_add(bytes.len() as u64, Relaxed);
        self.session.handle_bytes(Instant::now(), bytes);
        Ok(())
    }

    /// Handles a read error. A message that is too long, not UTF-8 or not a WebSocket message is a violation, which
    /// ends the session with an ERROR. Any other error means that the other end is gone.
    fn handle_unreadable(&mut self, error: Error) -> Result<(), Lost> {
        let kind = match &error {
            Error::Capacity(_) => SessionError::MessageTooLong,
            Error::Utf8(_) => SessionError::MessageNotUtf8,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return Err(Lost::Gone),
            Error::Protocol(_) => SessionError::MessageNotWebSocket,
            Error::Io(error) if error.kind() == ErrorKind::OutOfMemory => {
                SessionError::ShortOfMemory
            }
            _ => return Err(Lost::Gone),
        };
        self.session.handle_unreadable(kind, &error.to_string());
        Ok(())
    }

    /// Moves parcels from the outbox into the session, as far as the client keeps up (back-pressure). Afterwards the
    /// outbox is empty or the session has enough output, so that no parcel waits for a wake-up that does not come.
    fn take_parcels(&mut self) {
        loop {
            let (most, bytes) = self.session.room_for_output();
            let discarded = self.outbox.take(most, bytes, &mut self.parcels);
            if discarded != Discarded::default() {
                self.handle_discarded(discarded);
            }
            let is_done = self.parcels.is_empty();
            for parcel in self.parcels.drain(..) {
                self.session.handle_parcel(parcel);
            }
            if is_done || self.session.has_enough_output() {
                break;
            }
        }
        self.parcels.shrink_to(FEW_PARCELS);
        if self.outbox.is_revoked() {
            self.session.handle_revoked();
        }
        if let Some(limit) = self.outbox.overflow().filter(|_| !self.session.is_over()) {
            self.is_slow(SlowPolicy::Disconnect);
            self.session.handle_overflow(limit);
        }
        if let Some(receipt) = self.goodbye.take() {
            if self.outbox.owes_receipts() || !self.outbox.is_empty() {
                self.goodbye = Some(receipt);
            } else {
                self.session.handle_drained(receipt);
            }
        }
    }

    fn handle_discarded(&mut self, Discarded { coalesced, dropped }: Discarded) {
        let counters = Arc::clone(&self.connection.counters);
        for (policy, count) in
            [(SlowPolicy::Coalesce, coalesced), (SlowPolicy::DropOldest, dropped)]
        {
            if count > 0 {
                counters.discarded[policy as usize].fetch_add(count, Relaxed);
                self.is_slow(policy);
            }
        }
    }

    /// Counts and logs a slow consumer: the first use of each policy on this connection.
    fn is_slow(&mut self, policy: SlowPolicy) {
        if !std::mem::replace(&mut self.slow[policy as usize], true) {
            up(&self.connection.counters.slow_consumers[policy as usize]);
            warn!(
                policy = policy.as_str(),
                "slow consumer: a client reads more slowly than its messages arrive"
            );
        }
    }

    /// Carries out the session's actions.
    async fn carry_out(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Authenticate(credential) => {
                    self.authenticate(credential.as_deref()).await;
                }
                Action::Attach => self.attach(),
                Action::Subscribe { id, destination, pattern } => {
                    self.subscribe(id, &destination, pattern);
                }
                Action::Unsubscribe { id } => {
                    self.connection.app.broker.unsubscribe(self.connection.id, id);
                    self.replays.forget(id);
                    self.room_lists.retain(|(listed, _)| *listed != id);
                }
                Action::Receipt(id) => {
                    self.outbox.push(Parcel::Receipt(id));
                }
                Action::Replay { id, room, what } => self.replay(id, room, what),
                Action::Send { messages, receipt } => {
                    let receipt = receipt.map(|id| Receipt::new(id, &self.outbox));
                    for sent in messages {
                        self.connection.app.handle_send(&mut self.sender, sent, receipt.as_ref());
                    }
                }
                Action::Relay { frame, version } => self.relay(frame, version),
                Action::GiveBack(message) => {
                    self.connection.app.broker.give_back(&message, self.connection.id);
                }
                Action::Refuse { code, message, correlation_id } => {
                    let to = Requester { session: self.connection.id, correlation_id };
                    self.connection.app.signals.send(&to, &Signal::Error { code, message });
                }
                Action::Disconnect { receipt } => {
                    self.tell_rooms(true).await;
                    if let Some(line) = &self.line {
                        line.order(Order::Goodbye(Some(Receipt::silent(&self.outbox))));
                    }
                    self.goodbye = Some(receipt);
                }
            }
        }
    }

    /// Verifies the client's credential. Meanwhile nothing more is read from the client.
    async fn authenticate(&mut self, credential: Option<&Credential>) {
        let Connection { auth, drain, .. } = &self.connection;
        let verdict = tokio::select! {
            biased;
            verdict = auth.admit(credential) => verdict,
            // The next event of this turn, `Event::Drain`, ends the session.
            () = drain.cancelled() => return,
        };
        match verdict {
            Ok(grant) => {
                if let Some(grant) = grant {
                    self.sender.grant = Arc::new(grant);
                }
                let now = Moment { instant: Instant::now(), utc: Timestamp::now() };
                self.session.handle_admitted(now, &self.sender.grant);
            }
            Err(why) => {
                debug!(%why, "authentication failed; refusing the client");
                self.session.handle_refused(&why);
            }
        }
    }

    /// Makes the session reachable. If its token is revoked at the same moment, either the broker or the check here
    /// finds the session.
    fn attach(&self) {
        let Connection { app, auth, id, .. } = &self.connection;
        app.broker.attach(*id, &self.sender.grant, &self.outbox);
        if auth.is_revoked(&self.sender.grant) {
            self.outbox.revoke();
        }
    }

    /// Subscribes at the broker. A pattern may match more rooms than the grant opens; the broker checks the grant again
    /// when a message about a room is published.
    fn subscribe(&mut self, id: SubscriptionId, to: &Destination, pattern: Pattern) {
        let Dispatch { broker, signals, .. } = &self.connection.app;
        if let Destination::Chat(room) | Destination::Events(room) = to
            && let Err(Refusal { code, message }) = self.sender.opens(room)
        {
            // The subscription exists in the session, but never gets a message.
            return signals.send(&self.connection.id.into(), &Signal::Error { code, message });
        }
        match to {
            Destination::Rooms => self.room_lists.push_back((id, pattern)),
            _ => broker.subscribe(self.connection.id, id, pattern),
        }
    }

    /// Begins the subscriptions to the list of rooms. Each produces one message per room, so it waits while the output
    /// is full (back-pressure).
    fn list_rooms(&mut self) {
        while !self.session.has_enough_output()
            && let Some((id, pattern)) = self.room_lists.pop_front()
        {
            let (session, grant) = (self.connection.id, &self.sender.grant);
            let rooms = &self.connection.app.rooms;
            for room in rooms.subscribe_to_list(session, grant, id, pattern) {
                self.session.handle_parcel(Parcel::Subscribed(id, room));
            }
        }
    }

    fn replay(&mut self, id: SubscriptionId, room: RoomName, what: Replay) {
        if self.sender.opens(&room).is_ok() {
            self.replays.start(id, room, what);
        }
    }

    /// Sends a frame to the external broker. A session produces such frames only if there is one.
    fn relay(&mut self, frame: Frame, version: Version) {
        let Dispatch { relay, signals, .. } = &self.connection.app;
        let Some(relay) = relay else { return };
        let connect = || relay.connect(self.connection.id, &self.outbox, signals, version);
        self.line.get_or_insert_with(connect).order(Order::Frame(frame));
    }

    fn handle_page(&mut self, Page { id, room, messages }: Page) {
        match messages {
            Ok(messages) => self.session.handle_replay(id, room, &messages),
            Err(Refusal { code, message }) => self.session.handle_replay_failed(id, code, message),
        }
    }

    /// Detaches the session from the broker and the rooms, and gives undelivered messages of queues to other
    /// subscribers.
    async fn leave(&mut self) {
        self.line = None;
        let Dispatch { broker, .. } = &self.connection.app;
        // Detaches first, so that nothing more arrives: then the outbox holds all that other subscribers must get.
        broker.detach(self.connection.id);
        let unread = self.outbox.close();
        for message in self.session.take_undelivered(unread) {
            broker.give_back(&message, self.connection.id);
        }
        // A client whose rights ended cannot resume its participants.
        let is_final = matches!(self.session.end(), Some(End::Error(error)) if error.ends_rights());
        self.tell_rooms(is_final).await;
        debug!("session ended");
    }

    async fn tell_rooms(&mut self, said_goodbye: bool) {
        let (rooms, id) = (&self.connection.app.rooms, self.connection.id);
        for room in self.sender.rooms.drain() {
            // The receipt of the DISCONNECT must wait until the room has handled it.
            let heard = said_goodbye.then(|| Receipt::silent(&self.outbox));
            rooms.tell_gone(&room, id, said_goodbye, heard).await;
        }
    }

    /// Writes the remaining output, and closes the socket.
    async fn close<S: Socket>(&mut self, socket: &mut S) {
        let code = match self.session.end() {
            Some(End::Error(error)) => error.close_code(),
            Some(End::Goodbye) | None => close_code::NORMAL,
        };
        while let Some(frame) = self.session.poll_output(Instant::now()) {
            // Does not wait until the socket is ready: the rest is bounded, and an ERROR must reach a client that reads
            // late.
            if socket.start_send_unpin(Outgoing::Frame(frame)).is_err() {
                return;
            }
        }
        if socket.start_send_unpin(Outgoing::Close(code)).is_err() {
            return;
        }
        let mut may_send = true;
        let written = poll_fn(|cx| {
            // A client may not read before it has sent everything, so what it sends is read and dropped.
            while may_send && let Poll::Ready(message) = socket.poll_next_unpin(cx) {
                may_send = matches!(message, Some(Ok(_)));
            }
            socket.poll_flush_unpin(cx)
        });
        let written = tokio::time::timeout(WRITE_TIMEOUT, written).await;
        if matches!(written, Ok(Ok(()))) && may_send {
            // Closing a connection with unread bytes resets it, which may lose what was written.
            let answered = async { while let Some(Ok(_)) = socket.next().await {} };
            // A client that does not answer the closing handshake is cut off.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, answered).await;
        }
    }

    fn count(&mut self) {
        let counts = self.session.subscription_counts();
        self.count_subscriptions(counts);
    }

    /// Moves the gauges by the difference to the counts of the last call.
    fn count_subscriptions(&mut self, counts: [u64; 3]) {
        let gauges = &self.connection.counters.subscriptions;
        for ((gauge, counted), count) in gauges.iter().zip(&mut self.counted).zip(counts) {
            if *counted != count {
                // A decrease wraps around, and the addition wraps back.
                gauge.fetch_add(count.wrapping_sub(*counted), Relaxed);
                *counted = count;
            }
        }
    }
}

/// Refuses a connection: sends an ERROR, and closes with 1013 (try again later).
pub(crate) async fn refuse(mut socket: impl Socket, reason: &str) {
    let error = Frame::new(Command::Error)
        .with_header(header::MESSAGE, reason)
        .with_header(header::CONTENT_TYPE, "text/plain")
        .with_body(reason.to_owned());
    let last_words = async {
        let error = Encoded::whole(encode(&error, Version::V1_2));
        socket.feed(Outgoing::Frame(error)).await?;
        socket.send(Outgoing::Close(close_code::AGAIN)).await
    };
    // A client that does not read in time is cut off.
    let _ = tokio::time::timeout(WRITE_TIMEOUT, last_words).await;
}

/// Lets the WebSocket write the Close frame that answers the client's (RFC 6455 §5.5.1).
async fn answer_close(socket: &mut impl Socket) {
    let written = async { while let Some(Ok(_)) = socket.next().await {} };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, written).await;
}
