//! The open rooms.
//!
//! A room opens with the first join and closes when nobody is in it. [`room`] decides and never waits; `task` owns one
//! room, waits for its letters and carries out its decisions. `directory` holds the mailboxes.

mod account;
mod chat;
mod chat_quota;
mod directory;
mod inbox;
mod letter;
mod password_tries;
mod passwords;
pub mod room;
mod task;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use madang_sfu::Event as EngineEvent;
use madang_wire::{Pattern, RoomName, RoomSummary};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

pub(crate) use self::chat::chat_message;
pub(crate) use self::chat_quota::ChatQuota;
pub(crate) use self::letter::Letter;
pub(crate) use self::passwords::Passwords;
pub(crate) use self::task::Tools;

use self::account::Opener;
use self::directory::{Directory, Entries, Entry, listed};
use self::room::{Admin, AdminReply, IceServers, Reader, RoomConfig, room_of};
use crate::auth::Grant;
use crate::broker::{Message, Receipt, SessionId, SubscriptionId};
use crate::limits::Limits;
use crate::refusal::Refusal;

/// The clients that may create rooms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoomCreation {
    /// Anyone, by joining; operators over REST too.
    #[default]
    Join,
    /// Operators only, over REST. Joining a room that does not exist fails.
    Rest,
}

impl RoomCreation {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            RoomCreation::Join => "join",
            RoomCreation::Rest => "rest",
        }
    }
}

impl FromStr for RoomCreation {
    type Err = ();

    fn from_str(text: &str) -> Result<RoomCreation, ()> {
        let all = [RoomCreation::Join, RoomCreation::Rest];
        all.into_iter().find(|one| one.as_str() == text).ok_or(())
    }
}

/// The open rooms. Clones share them.
#[derive(Clone)]
pub(crate) struct Rooms(Arc<Shared>);

struct Shared {
    config: RoomsConfig,
    tools: Tools,
    /// Owns the rooms' tasks.
    tasks: TaskTracker,
    directory: Directory,
}

/// The configuration that all rooms share.
pub(crate) struct RoomsConfig {
    pub(crate) limits: Arc<Limits>,
    pub(crate) resume_grace: Duration,
    pub(crate) ice_servers: IceServers,
    /// See [`RoomConfig::guests_may_host`].
    pub(crate) guests_may_host: bool,
    /// See [`RoomConfig::joins_create`].
    pub(crate) joins_create: bool,
}

impl Rooms {
    pub(crate) fn new(config: RoomsConfig, tools: Tools, tasks: TaskTracker) -> Rooms {
        let directory = Directory::new(tools.broker.clone());
        Rooms(Arc::new(Shared { config, tools, tasks, directory }))
    }

    /// Posts a letter to an open room.
    pub(crate) fn post(&self, name: &RoomName, letter: Letter) -> Result<(), Refusal> {
        match self.0.directory.lock().get(name) {
            Some(entry) => entry.post(letter),
            None => Err(Refusal::room_not_open(name)),
        }
    }

    /// Posts a letter to a room, and opens the room if needed.
    pub(crate) fn post_opening(&self, name: &RoomName, letter: Letter) -> Result<(), Refusal> {
        let opener = letter.opener();
        self.entry(&mut self.0.directory.lock(), name, opener)?.post(letter)
    }

    /// Sends a REST request to a room and waits for the answer. The room opens if needed, but is not in the list of
    /// rooms while nobody is in it. A room that the store does not know gives `no_such_room`.
    pub(crate) async fn ask(&self, name: &RoomName, admin: Admin) -> Result<AdminReply, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.post_opening(name, Letter::Admin { admin, reply })?;
        match answer.await {
            Ok(answer) => answer,
            // The task was aborted because the process is ending.
            Err(_) => Err(Refusal::draining()),
        }
    }

    /// Tells a room that a session has ended. Waits while the mailbox is full, because this must not be lost.
    pub(crate) async fn tell_gone(
        &self,
        name: &RoomName,
        session: SessionId,
        said_goodbye: bool,
        receipt: Option<Receipt>,
    ) {
        let mailbox = self.0.directory.lock().get(name).map(Entry::mailbox);
        let Some(mailbox) = mailbox else { return };
        // If the room has closed in the meantime, nobody was in it.
        let _ = mailbox.send(Letter::Gone { session, said_goodbye, receipt }).await;
    }

    /// Returns which part of a room's stored chat a session may read. The room opens for the answer if needed.
    pub(crate) async fn reader(
        &self,
        name: &RoomName,
        session: SessionId,
    ) -> Result<Reader, Refusal> {
        loop {
            let (reply, answer) = oneshot::channel();
            let mailbox = self.entry(&mut self.0.directory.lock(), name, Opener::Reader)?.mailbox();
            // If the room closes at this moment, the letter is lost: ask the next room of that name.
            if mailbox.send(Letter::Who { session, reply }).await.is_ok()
                && let Ok(reader) = answer.await
            {
                return reader;
            }
        }
    }

    /// Hands an event of the media engine to its room.
    pub(crate) fn deliver(&self, event: EngineEvent) {
        let room = match &event {
            EngineEvent::Connected { peer }
            | EngineEvent::Disconnected { peer, .. }
            | EngineEvent::AudioSlot { peer, .. }
            | EngineEvent::Sending { peer, .. }
            | EngineEvent::Excess { peer, .. } => room_of(*peer),
            EngineEvent::Speakers { room, .. } => *room,
        };
        if let Some(inbox) = self.0.directory.lock().inbox(room) {
            inbox.push(event);
        }
    }

    /// Subscribes a session to the list of rooms. Returns the entries of this moment that its grant opens; later
    /// changes arrive through the subscription.
    pub(crate) fn subscribe_to_list(
        &self,
        session: SessionId,
        grant: &Grant,
        id: SubscriptionId,
        pattern: Pattern,
    ) -> Vec<Arc<Message>> {
        let entries = self.0.directory.lock();
        self.0.tools.broker.subscribe(session, id, pattern);
        entries.summaries().filter(|summary| grant.opens(&summary.name)).map(listed).collect()
    }

    /// The rooms in which somebody is, in no particular order.
    pub(crate) fn listed(&self) -> Vec<RoomSummary> {
        self.0.directory.lock().summaries().cloned().collect()
    }

    /// Stops opening rooms.
    pub(crate) fn close(&self) {
        self.0.directory.lock().close();
    }

    /// The entry of a room; opens the room if needed.
    fn entry<'a>(
        &self,
        entries: &'a mut Entries,
        name: &RoomName,
        opener: Opener,
    ) -> Result<&'a Entry, Refusal> {
        if entries.get(name).is_none() {
            if entries.is_closed() {
                return Err(Refusal::draining());
            }
            entries.check_share(&self.0.config.limits, &opener)?;
            self.open(entries, name, opener);
        }
        Ok(entries.get(name).expect("it is open"))
    }

    fn open(&self, entries: &mut Entries, name: &RoomName, opener: Opener) {
        let (id, letters, inbox) = entries.add(name, opener);
        let RoomsConfig { limits, resume_grace, ice_servers, guests_may_host, joins_create } =
            &self.0.config;
        let config = RoomConfig {
            name: name.clone(),
            id,
            limits: Arc::clone(limits),
            resume_grace: *resume_grace,
            ice_servers: ice_servers.clone(),
            guests_may_host: *guests_may_host,
            joins_create: *joins_create,
        };
        let (tools, directory) = (self.0.tools.clone(), self.0.directory.clone());
        self.0.tasks.spawn(task::run(config, letters, inbox, tools, directory));
    }
}
