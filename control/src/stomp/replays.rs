//! Reading stored chat for a session's subscriptions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use madang_wire::{Destination, RoomName};
use tracing::warn;

use super::{REPLAY_PAGE, Replay};
use crate::broker::{Message, SessionId, SubscriptionId};
use crate::room::task::chat_message;
use crate::rooms::Rooms;
use crate::store::{Store, StoreError, Viewer};

/// The replays of one session, one page of one of them at a time: what a client asks for must not fill the memory
/// before the client has read it.
pub(super) struct Replays {
    session: SessionId,
    store: Store,
    rooms: Rooms,
    /// Bounded by what the client may subscribe: nothing more is read from it while pages wait for it.
    waiting: VecDeque<(SubscriptionId, RoomName, Replay)>,
    reading: Option<BoxFuture<'static, Page>>,
}

/// Stored messages for a subscription.
pub(super) struct Page {
    pub(super) id: SubscriptionId,
    pub(super) room: RoomName,
    pub(super) what: Replay,
    /// `None` when the store failed.
    pub(super) messages: Option<Vec<Arc<Message>>>,
}

impl Replays {
    pub(super) fn new(session: SessionId, store: Store, rooms: Rooms) -> Replays {
        Replays { session, store, rooms, waiting: VecDeque::new(), reading: None }
    }

    /// Has stored messages read for a subscription.
    pub(super) fn start(&mut self, id: SubscriptionId, room: RoomName, what: Replay) {
        self.waiting.push_back((id, room, what));
    }

    /// The next page; pending also when none is asked for, until [`Replays::start`] and the next call.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Page> {
        if self.reading.is_none() {
            let Some((id, room, what)) = self.waiting.pop_front() else {
                return Poll::Pending;
            };
            let (session, store, rooms) = (self.session, self.store.clone(), self.rooms.clone());
            let read = async move {
                let read = read(&store, &rooms, session, &room, what).await;
                let messages =
                    read.inspect_err(|error| warn!(%error, "stored chat can't be read")).ok();
                Page { id, room, what, messages }
            };
            self.reading = Some(read.boxed());
        }
        let Some(reading) = &mut self.reading else {
            return Poll::Pending;
        };
        let page = ready!(reading.poll_unpin(cx));
        self.reading = None;
        Poll::Ready(page)
    }
}

async fn read(
    store: &Store,
    rooms: &Rooms,
    session: SessionId,
    room: &RoomName,
    what: Replay,
) -> Result<Vec<Arc<Message>>, StoreError> {
    let viewer = rooms.who(room, session).await;
    let viewer = viewer.map(|participant| Viewer { participant, user: None });
    let viewer = viewer.as_ref();
    let messages = match what {
        Replay::Last(count) => store.last_chat(room, count, viewer).await?,
        Replay::Since(seq) => store.chat_since(room, seq, REPLAY_PAGE, viewer).await?,
    };
    let destination = Destination::chat_of(room);
    Ok(messages.iter().map(|message| Arc::new(chat_message(&destination, message))).collect())
}
