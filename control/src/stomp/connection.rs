//! The task of one connection.
#![expect(clippy::disallowed_methods, reason = "the session's clock is read here and nowhere else")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message as WebSocketMessage, Utf8Bytes, close_code};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use madang_wire::{Command, Destination, Frame, Pattern, Signal, Version, encode, header};
use tokio_tungstenite::tungstenite;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::replays::{Page, Replays};
use super::socket::Socket;
use super::{Action, Outbox, Parcel, Receipt, Session, SessionConfig};
use crate::app::{App, Sender};
use crate::broker::{SessionId, SubscriptionId};
use crate::hub::{Counters, down, up};
use crate::relay::{Line, Order};
use crate::room::Requester;
use crate::store::Store;

/// What clients are told when the server stops.
pub(crate) const DRAINING: &str = "the server is shutting down";

/// How long the last frames may take to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the client may take to answer the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// How often a WebSocket ping asks whether the client is still there; for clients without heart-beats.
const PING_INTERVAL: Duration = Duration::from_secs(25);
/// After so many pings without a sign of life the connection is given up.
const MAX_SILENT_PINGS: u32 = 2;

/// What a connection's task works with.
pub(crate) struct Connection {
    pub(crate) id: SessionId,
    pub(crate) app: App,
    pub(crate) store: Store,
    pub(crate) counters: Arc<Counters>,
    /// Asks the session to end.
    pub(crate) drain: CancellationToken,
    /// Ends the task at once.
    pub(crate) shutdown: CancellationToken,
}

/// One connection while it runs.
struct Running {
    connection: Connection,
    session: Session,
    user: String,
    outbox: Outbox,
    sender: Sender,
    /// A DISCONNECT that waits for what came before it, with its receipt.
    goodbye: Option<Option<String>>,
    replays: Replays,
    /// The way to the external broker; opened by the first frame that goes there.
    line: Option<Line>,
    /// Something was written that may still be buffered.
    needs_flush: bool,
    /// Pings since the last sign of life.
    silent_pings: u32,
    needs_ping: bool,
}

/// The other end is gone.
struct Lost;

type Writer<S> = SplitSink<S, WebSocketMessage>;
type Reader<S> = SplitStream<S>;

impl Connection {
    /// Speaks STOMP until either side ends the session.
    pub(crate) async fn run<S: Socket>(self, socket: S, config: SessionConfig) {
        let outbox = Outbox::new(config.limits.outbox_messages, config.limits.outbox_bytes);
        let mut running = Running {
            sender: Sender { session: self.id, rooms: HashSet::new() },
            user: config.user.clone(),
            session: Session::new(config, Instant::now()),
            outbox,
            goodbye: None,
            replays: Replays::new(self.id, self.store.clone(), self.app.rooms.clone()),
            line: None,
            needs_flush: false,
            silent_pings: 0,
            needs_ping: false,
            connection: self,
        };
        let (mut writer, mut reader) = socket.split();
        let ended = running.run(&mut writer, &mut reader).await;
        running.leave().await;
        if ended.is_ok() {
            running.close(writer, reader).await;
        }
        running.count();
    }
}

impl Running {
    /// Runs until the session is over (`Ok`) or the other end is gone.
    async fn run<S: Socket>(
        &mut self,
        writer: &mut Writer<S>,
        reader: &mut Reader<S>,
    ) -> Result<(), Lost> {
        let (drain, shutdown) = (self.connection.drain.clone(), self.connection.shutdown.clone());
        let mut pings = tokio::time::interval(PING_INTERVAL);
        pings.reset();
        loop {
            self.carry_out().await;
            self.take_parcels();
            self.count();
            if self.session.is_over() {
                return Ok(());
            }
            let has_room = !self.session.has_enough_output();
            let may_order = !self.line.as_ref().is_some_and(Line::is_full);
            let has_output = self.session.has_output() || self.needs_ping;
            let outbox = self.outbox.clone();
            tokio::select! {
                ready = ready(writer, has_output), if has_output || self.needs_flush => {
                    ready.map_err(|_| Lost)?;
                    self.write(writer)?;
                }
                message = reader.next(), if has_room && may_order => self.handle_message(message)?,
                page = self.replays.next(), if has_room => self.handle_page(page),
                () = outbox.changed() => {}
                () = until(self.session.poll_timeout()) => self.session.handle_timeout(Instant::now()),
                _ = pings.tick() => {
                    self.silent_pings += 1;
                    self.needs_ping = true;
                    if self.silent_pings > MAX_SILENT_PINGS {
                        return Err(Lost);
                    }
                }
                () = drain.cancelled(), if !shutdown.is_cancelled() => {
                    self.session.handle_parcel(Parcel::End(DRAINING));
                }
                () = shutdown.cancelled() => return Err(Lost),
            }
        }
    }

    fn handle_message(
        &mut self,
        message: Option<Result<WebSocketMessage, axum::Error>>,
    ) -> Result<(), Lost> {
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => return self.handle_unreadable(error),
            None => return Err(Lost),
        };
        self.silent_pings = 0;
        let bytes: &[u8] = match &message {
            WebSocketMessage::Text(text) => text.as_bytes(),
            WebSocketMessage::Binary(bytes) => bytes,
            // Pings are answered by the WebSocket itself.
            WebSocketMessage::Ping(_) | WebSocketMessage::Pong(_) => return Ok(()),
            WebSocketMessage::Close(_) => return Err(Lost),
        };
        self.connection.counters.bytes_received.fetch_add(bytes.len() as u64, Relaxed);
        self.session.handle_bytes(Instant::now(), bytes);
        Ok(())
    }

    /// A message that is too long or not UTF-8 is a violation that the client is told about; any other error means that
    /// the other end is gone.
    fn handle_unreadable(&mut self, error: axum::Error) -> Result<(), Lost> {
        match error.into_inner().downcast_ref::<tungstenite::Error>() {
            Some(error @ (tungstenite::Error::Capacity(_) | tungstenite::Error::Utf8(_))) => {
                self.session.handle_unreadable(&error.to_string());
                Ok(())
            }
            _ => Err(Lost),
        }
    }

    /// Writes one message, if there is one. The writer is ready for it, or else flushed.
    fn write<S: Socket>(&mut self, writer: &mut Writer<S>) -> Result<(), Lost> {
        let message = if std::mem::take(&mut self.needs_ping) {
            WebSocketMessage::Ping(Bytes::new())
        } else {
            let Some((bytes, is_text)) = self.session.poll_output(Instant::now()) else {
                self.needs_flush = false;
                return Ok(());
            };
            self.connection.counters.bytes_sent.fetch_add(bytes.len() as u64, Relaxed);
            web_socket_message(bytes, is_text)
        };
        self.needs_flush = true;
        writer.start_send_unpin(message).map_err(|_| Lost)
    }

    /// Takes what others have put into the outbox, as far as the client keeps up.
    fn take_parcels(&mut self) {
        while !self.session.has_enough_output() {
            let Some(parcel) = self.outbox.pop() else {
                break;
            };
            self.session.handle_parcel(parcel);
        }
        if self.outbox.has_overflowed() && !self.session.is_over() {
            up(&self.connection.counters.slow_consumers);
            warn!("a client reads too slowly and is dropped");
            self.session.handle_overflow();
        }
        if let Some(receipt) = self.goodbye.take() {
            if self.outbox.owes_receipts() || !self.outbox.is_empty() {
                self.goodbye = Some(receipt);
            } else {
                self.session.handle_drained(receipt);
            }
        }
    }

    /// Carries out what the session asks for.
    async fn carry_out(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Attach => {
                    self.connection.app.broker.attach(self.connection.id, &self.user, &self.outbox);
                }
                Action::Subscribe { id, destination, pattern } => {
                    up(&self.connection.counters.subscriptions);
                    self.subscribe(id, &destination, pattern);
                }
                Action::Unsubscribe { id } => {
                    down(&self.connection.counters.subscriptions);
                    self.connection.app.broker.unsubscribe(self.connection.id, id);
                }
                Action::Replay { id, room, what } => self.replays.start(id, room, what),
                Action::Send { messages, receipt } => {
                    let receipt = receipt.map(|id| Receipt::new(id, &self.outbox));
                    for sent in messages {
                        self.connection.app.handle_send(&mut self.sender, sent, receipt.as_ref());
                    }
                }
                Action::Relay { frame, version } => self.relay(frame, version),
                Action::GiveBack(message) => {
                    self.connection.app.broker.enqueue(&message, Some(self.connection.id));
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

    fn subscribe(&mut self, id: SubscriptionId, to: &Destination, pattern: Pattern) {
        let App { broker, rooms, .. } = &self.connection.app;
        if *to != Destination::Rooms {
            return broker.subscribe(self.connection.id, id, pattern);
        }
        for room in rooms.subscribe_to_list(self.connection.id, id, pattern) {
            self.session.handle_parcel(Parcel::Subscribed(id, room));
        }
    }

    /// Sends a frame to the external broker. A session has such frames only when there is one.
    fn relay(&mut self, frame: Frame, version: Version) {
        let App { relay, signals, .. } = &self.connection.app;
        let Some(relay) = relay else { return };
        let connect = || relay.connect(self.connection.id, &self.outbox, signals, version);
        self.line.get_or_insert_with(connect).order(Order::Frame(frame));
    }

    fn handle_page(&mut self, Page { id, room, what, messages }: Page) {
        match messages {
            Some(messages) => self.session.handle_replay(id, room, what, &messages),
            None => self.session.handle_replay_failed(id),
        }
    }

    /// Makes the session unknown to everybody.
    async fn leave(&mut self) {
        self.outbox.close();
        self.line = None;
        let App { broker, .. } = &self.connection.app;
        let count = broker.detach(self.connection.id) as u64;
        self.connection.counters.subscriptions.fetch_sub(count, Relaxed);
        for message in self.session.take_unacknowledged() {
            broker.enqueue(&message, Some(self.connection.id));
        }
        self.tell_rooms(false).await;
        debug!("session ended");
    }

    async fn tell_rooms(&mut self, said_goodbye: bool) {
        let (rooms, id) = (&self.connection.app.rooms, self.connection.id);
        for room in self.sender.rooms.drain() {
            // The goodbye's own receipt has to wait until the room has heard it.
            let heard = said_goodbye.then(|| Receipt::silent(&self.outbox));
            rooms.tell_gone(&room, id, said_goodbye, heard).await;
        }
    }

    /// Writes what is left, and closes.
    async fn close<S: Socket>(&mut self, mut writer: Writer<S>, mut reader: Reader<S>) {
        let last_words = async {
            while let Some((bytes, is_text)) = self.session.poll_output(Instant::now()) {
                self.connection.counters.bytes_sent.fetch_add(bytes.len() as u64, Relaxed);
                writer.feed(web_socket_message(bytes, is_text)).await?;
            }
            writer.send(closing()).await
        };
        let written = tokio::time::timeout(WRITE_TIMEOUT, last_words).await;
        if matches!(written, Ok(Ok(()))) {
            // A connection that is cut with unread bytes may lose what was written.
            let answered = async { while let Some(Ok(_)) = reader.next().await {} };
            // Who does not listen is cut off.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, answered).await;
        }
    }

    fn count(&mut self) {
        let counts = self.session.take_counts();
        let counters = &self.connection.counters;
        counters.frames_received.fetch_add(counts.received, Relaxed);
        counters.frames_sent.fetch_add(counts.sent, Relaxed);
        counters.protocol_errors.fetch_add(counts.errors, Relaxed);
    }
}

/// Waits until the writer takes a message or, when there is none, until all is out. Nothing is lost when this is dropped.
async fn ready<S: Socket>(writer: &mut Writer<S>, has_output: bool) -> Result<(), axum::Error> {
    if has_output {
        std::future::poll_fn(|cx| writer.poll_ready_unpin(cx)).await
    } else {
        writer.flush().await
    }
}

/// Turns a connection away.
pub(crate) async fn refuse(mut socket: impl Socket, reason: &str) {
    let error = Frame::new(Command::Error)
        .with_header(header::MESSAGE, reason)
        .with_header(header::CONTENT_TYPE, "text/plain")
        .with_body(reason.to_owned());
    let last_words = async {
        socket.send(web_socket_message(encode(&error, Version::V1_2), true)).await?;
        socket.send(closing()).await
    };
    // Who does not listen is cut off.
    let _ = tokio::time::timeout(WRITE_TIMEOUT, last_words).await;
}

/// A text message where that is possible (RFC 6455 §5.6), else a binary one.
fn web_socket_message(bytes: Bytes, is_text: bool) -> WebSocketMessage {
    match Utf8Bytes::try_from(bytes.clone()) {
        Ok(text) if is_text => WebSocketMessage::Text(text),
        _ => WebSocketMessage::Binary(bytes),
    }
}

fn closing() -> WebSocketMessage {
    WebSocketMessage::Close(Some(CloseFrame {
        code: close_code::NORMAL,
        reason: Utf8Bytes::default(),
    }))
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
