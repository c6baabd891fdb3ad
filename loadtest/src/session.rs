//! A peer's STOMP session: one task that owns the connection, and the observed state of the room.
#![expect(clippy::disallowed_methods, reason = "waiting for media has a deadline")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use madang_wire::{Command, Destination, Frame, Prefixes, Request, RoomName, Signal, header};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::observed::Observed;
use crate::reception::{Reception, lock};
use crate::stomp::{PATIENCE, Stomp, text};
use crate::world::World;

/// The session of one peer in one room.
#[derive(Debug)]
pub struct Session {
    room: RoomName,
    observed: watch::Sender<Observed>,
    /// Frames to send. When full, senders wait (back-pressure).
    frames: mpsc::Sender<Frame>,
    next_id: AtomicU32,
    task: JoinSet<()>,
}

impl Session {
    /// Starts the session's task, which takes the connection over.
    pub fn start(
        stomp: Stomp,
        room: &RoomName,
        reception: Arc<Mutex<Reception>>,
        world: Arc<World>,
    ) -> Session {
        let (observed, _) = watch::channel(Observed::default());
        let (frames, to_send) = mpsc::channel(64);
        let mut task = JoinSet::new();
        let listener = Listener { observed: observed.clone(), reception, world };
        task.spawn(listener.run(stomp, to_send));
        Session { room: room.clone(), observed, frames, next_id: AtomicU32::new(0), task }
    }

    /// Subscribes to replies, events and chat, and waits until the server has confirmed this.
    ///
    /// # Errors
    /// When the session ends first.
    pub async fn subscribe_all(&self, history: u32) -> Result<()> {
        let chat = subscribe("chat", &Destination::chat_of(&self.room))
            .with_header(header::HISTORY, history.to_string());
        self.subscribe_to_signals().await?;
        self.send_with_receipt(subscribe("events", &Destination::events_of(&self.room))).await?;
        self.send_with_receipt(chat).await
    }

    /// Subscribes to replies only, and waits until the server has confirmed this.
    ///
    /// # Errors
    /// When the session ends first.
    pub async fn subscribe_to_signals(&self) -> Result<()> {
        self.send_with_receipt(subscribe("signal", Destination::SIGNAL)).await
    }

    /// Sends a request and returns its reply.
    ///
    /// # Errors
    /// When the server refuses the request, does not answer, or closes the connection.
    pub async fn ask(&self, request: &Request) -> Result<Signal> {
        let id = self.new_id();
        let frame = self.frame_of(request).with_header(header::CORRELATION_ID, &id);
        self.send(frame).await?;
        let what = format!("the reply to {}", request.action());
        self.wait(&what, PATIENCE, |observed| observed.replies.contains_key(&id)).await?;
        match self.observed.borrow().replies.get(&id) {
            Some(Signal::Error { code, message }) => {
                bail!("{} was refused: {code}: {message}", request.action())
            }
            Some(reply) => Ok(reply.clone()),
            None => Err(anyhow!("the reply to {} is missing", request.action())),
        }
    }

    /// Sends a request and waits for its RECEIPT.
    ///
    /// # Errors
    /// When the server refuses the request, does not acknowledge it, or closes the connection.
    pub async fn tell(&self, request: &Request) -> Result<()> {
        let id = self.new_id();
        let frame = self.frame_of(request).with_header(header::CORRELATION_ID, &id);
        self.send_with_receipt(frame).await.with_context(|| {
            match self.observed.borrow().replies.get(&id) {
                Some(Signal::Error { code, message }) => {
                    format!("{} was refused: {code}: {message}", request.action())
                }
                _ => format!("{} was not acknowledged", request.action()),
            }
        })
    }

    /// Ends the session with DISCONNECT.
    ///
    /// # Errors
    /// When the server does not acknowledge.
    pub async fn disconnect(mut self) -> Result<()> {
        self.send_with_receipt(Frame::new(Command::Disconnect)).await?;
        self.task.shutdown().await;
        Ok(())
    }

    /// A receiver of the observed state.
    pub fn observed(&self) -> watch::Receiver<Observed> {
        self.observed.subscribe()
    }

    /// The sender with which the peer's media records what it receives.
    pub fn notebook(&self) -> watch::Sender<Observed> {
        self.observed.clone()
    }

    /// Waits until the observed state satisfies a condition; `what` describes the condition in error texts.
    ///
    /// # Errors
    /// When the condition is not met within `limit`, or the session ends first.
    pub async fn wait(
        &self,
        what: &str,
        limit: Duration,
        mut is_wanted: impl FnMut(&Observed) -> bool,
    ) -> Result<()> {
        let mut observed = self.observed.subscribe();
        let enough = observed.wait_for(|seen| is_wanted(seen) || seen.ended.is_some());
        let ended = match timeout(limit, enough).await {
            Err(_) => bail!("timed out after {limit:?} waiting for {what}"),
            Ok(seen) => seen?.ended.clone(),
        };
        match ended {
            Some(reason) if !is_wanted(&self.observed.borrow()) => {
                bail!("the session ended while waiting for {what}: {reason}")
            }
            _ => Ok(()),
        }
    }

    fn frame_of(&self, request: &Request) -> Frame {
        Frame::new(Command::Send)
            .with_header(header::DESTINATION, Destination::request_to(&self.room, request.action()))
            .with_header(header::CONTENT_TYPE, header::JSON)
            .with_body(request.to_json())
    }

    async fn send_with_receipt(&self, frame: Frame) -> Result<()> {
        let id = self.new_id();
        let what = format!("the receipt of {}", frame.command);
        self.send(frame.with_header(header::RECEIPT, &id)).await?;
        self.wait(&what, PATIENCE, |observed| observed.receipts.contains(&id)).await
    }

    async fn send(&self, frame: Frame) -> Result<()> {
        let ended = || self.observed.borrow().ended.clone().unwrap_or_default();
        self.frames.send(frame).await.map_err(|_| anyhow!("the session has ended: {}", ended()))
    }

    fn new_id(&self) -> String {
        format!("c-{}", self.next_id.fetch_add(1, Ordering::Relaxed))
    }
}

fn subscribe(id: &str, destination: &str) -> Frame {
    Frame::new(Command::Subscribe)
        .with_header(header::ID, id)
        .with_header(header::DESTINATION, destination)
}

/// The session's task: sends queued frames, and records what the server sends.
struct Listener {
    observed: watch::Sender<Observed>,
    reception: Arc<Mutex<Reception>>,
    world: Arc<World>,
}

impl Listener {
    async fn run(self, mut stomp: Stomp, mut to_send: mpsc::Receiver<Frame>) {
        let reason = loop {
            let result = tokio::select! {
                frame = stomp.next() => match frame {
                    Ok(Some(frame)) => self.handle(&frame),
                    Ok(None) => Err(anyhow!("the server closed the connection")),
                    Err(error) => Err(error),
                },
                frame = to_send.recv() => match frame {
                    Some(frame) => stomp.send(&frame).await,
                    None => return,
                },
            };
            if let Err(error) = result {
                break format!("{error:#}");
            }
        };
        self.observed.send_modify(|observed| observed.ended = Some(reason));
    }

    fn handle(&self, frame: &Frame) -> Result<()> {
        match frame.command {
            Command::Receipt => {
                let id = frame
                    .header(header::RECEIPT_ID)
                    .context("received a RECEIPT without receipt-id")?;
                self.observed.send_modify(|seen| {
                    seen.receipts.insert(id.to_owned());
                });
                Ok(())
            }
            Command::Message => self.handle_message(frame),
            Command::Error => {
                let message = frame.header(header::MESSAGE).unwrap_or_default();
                bail!("ERROR: {message}: {}", text(&frame.body))
            }
            other => bail!("the server sent a {other} frame"),
        }
    }

    fn handle_message(&self, frame: &Frame) -> Result<()> {
        let destination =
            frame.header(header::DESTINATION).context("received a MESSAGE without destination")?;
        let body = &frame.body;
        let unreadable = || format!("could not parse a message to {destination}: {}", text(body));
        match Destination::parse(destination, &Prefixes::default())? {
            Destination::UserQueue(_) => {
                let signal = serde_json::from_slice(body).with_context(unreadable)?;
                self.note_slots(&signal);
                let correlation = frame.header(header::CORRELATION_ID);
                self.observed.send_modify(|seen| seen.handle_signal(signal, correlation));
            }
            Destination::Events(_) => {
                let event = serde_json::from_slice(body).with_context(unreadable)?;
                self.observed.send_modify(|seen| seen.handle_event(event));
            }
            Destination::Chat(_) => {
                let message = serde_json::from_slice(body).with_context(unreadable)?;
                self.observed.send_modify(|seen| seen.handle_chat(message));
            }
            _ => bail!("received a message to {destination} without a subscription"),
        }
        Ok(())
    }

    fn note_slots(&self, signal: &Signal) {
        let slots = match signal {
            Signal::Slots { slots } => slots,
            Signal::Joined(joined) => joined.slots.as_deref().unwrap_or_default(),
            _ => return,
        };
        lock(&self.reception).handle_slots(self.world.clock.now_us(), slots);
    }
}
