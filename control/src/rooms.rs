//! The directory of open rooms.
//!
//! A room opens with the first join and closes when nobody is in it. Letters are posted under the directory's lock, and
//! a room retires under it: no letter can fall into the mailbox of a room that has just gone.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use madang_sfu::{Event as EngineEvent, RoomId};
use madang_wire::{Destination, ErrorCode, Pattern, RoomName, RoomSummary};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::auth::Grant;
use crate::broker::{Kind, Message, Receipt, SessionId, SubscriptionId};
use crate::hub::IceServers;
use crate::limits::{Limits, is_reached};
use crate::refusal::Refusal;
use crate::room::task::{self, Letter, Tools};
use crate::room::{Admin, AdminReply, Inbox, Reader, RoomConfig, room_of};

/// Letters that wait for a busy room; one more request gets `overloaded`.
const MAILBOX: usize = 1_024;

/// Who creates rooms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoomCreation {
    /// Whoever joins one first, by REST too.
    #[default]
    Join,
    /// Operators, by REST; others can't join what is not there.
    Rest,
}

impl RoomCreation {
    /// As in the configuration.
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

/// The open rooms. Clones are the same directory.
#[derive(Clone)]
pub(crate) struct Rooms(Arc<Shared>);

struct Shared {
    config: RoomsConfig,
    tools: Tools,
    /// Owns the rooms' tasks.
    tasks: TaskTracker,
    directory: Mutex<Directory>,
}

/// What rooms are given.
pub(crate) struct RoomsConfig {
    pub(crate) limits: Arc<Limits>,
    pub(crate) resume_grace: Duration,
    pub(crate) ice_servers: IceServers,
    /// See [`RoomConfig::guests_may_host`].
    pub(crate) guests_may_host: bool,
    /// See [`RoomConfig::joins_create`].
    pub(crate) joins_create: bool,
}

/// Bounded by `Limits::rooms`.
#[derive(Default)]
struct Directory {
    rooms: HashMap<RoomName, Entry>,
    inboxes: HashMap<RoomId, Arc<Inbox>>,
    /// Rooms are numbered from 1; peers have their room's number in their own, which leaves it 32 bits.
    last_id: u32,
    is_closed: bool,
}

struct Entry {
    id: RoomId,
    mailbox: mpsc::Sender<Letter>,
    /// As in the list; `None` until somebody is in.
    summary: Option<RoomSummary>,
}

impl Rooms {
    pub(crate) fn new(config: RoomsConfig, tools: Tools, tasks: TaskTracker) -> Rooms {
        let directory = Mutex::default();
        Rooms(Arc::new(Shared { config, tools, tasks, directory }))
    }

    /// Posts a letter to an open room.
    pub(crate) fn post(&self, name: &RoomName, letter: Letter) -> Result<(), Refusal> {
        let directory = self.lock();
        let Some(entry) = directory.rooms.get(name) else {
            return Err(Refusal::new(
                ErrorCode::NoSuchRoom,
                format!("the room {name} is not open; join it first"),
            ));
        };
        post(entry, letter)
    }

    /// Posts a letter to a room, which opens if it is not.
    pub(crate) fn post_opening(&self, name: &RoomName, letter: Letter) -> Result<(), Refusal> {
        let mut directory = self.lock();
        post(self.entry(&mut directory, name)?, letter)
    }

    /// Asks a room for something on behalf of an operator. It opens for that if it is not open, but is on no list while
    /// nobody is in it. A room that the store does not know is `no_such_room`.
    pub(crate) async fn ask(&self, name: &RoomName, admin: Admin) -> Result<AdminReply, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.post_opening(name, Letter::Admin { admin, reply })?;
        match answer.await {
            Ok(answer) => answer,
            // Its task is cut off when the process ends.
            Err(_) => {
                Err(Refusal::new(ErrorCode::Draining, "the server is shutting down".to_owned()))
            }
        }
    }

    /// The entry of a room, which opens if it is not open.
    fn entry<'a>(
        &self,
        directory: &'a mut Directory,
        name: &RoomName,
    ) -> Result<&'a Entry, Refusal> {
        if directory.rooms.contains_key(name) {
            return Ok(&directory.rooms[name]);
        }
        if directory.is_closed {
            return Err(Refusal::new(
                ErrorCode::Draining,
                "the server is shutting down".to_owned(),
            ));
        }
        let most = self.0.config.limits.rooms;
        if is_reached(most, directory.rooms.len()) {
            return Err(Refusal::new(
                ErrorCode::Overloaded,
                format!("the server has its {most} open rooms"),
            ));
        }
        Ok(self.open(directory, name))
    }

    /// Tells a room that a session is over; waits while its mailbox is full, for this must not be lost.
    pub(crate) async fn tell_gone(
        &self,
        name: &RoomName,
        session: SessionId,
        said_goodbye: bool,
        receipt: Option<Receipt>,
    ) {
        let mailbox = self.lock().rooms.get(name).map(|entry| entry.mailbox.clone());
        let Some(mailbox) = mailbox else { return };
        // A room that has closed meanwhile had nobody in it.
        let _ = mailbox.send(Letter::Gone { session, said_goodbye, receipt }).await;
    }

    /// What of a room's stored chat a session may read. The room opens for the answer if it is not open.
    pub(crate) async fn reader(&self, name: &RoomName, session: SessionId) -> Reader {
        loop {
            let (reply, answer) = oneshot::channel();
            let mailbox = match self.entry(&mut self.lock(), name) {
                Ok(entry) => entry.mailbox.clone(),
                Err(_) => return Reader::Nothing,
            };
            // A room that closes at this moment hears nothing more; the next one by its name does.
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
            | EngineEvent::AudioSlot { peer, .. } => room_of(*peer),
            EngineEvent::Speakers { room, .. } => *room,
        };
        if let Some(inbox) = self.lock().inboxes.get(&room) {
            inbox.push(event);
        }
    }

    /// Subscribes a session to the list, and returns the rooms of this moment that its grant opens: later changes come by
    /// the subscription.
    pub(crate) fn subscribe_to_list(
        &self,
        session: SessionId,
        grant: &Grant,
        id: SubscriptionId,
        pattern: Pattern,
    ) -> Vec<Arc<Message>> {
        let directory = self.lock();
        self.0.tools.broker.subscribe(session, id, pattern);
        let open = directory.rooms.values().filter_map(|entry| entry.summary.as_ref());
        open.filter(|summary| grant.opens(&summary.name)).map(listed).collect()
    }

    /// The rooms in which somebody is, in no order.
    pub(crate) fn listed(&self) -> Vec<RoomSummary> {
        self.lock().rooms.values().filter_map(|entry| entry.summary.clone()).collect()
    }

    /// Puts a room into the list as it is, and tells those who follow it.
    pub(crate) fn update(&self, summary: &RoomSummary) {
        let mut directory = self.lock();
        let Some(entry) = directory.rooms.get_mut(&summary.name) else {
            return;
        };
        if summary.participants > 0 {
            entry.summary = Some(summary.clone());
            self.0.tools.broker.publish_of_room(&summary.name, &listed(summary), |_| true);
        } else {
            self.unlist(entry);
        }
    }

    /// Takes an idle room out of the directory, unless a letter waits for it.
    pub(crate) fn retire(&self, name: &RoomName, mailbox: &mpsc::Receiver<Letter>) -> bool {
        let mut directory = self.lock();
        if !mailbox.is_empty() {
            return false;
        }
        if let Some(mut entry) = directory.rooms.remove(name) {
            directory.inboxes.remove(&entry.id);
            self.unlist(&mut entry);
        }
        true
    }

    /// Takes a room out of the directory whose task ends, if it is there still.
    pub(crate) fn forget(&self, name: &RoomName, id: RoomId) {
        let mut directory = self.lock();
        directory.inboxes.remove(&id);
        if directory.rooms.get(name).is_some_and(|entry| entry.id == id) {
            directory.rooms.remove(name);
        }
    }

    /// Opens no more rooms.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
    }

    fn open<'a>(&self, directory: &'a mut Directory, name: &RoomName) -> &'a Entry {
        directory.last_id = directory.last_id.wrapping_add(1);
        let id = RoomId(directory.last_id.into());
        let (mailbox, letters) = mpsc::channel(MAILBOX);
        let inbox = Arc::new(Inbox::default());
        directory.inboxes.insert(id, Arc::clone(&inbox));
        let RoomsConfig { limits, resume_grace, ice_servers, guests_may_host, joins_create } =
            &self.0.config;
        let config = RoomConfig {
            name: name.clone(),
            id,
            limits: Arc::clone(limits),
            resume_grace: *resume_grace,
            ice_servers: Arc::clone(ice_servers),
            guests_may_host: *guests_may_host,
            joins_create: *joins_create,
        };
        let tools = self.0.tools.clone();
        self.0.tasks.spawn(task::run(config, letters, inbox, tools, self.clone()));
        directory.rooms.entry(name.clone()).or_insert(Entry { id, mailbox, summary: None })
    }

    fn unlist(&self, entry: &mut Entry) {
        if let Some(mut summary) = entry.summary.take() {
            summary.participants = 0;
            self.0.tools.broker.publish_of_room(&summary.name, &listed(&summary), |_| true);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Directory> {
        self.0.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn post(entry: &Entry, letter: Letter) -> Result<(), Refusal> {
    entry.mailbox.try_send(letter).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => Refusal::new(
            ErrorCode::Overloaded,
            "the room has too much to do at the moment".to_owned(),
        ),
        mpsc::error::TrySendError::Closed(_) => {
            Refusal::new(ErrorCode::Draining, "the server is shutting down".to_owned())
        }
    })
}

fn listed(summary: &RoomSummary) -> Arc<Message> {
    let kind = Kind::State(summary.name.as_str().into());
    Arc::new(Message::json(Destination::ROOMS, summary.to_json()).of_kind(kind))
}
