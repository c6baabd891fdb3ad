//! The task of one connection to the broker, and of those after it.
#![expect(clippy::disallowed_methods, reason = "sockets and the clock of a link are here")]

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::{Buf, Bytes, BytesMut};
use madang_wire::{ErrorCode, Frame, Signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::line::Orders;
use super::link::{Event, Link, Order};
use super::status::{Counters, Status};
use super::url::RelayUrl;
use crate::broker::{Delivery, Outbox, Parcel, Requester, SessionId, Signals};
use crate::counters::{down, up};
use crate::deadline::until;

/// How long a TCP connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long what a session left behind may take to be written.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The first and the longest pause between two attempts; each is made longer at random, by less than itself.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));
/// Sessions that follow the server's own connection back spread over this time, so that a broker that just started is not
/// overrun.
const SPREAD_MS: u64 = 1_000;
/// Bytes that are read at a time.
const READ_BYTES: usize = 16 * 1024;

/// The session that owns this connection.
pub(super) enum Owner {
    /// The server's own, which decides whether the broker counts as reachable.
    Server { status: watch::Sender<Status> },
    /// A client's.
    Session {
        id: SessionId,
        outbox: Outbox,
        signals: Signals,
        status: watch::Receiver<Status>,
        /// Bytes of frames that may be under way into the outbox.
        window: Arc<Semaphore>,
        window_bytes: u32,
        /// The least a frame counts against the window, which also bounds the number of small frames in flight.
        least_bytes: u32,
    },
}

/// The state of the task.
pub(super) struct Connection {
    pub(super) url: Arc<RelayUrl>,
    pub(super) link: Link,
    pub(super) orders: Arc<Orders>,
    pub(super) owner: Owner,
    pub(super) counters: Arc<Counters>,
    /// Ends the task at once.
    pub(super) shutdown: CancellationToken,
}

impl Connection {
    /// Connects again and again, until the owner is gone.
    pub(super) async fn run(mut self) {
        let shutdown = self.shutdown.clone();
        tokio::select! {
            () = self.keep_connected() => {}
            () = shutdown.cancelled() => {}
        }
    }

    async fn keep_connected(&mut self) {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(PAUSES.0)
            .with_max_delay(PAUSES.1)
            .without_max_times()
            .with_jitter();
        let mut next_pause = pauses.build();
        while !self.link.is_over() {
            match self.open().await {
                Ok(stream) => {
                    up(&self.counters.connections);
                    let was_open = self.converse(stream).await;
                    down(&self.counters.connections);
                    if was_open {
                        next_pause = pauses.build();
                    }
                }
                Err(reason) => self.lost(&reason),
            }
            self.hand_over_all();
            if self.link.is_over() || self.orders.is_done() {
                return;
            }
            self.pause(next_pause.next().unwrap_or(PAUSES.1)).await;
        }
    }

    async fn open(&self) -> Result<TcpStream, String> {
        if let Owner::Session { status, .. } = &self.owner
            && let Status::Away { reason } = &*status.borrow()
        {
            return Err(reason.clone());
        }
        // Brackets are part of an address in a URL only.
        let host = self.url.host.trim_start_matches('[').trim_end_matches(']');
        let connecting = TcpStream::connect((host, self.url.port));
        let stream = match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(format!("it can't be reached: {error}")),
            Err(_) => {
                return Err("it can't be reached: the connection attempt timed out".to_owned());
            }
        };
        // Without it, small frames would wait for the acknowledgement of earlier ones.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(stream)
    }

    /// Speaks with the broker until the connection ends; whether it ever was open.
    async fn converse(&mut self, mut stream: TcpStream) -> bool {
        let (mut reader, mut writer) = stream.split();
        let mut input = BytesMut::with_capacity(READ_BYTES);
        let mut output = Bytes::new();
        let mut was_open = false;
        let mut leave_until = None;
        self.link.handle_opened(Instant::now());
        loop {
            self.take_orders();
            // Deliveries while the window is open need no wake-up.
            let (event, ended) = self.hand_over(&mut was_open);
            if ended {
                return was_open;
            }
            if output.is_empty() {
                output = self.link.take_output(Instant::now());
            }
            if self.link.is_over() && output.is_empty() {
                return was_open;
            }
            if self.orders.is_done() && leave_until.is_none() {
                self.link.handle_order(Instant::now(), Order::Goodbye(None));
                leave_until = Some(Instant::now() + LEAVE_TIMEOUT);
                continue;
            }
            let waiting = event.is_some();
            tokio::select! {
                read = read(&mut reader, &mut input), if !waiting => match read {
                    Ok(0) => self.lost("it closed the connection"),
                    Ok(_) => {
                        self.link.handle_bytes(Instant::now(), &input);
                        input.clear();
                    }
                    Err(error) => self.lost(&format!("the connection failed: {error}")),
                },
                written = writer.write(&output), if !output.is_empty() => match written {
                    Ok(written) => output.advance(written),
                    Err(error) => self.lost(&format!("the connection failed: {error}")),
                },
                () = self.owner.make_room(event.as_ref()), if waiting => {}
                () = self.orders.changed() => {}
                () = until(self.link.poll_timeout()) => self.link.handle_timeout(Instant::now()),
                () = until(leave_until) => return was_open,
            }
            if let Some(event) = event {
                self.link.put_back(event);
            }
            if !self.link.is_connected() {
                self.hand_over_all();
                return was_open;
            }
        }
    }

    fn take_orders(&mut self) {
        let outbox = match &self.owner {
            Owner::Session { outbox, .. } => Some(outbox),
            Owner::Server { .. } => None,
        };
        while self.link.takes_orders() {
            let Some(order) = self.orders.pop(outbox) else {
                return;
            };
            if matches!(order, Order::Frame(_)) {
                up(&self.counters.frames_sent);
            }
            self.link.handle_order(Instant::now(), order);
        }
    }

    /// Hands events over as far as there is room; returns the one that there is none for, and whether the connection
    /// ended.
    fn hand_over(&mut self, was_open: &mut bool) -> (Option<Frame>, bool) {
        while let Some(event) = self.link.poll_event() {
            match event {
                Event::Frame(frame) => {
                    if let Some(frame) = self.owner.deliver(frame, &self.counters) {
                        return (Some(frame), false);
                    }
                }
                Event::Connected => {
                    *was_open = true;
                    self.owner.connected(&self.url);
                }
                Event::Refused { message, correlation_id } => {
                    self.owner.refuse(message, correlation_id);
                }
                Event::Lost { reason } => {
                    self.owner.lost(&self.url, &reason);
                    // Its last frames may still be unread.
                    self.hand_over_all();
                    return (None, true);
                }
            }
        }
        (None, false)
    }

    /// Hands over what is left of a connection that ended; little, so room is not asked for.
    fn hand_over_all(&mut self) {
        while let Some(event) = self.link.poll_event() {
            match event {
                Event::Frame(frame) => self.owner.deliver_anyway(frame),
                Event::Refused { message, correlation_id } => {
                    self.owner.refuse(message, correlation_id);
                }
                Event::Lost { reason } => self.owner.lost(&self.url, &reason),
                Event::Connected => {}
            }
        }
    }

    fn lost(&mut self, reason: &str) {
        self.link.handle_lost(reason);
        self.owner.lost(&self.url, reason);
    }

    /// Waits before the next attempt, and answers orders meanwhile: by refusing them, mostly.
    async fn pause(&mut self, pause: Duration) {
        let wake = Instant::now() + pause;
        loop {
            self.take_orders();
            self.hand_over_all();
            if self.link.is_over() || self.orders.is_done() {
                return;
            }
            tokio::select! {
                () = self.owner.may_retry(wake) => return,
                () = self.orders.changed() => {}
            }
        }
    }
}

impl Owner {
    /// Delivers a frame if there is room; otherwise gives it back.
    fn deliver(&self, frame: Frame, counters: &Counters) -> Option<Frame> {
        let Owner::Session { outbox, window, .. } = self else {
            return None;
        };
        let Ok(place) = Arc::clone(window).try_acquire_many_owned(self.weight(&frame)) else {
            return Some(frame);
        };
        up(&counters.frames_received);
        outbox.push(Parcel::Relayed(Arc::new(Delivery { frame, _place: Some(place) })));
        None
    }

    fn deliver_anyway(&self, frame: Frame) {
        if let Owner::Session { outbox, .. } = self {
            outbox.push(Parcel::Relayed(Arc::new(Delivery { frame, _place: None })));
        }
    }

    /// Waits until there is room for a frame.
    async fn make_room(&self, frame: Option<&Frame>) {
        if let (Owner::Session { window, .. }, Some(frame)) = (self, frame) {
            // A closed window has room for all; this one is never closed.
            let _ = window.acquire_many(self.weight(frame)).await;
        }
    }

    fn weight(&self, frame: &Frame) -> u32 {
        match self {
            Owner::Server { .. } => 0,
            // A frame beyond the window fills it.
            Owner::Session { window_bytes, least_bytes, .. } => {
                u32::try_from(frame.weight()).unwrap_or(u32::MAX).clamp(*least_bytes, *window_bytes)
            }
        }
    }

    fn refuse(&self, message: String, correlation_id: Option<String>) {
        match self {
            Owner::Server { .. } => debug!(message, "dropped a message to the broker"),
            Owner::Session { id, signals, .. } => {
                let to = Requester { session: *id, correlation_id };
                signals.send(&to, &Signal::Error { code: ErrorCode::Overloaded, message });
            }
        }
    }

    fn connected(&self, url: &RelayUrl) {
        match self {
            Owner::Server { status } => {
                info!(broker = %url.address(), "connected to the message broker");
                status.send_replace(Status::Here);
            }
            Owner::Session { .. } => debug!("a session is connected to the message broker"),
        }
    }

    fn lost(&self, url: &RelayUrl, reason: &str) {
        match self {
            Owner::Server { status } => {
                let away = Status::Away { reason: reason.to_owned() };
                // Each failed attempt says the same; once is enough.
                if status.send_replace(away.clone()) != away {
                    warn!(broker = %url.address(), reason, "lost the message broker");
                }
            }
            Owner::Session { .. } => debug!(reason, "lost the message broker"),
        }
    }

    /// Waits until another attempt is worth while: at `wake`, but for a session not before the server itself is connected.
    async fn may_retry(&self, wake: Instant) {
        until(Some(wake)).await;
        let Owner::Session { status, .. } = self else {
            return;
        };
        if *status.borrow() == Status::Here {
            return;
        }
        let mut status = status.clone();
        // The sender ends with the whole server.
        let _ = status.wait_for(|status| *status == Status::Here).await;
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..SPREAD_MS))).await;
    }
}

async fn read(reader: &mut (impl AsyncReadExt + Unpin), input: &mut BytesMut) -> io::Result<usize> {
    input.reserve(READ_BYTES);
    reader.read_buf(input).await
}
