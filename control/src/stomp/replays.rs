//! Reads stored chat for the subscriptions of a session.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use madang_wire::{Destination, ErrorCode, RoomName};
use tracing::warn;

use super::{REPLAY_PAGE, Replay};
use crate::broker::{Message, SessionId, SubscriptionId};
use crate::refusal::Refusal;
use crate::rooms::room::Reader;
use crate::rooms::{Rooms, chat_message};
use crate::store::Store;

/// The replays of one session. They read one page of one replay at a time (back-pressure), so that a client cannot fill
/// the memory with messages that it has not read.
pub(super) struct Replays {
    session: SessionId,
    store: Store,
    rooms: Rooms,
    /// Replays to read next. Bounded by `Limits::subscriptions`.
    waiting: VecDeque<(SubscriptionId, RoomName, Replay)>,
    reading: Option<BoxFuture<'static, Page>>,
}

/// A page of stored messages for a subscription.
pub(super) struct Page {
    pub(super) id: SubscriptionId,
    pub(super) room: RoomName,
    pub(super) what: Replay,
    /// The messages in ascending order of `seq`, or why they could not be read.
    pub(super) messages: Result<Vec<Arc<Message>>, Refusal>,
}

impl Replays {
    pub(super) fn new(session: SessionId, store: Store, rooms: Rooms) -> Replays {
        Replays { session, store, rooms, waiting: VecDeque::new(), reading: None }
    }

    /// Queues a replay for a subscription.
    pub(super) fn start(&mut self, id: SubscriptionId, room: RoomName, what: Replay) {
        self.waiting.push_back((id, room, what));
    }

    /// Drops the replays of a subscription that ended, except one that is being read.
    pub(super) fn forget(&mut self, id: SubscriptionId) {
        self.waiting.retain(|(waiting, ..)| *waiting != id);
    }

    /// The next page. Also pending when no replay is queued; then it does not wake the task, which must call it again
    /// after [`Replays::start`].
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Page> {
        if self.reading.is_none() {
            let Some((id, room, what)) = self.waiting.pop_front() else {
                return Poll::Pending;
            };
            let (session, store, rooms) = (self.session, self.store.clone(), self.rooms.clone());
            let read = async move {
                let messages = read(&store, &rooms, session, &room, what).await;
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
) -> Result<Vec<Arc<Message>>, Refusal> {
    let viewer = match rooms.reader(room, session).await {
        Reader::Viewer(viewer) => Some(viewer),
        Reader::Public => None,
        Reader::Nothing => {
            let message = format!("only participants of {room} may read its chat; join first");
            return Err(Refusal::new(ErrorCode::NotAllowed, message));
        }
    };
    let messages = match what {
        Replay::Last(count) => store.last_chat(room, count, viewer.as_ref()).await,
        Replay::Since(seq) => store.chat_since(room, seq, REPLAY_PAGE, viewer.as_ref()).await,
    };
    let messages = messages.map_err(|error| {
        warn!(%error, "could not read stored chat");
        Refusal::new(
            ErrorCode::Internal,
            "could not read the stored messages; try again".to_owned(),
        )
    })?;
    let destination = Destination::chat_of(room);
    Ok(messages.iter().map(|message| Arc::new(chat_message(&destination, message))).collect())
}
