//! The task that owns a room: it waits, and carries out what the room decides.
#![expect(clippy::disallowed_methods, reason = "the room's clock is read here and nowhere else")]

mod keeping;
mod opening;

use std::future::Future;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use jiff::Timestamp;
use madang_sfu::io::Handle;
use madang_wire::{Destination, Event, Secret, Signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::account::Account;
use super::chat_quota::{Budget, ChatQuota};
use super::directory::Directory;
use super::inbox::Inbox;
use super::passwords::{Passwords, Verdict};
use super::room::{Audience, Effect, Room, RoomConfig, room_of};
use crate::broker::{Broker, Kind, Message, Receipt, Requester, Signals};
use crate::counters::{Counters, down, up};
use crate::deadline::until;
use crate::moment::Moment;
use crate::refusal::Refusal;
use crate::rooms::chat_message;
use crate::rooms::letter::Letter;
use crate::store::{Appended, NewChatMessage, Store, StoreError};
use crate::webhooks::{Occurrence, Webhooks};

/// Most chat messages of one room that are being stored. At that number, the task stops reading its mailbox.
const MAX_STORING: usize = 256;

/// The parts of the server that a room's task uses.
#[derive(Clone)]
pub(crate) struct Tools {
    pub(crate) broker: Broker,
    pub(crate) signals: Signals,
    pub(crate) store: Store,
    pub(crate) sfu: Handle,
    pub(crate) counters: Arc<Counters>,
    pub(crate) passwords: Passwords,
    pub(crate) chat_quota: Arc<Mutex<ChatQuota>>,
    pub(crate) webhooks: Webhooks,
    /// Ends the room once its mailbox is empty and its chat is stored.
    pub(crate) stop: CancellationToken,
}

struct Task {
    room: Room,
    tools: Tools,
    directory: Directory,
    /// Destinations of the room's events and of its chat.
    events: String,
    chat: String,
    /// This room's share of the server's `participants` gauge.
    counted: u32,
    /// Whether webhooks were sent `room_opened`, and not yet `room_closed`.
    is_told_open: bool,
    /// How much chat of this room is stored in a minute.
    budget: Budget,
    /// At most `MAX_STORING`, in the order in which they were sent.
    storing: FuturesOrdered<BoxFuture<'static, Stored>>,
    /// Password checks in progress, with their tickets. The room bounds their number.
    verifying: FuturesUnordered<BoxFuture<'static, (u64, Verdict)>>,
    /// Why the current request over REST failed while its effects were carried out.
    failed: Option<Refusal>,
    /// Whether the room was deleted from the store.
    is_deleted: bool,
}

/// The store's answer to a chat message.
struct Stored {
    from: Requester,
    result: Result<Appended, StoreError>,
    receipt: Option<Receipt>,
}

/// Opens a room for the first letter that can open it, and runs it until nobody is in it.
pub(crate) async fn run(
    config: RoomConfig,
    mut mailbox: mpsc::Receiver<Letter>,
    inbox: Arc<Inbox>,
    tools: Tools,
    directory: Directory,
) {
    let (name, id) = (config.name.clone(), config.id);
    while let Some(letter) = next_letter(&mut mailbox, &tools.stop).await {
        match opening::open(&config, &tools, &letter).await {
            Ok(room) => {
                up(&tools.counters.rooms);
                debug!(room = %name, "room opened");
                let budget = Budget::of_room(&config.limits, now().instant);
                let mut task = Task::new(room, tools.clone(), directory.clone(), budget);
                task.handle_letter(letter).await;
                task.run(&mut mailbox, &inbox).await;
                task.count(0);
                down(&tools.counters.rooms);
                debug!(room = %name, "room closed");
                break;
            }
            Err(refusal) => opening::refuse(&tools, letter, &refusal),
        }
        if directory.retire(&name, &mailbox) {
            break;
        }
    }
    directory.forget(&name, id);
    mailbox.close();
    while let Some(letter) = mailbox.recv().await {
        opening::refuse(&tools, letter, &opening::is_gone(&name, &tools.stop));
    }
}

/// The next letter for a room that is not open yet.
async fn next_letter(
    mailbox: &mut mpsc::Receiver<Letter>,
    stop: &CancellationToken,
) -> Option<Letter> {
    tokio::select! {
        biased;
        letter = mailbox.recv() => letter,
        () = stop.cancelled() => None,
    }
}

impl Task {
    fn new(room: Room, tools: Tools, directory: Directory, budget: Budget) -> Task {
        Task {
            events: Destination::events_of(room.name()),
            chat: Destination::chat_of(room.name()),
            room,
            tools,
            directory,
            counted: 0,
            is_told_open: false,
            budget,
            storing: FuturesOrdered::new(),
            verifying: FuturesUnordered::new(),
            failed: None,
            is_deleted: false,
        }
    }

    async fn run(&mut self, mailbox: &mut mpsc::Receiver<Letter>, inbox: &Inbox) {
        let stop = self.tools.stop.clone();
        loop {
            let is_idle = self.room.is_empty() && self.storing.is_empty();
            if self.is_deleted || (is_idle && self.directory.retire(self.room.name(), mailbox)) {
                return;
            }
            let timeout = self.room.poll_timeout();
            tokio::select! {
                letter = mailbox.recv(), if self.storing.len() < MAX_STORING => match letter {
                    Some(letter) => self.handle_letter(letter).await,
                    // The server is shutting down, and the mailbox is empty.
                    None => break,
                },
                event = inbox.next() => {
                    self.room.handle_engine(now(), event);
                    self.carry_out(&mut None).await;
                }
                Some(stored) = self.storing.next() => self.handle_stored(stored),
                Some((ticket, verdict)) = self.verifying.next() => {
                    self.room.handle_verified(now(), ticket, verdict);
                    self.carry_out(&mut None).await;
                }
                () = until(timeout) => {
                    self.room.handle_timeout(now().instant);
                    self.carry_out(&mut None).await;
                }
                () = stop.cancelled(), if !mailbox.is_closed() => mailbox.close(),
            }
        }
        self.finish_storing().await;
    }

    async fn finish_storing(&mut self) {
        while let Some(stored) = self.storing.next().await {
            self.handle_stored(stored);
        }
    }

    async fn handle_letter(&mut self, letter: Letter) {
        match letter {
            Letter::Request { asked, mut receipt } => {
                self.room.handle_request(now(), asked);
                self.carry_out(&mut receipt).await;
            }
            Letter::Gone { session, said_goodbye, receipt } => {
                self.room.handle_gone(now(), session, said_goodbye);
                self.carry_out(&mut None).await;
                drop(receipt);
            }
            Letter::Who { session, reply } => {
                // The receiver may have stopped waiting.
                let _ = reply.send(Ok(self.room.reader(session)));
            }
            Letter::Admin { admin, reply } => {
                self.failed = None;
                let answer = self.room.handle_admin(now(), admin);
                self.carry_out(&mut None).await;
                let answer = match self.failed.take() {
                    Some(failed) => Err(failed),
                    None => answer,
                };
                // The receiver may have stopped waiting.
                let _ = reply.send(answer);
            }
        }
    }

    /// Carries out what the room decided. `receipt` belongs to the request behind it; a chat message takes it along, so
    /// that it is sent once the message is stored.
    async fn carry_out(&mut self, receipt: &mut Option<Receipt>) {
        while let Some(effect) = self.room.poll_effect() {
            match effect {
                Effect::Offer { peer, current, sdp, receivers } => {
                    let (sfu, room) = (&self.tools.sfu, room_of(peer));
                    let answer = match current {
                        Some(current) => sfu.offer_again(room, current, peer, sdp, receivers).await,
                        None => sfu.offer(room, peer, sdp, receivers).await,
                    };
                    self.room.handle_answer(now(), peer, answer);
                }
                Effect::Assign { peer, slot, source } => {
                    self.tools.sfu.assign(peer, slot, source).await;
                }
                Effect::Permit { peer, mid, is_permitted } => {
                    self.tools.sfu.permit(peer, mid, is_permitted).await;
                }
                Effect::RemovePeer { peer } => self.tools.sfu.remove(peer).await,
                Effect::Signal { to, signal } => self.tools.signals.send(&to, &signal),
                Effect::Publish { event, to } => {
                    self.tell_others(&event);
                    self.publish(&event, &to);
                }
                Effect::Verify { ticket, account, password, hash } => {
                    self.verify(ticket, account, password, hash)
                }
                Effect::Keep { from, keeping } => self.keep(from, *keeping).await,
                Effect::DeleteMessage { deleter, id } => self.delete_message(deleter, &id).await,
                Effect::StoreChat { from, account, message } => {
                    let receipt = receipt.take();
                    match self.count_chat(&account, &message) {
                        Ok(()) => self.store(from, message, receipt).await,
                        Err(refusal) => self.tell(Some(from), Err(refusal)),
                    }
                }
                Effect::DeleteRoom => self.delete_room().await,
                Effect::Count(participants) => {
                    self.count(participants);
                    self.directory.update(&self.room.summary());
                }
            }
        }
    }

    fn publish(&self, event: &Event, to: &Audience) {
        let message = Message::json(&self.events, event.to_json()).of_kind(kind_of(event));
        let room = self.room.name();
        self.tools.broker.publish_of_room(room, &Arc::new(message), |session| to.has(session));
    }

    fn verify(&self, ticket: u64, account: Account, password: Secret, hash: String) {
        let (passwords, room) = (self.tools.passwords.clone(), self.room.name().clone());
        let verifying =
            async move { (ticket, passwords.verify(room, account, password, hash).await) };
        self.verifying.push(Box::pin(verifying));
    }

    /// Counts a message in the quotas of chat.
    fn count_chat(&mut self, account: &Account, message: &NewChatMessage) -> Result<(), Refusal> {
        let mut quota = self.tools.chat_quota.lock().unwrap_or_else(PoisonError::into_inner);
        quota.take(account, &mut self.budget, message.text.len(), now().instant)
    }

    /// Gives a message to the store. The first poll, here, takes a place in the store's queue ahead of later messages.
    async fn store(&mut self, from: Requester, message: NewChatMessage, receipt: Option<Receipt>) {
        let (store, room) = (self.tools.store.clone(), self.room.name().clone());
        // Unconstrained: once the task has used up its cooperative budget, the first poll would return before it takes
        // a place, and the message would queue after its successors.
        let mut storing = Box::pin(tokio::task::unconstrained(async move {
            let result = store.append_chat(&room, message).await;
            Stored { from, result, receipt }
        }));
        let first = std::future::poll_fn(|cx| Poll::Ready(storing.as_mut().poll(cx))).await;
        self.storing.push_back(match first {
            Poll::Ready(stored) => Box::pin(std::future::ready(stored)),
            Poll::Pending => storing,
        });
    }

    /// Delivers a stored message, then acknowledges it.
    fn handle_stored(&mut self, Stored { from, result, receipt }: Stored) {
        if let Some(receipt) = receipt.as_ref().filter(|_| result.is_ok()) {
            receipt.succeed();
        }
        match result {
            // A repeat of a message that is already stored and delivered: only its receipt was missing.
            Ok(Appended::Known(_)) => {}
            Ok(Appended::Stored(message)) => {
                up(&self.tools.counters.chat_stored);
                self.room.handle_stored(&message);
                let shared = Arc::new(chat_message(&self.chat, &message));
                let audience = self.room.audience();
                let may_read =
                    |session| audience.has(session) && self.room.may_read(session, &message);
                self.tools.broker.publish_of_room(self.room.name(), &shared, may_read);
            }
            Err(error) => {
                error.log("could not store a chat message");
                let Refusal { code, message } = Refusal::message_not_stored(&error);
                self.tools.signals.send(&from, &Signal::Error { code, message });
            }
        }
    }

    /// Sends webhooks for an event. For webhooks, a room opens with its first participant and closes with its last.
    fn tell_others(&mut self, event: &Event) {
        let webhooks = &self.tools.webhooks;
        if !webhooks.are_on() {
            return;
        }
        let (room, at) = (self.room.name(), now().utc);
        if matches!(event, Event::ParticipantJoined { .. }) && !self.is_told_open {
            self.is_told_open = true;
            webhooks.tell(room, at, Occurrence::RoomOpened {});
        }
        if let Some(what) = Occurrence::of(event) {
            webhooks.tell(room, at, what);
        }
    }

    fn count(&mut self, participants: u32) {
        if participants == 0 && std::mem::take(&mut self.is_told_open) {
            self.tools.webhooks.tell(self.room.name(), now().utc, Occurrence::RoomClosed {});
        }
        let gauge = &self.tools.counters.participants;
        gauge.fetch_add(participants.into(), Relaxed);
        gauge.fetch_sub(self.counted.into(), Relaxed);
        self.counted = participants;
    }
}

/// How an event may be treated for a slow client. A few events carry a full state, so a later one replaces an earlier
/// one; most are changes, and all of those are needed.
fn kind_of(event: &Event) -> Kind {
    match event {
        Event::Speakers { .. } => Kind::State("speakers".into()),
        Event::ParticipantChanged { participant } => Kind::State(participant.id.as_str().into()),
        Event::RoomChanged { .. } => Kind::State("room".into()),
        Event::Recording { .. } => Kind::State("recording".into()),
        Event::ParticipantJoined { .. }
        | Event::ParticipantLeft { .. }
        | Event::SourceAdded { .. }
        | Event::SourceRemoved { .. }
        | Event::Reaction { .. }
        | Event::MessageDeleted { .. }
        | Event::RoomEnded { .. } => Kind::Needed,
    }
}

fn now() -> Moment {
    Moment { instant: Instant::now(), utc: Timestamp::now() }
}
