//! The store operations of a room's task, except storing chat.

use madang_wire::{RoomName, Signal};

use super::{Task, now};
use crate::broker::Requester;
use crate::refusal::Refusal;
use crate::rooms::room::{Change, Deleter, Keeping};
use crate::store::{Store, StoreError};

impl Task {
    /// Stores a change and tells the session that made it. Without a session, [`Task::failed`] records a failure.
    pub(super) async fn keep(&mut self, from: Option<Requester>, keeping: Keeping) {
        let kept = store(&self.tools.store, self.room.name(), &keeping).await;
        let kept = kept.map_err(|error| {
            error.log("could not store a moderator's action");
            not_kept(&error)
        });
        self.tell(from, kept.map(|()| Signal::Done {}));
    }

    /// Deletes a chat message if it exists and the deleter may delete it.
    pub(super) async fn delete_message(&mut self, deleter: Deleter, id: &str) {
        let from = deleter.from.clone();
        let (store, room) = (&self.tools.store, self.room.name());
        let deleted = async {
            let Some(found) = store.chat_message(room, id).await? else { return Ok(None) };
            if found.message.deleted || !deleter.may_delete(&found) {
                return Ok(None);
            }
            store.delete_chat(room, id, now().utc).await
        };
        let handled = match deleted.await {
            Ok(message) => self.room.handle_deleted(now(), deleter, message.as_ref()),
            Err(error) => {
                error.log("could not delete a chat message");
                Err(not_kept(&error))
            }
        };
        if let Err(refusal) = handled {
            self.tell(from, Err(refusal));
        }
    }

    /// Deletes the room from the store.
    pub(super) async fn delete_room(&mut self) {
        self.finish_storing().await;
        match self.tools.store.delete_room(self.room.name()).await {
            Ok(_) => self.is_deleted = true,
            Err(error) => {
                error.log("could not delete a room");
                self.failed = Some(not_kept(&error));
            }
        }
    }

    /// Sends an outcome to the session that asked. Without a session, a failure is recorded for the reply over REST.
    pub(super) fn tell(&mut self, to: Option<Requester>, what: Result<Signal, Refusal>) {
        match (to, what) {
            (Some(to), Ok(signal)) => self.tools.signals.send(&to, &signal),
            (Some(to), Err(Refusal { code, message })) => {
                self.tools.signals.send(&to, &Signal::Error { code, message });
            }
            (None, Ok(_)) => {}
            (None, Err(refusal)) => self.failed = Some(refusal),
        }
    }
}

async fn store(store: &Store, room: &RoomName, keeping: &Keeping) -> Result<(), StoreError> {
    match &keeping.change {
        None => {}
        Some(Change::Record(record)) => store.save_room(record).await?,
        Some(Change::Role { user, role: Some(role) }) => store.set_role(room, user, *role).await?,
        Some(Change::Role { user, role: None }) => {
            store.clear_role(room, user).await?;
        }
        Some(Change::Ban(ban)) => store.ban(room, ban).await?,
        Some(Change::Unban { user }) => {
            store.unban(room, user).await?;
        }
    }
    store.record_audit(&keeping.entry).await
}

fn not_kept(error: &StoreError) -> Refusal {
    match error {
        StoreError::Refused(reason) => Refusal::change_refused(reason),
        error => Refusal::change_not_stored(error),
    }
}
