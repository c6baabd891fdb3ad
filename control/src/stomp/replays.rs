//! Reads stored chat for the subscriptions of a session, in pages, and not faster than [`BYTES_PER_SECOND`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use madang_wire::{Destination, ErrorCode, RoomName};
use tracing::warn;

use super::{REPLAY_PAGE, Replay};
use crate::broker::{Message, SessionId, SubscriptionId};
use crate::memory;
use crate::refusal::Refusal;
use crate::rooms::room::Reader;
use crate::rooms::{Rooms, chat_message};
use crate::store::{Store, StoreError};
use crate::token_bucket::TokenBucket;

/// The bytes that a session may replay a second, and how many seconds' worth at once: a page of long messages every 200
/// ms. Clients that ask for the same history again and again then cost others little.
const BYTES_PER_SECOND: u32 = 4 * 1024 * 1024;
const BURST_SECONDS: u32 = 4;
/// No page is read while one connection may hold less than this many bytes ([`memory::share`]).
const ENOUGH_MEMORY: usize = 1024 * 1024;
/// How long a page then waits.
const MEMORY_DELAY: Duration = Duration::from_millis(100);
/// Messages that are prepared before others get a turn.
const TURN: usize = 8;

/// The replays of one session. They read one page of one replay at a time (back-pressure), so that a client cannot fill
/// the memory with messages that it has not read.
pub(super) struct Replays {
    session: SessionId,
    store: Store,
    rooms: Rooms,
    /// Replays to read next. Bounded by `Limits::subscriptions`.
    waiting: VecDeque<(SubscriptionId, RoomName, Replay)>,
    reading: Option<BoxFuture<'static, Page>>,
    /// The bytes that may be read. A page spends them once its size is known.
    allowance: TokenBucket,
    /// When a page that must wait is tried again.
    retry_at: Option<Instant>,
}

/// A page of stored messages for a subscription.
pub(super) struct Page {
    pub(super) id: SubscriptionId,
    pub(super) room: RoomName,
    /// The messages in ascending order of `seq`, or why they could not be read.
    pub(super) messages: Result<Vec<Arc<Message>>, Refusal>,
}

impl Replays {
    pub(super) fn new(now: Instant, session: SessionId, store: Store, rooms: Rooms) -> Replays {
        let allowance = TokenBucket::of_seconds(BURST_SECONDS, BYTES_PER_SECOND, now);
        let (waiting, reading, retry_at) = (VecDeque::new(), None, None);
        Replays { session, store, rooms, waiting, reading, allowance, retry_at }
    }

    /// Queues a replay for a subscription.
    pub(super) fn start(&mut self, id: SubscriptionId, room: RoomName, what: Replay) {
        self.waiting.push_back((id, room, what));
    }

    /// Drops the replays of a subscription that ended, except one that is being read.
    pub(super) fn forget(&mut self, id: SubscriptionId) {
        self.waiting.retain(|(waiting, ..)| *waiting != id);
    }

    /// Whether [`Replays::poll_next`] has anything to do.
    pub(super) fn has_any(&self) -> bool {
        self.reading.is_some() || !self.waiting.is_empty()
    }

    /// When to call [`Replays::handle_timeout`].
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Lets a page be read whose time has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.retry_at = self.retry_at.filter(|at| now < *at);
    }

    /// The next page; `None` if a page begins to wait, so that [`Replays::poll_timeout`] has changed. Also pending when no
    /// replay is queued; then it does not wake the task, which must call it again after [`Replays::start`].
    pub(super) fn poll_next(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Option<Page>> {
        if self.reading.is_none() {
            if self.waiting.is_empty() || self.retry_at.is_some() {
                return Poll::Pending;
            }
            let has_memory = memory::share() >= ENOUGH_MEMORY;
            let delay =
                if has_memory { self.allowance.delay(0.0, now) } else { Some(MEMORY_DELAY) };
            if let Some(delay) = delay {
                self.retry_at = Some(now + delay);
                return Poll::Ready(None);
            }
            let Some((id, room, what)) = self.waiting.pop_front() else {
                return Poll::Pending;
            };
            let (session, store, rooms) = (self.session, self.store.clone(), self.rooms.clone());
            let read = async move {
                let messages = read(&store, &rooms, session, &room, what).await;
                Page { id, room, messages }
            };
            self.reading = Some(read.boxed());
        }
        let Some(reading) = &mut self.reading else {
            return Poll::Pending;
        };
        let page = ready!(reading.poll_unpin(cx));
        self.reading = None;
        let bytes = page.messages.iter().flatten().map(|message| message.weight()).sum::<usize>();
        self.allowance.spend(bytes as f64);
        Poll::Ready(Some(page))
    }
}

async fn read(
    store: &Store,
    rooms: &Rooms,
    session: SessionId,
    room: &RoomName,
    what: Replay,
) -> Result<Vec<Arc<Message>>, Refusal> {
    let viewer = match rooms.reader(room, session).await? {
        Reader::Viewer(viewer) => Some(viewer),
        Reader::Public => None,
        Reader::Nothing => {
            let message = format!("only participants of {room} may read its chat; join first");
            return Err(Refusal::new(ErrorCode::NotAllowed, message));
        }
    };
    let messages = async {
        let since = match what {
            Replay::Last(count) => store.chat_before_last(room, count, viewer.as_ref()).await?,
            Replay::Since(seq) => seq,
        };
        store.chat_since(room, since, REPLAY_PAGE, viewer.as_ref()).await
    };
    let messages = messages.await.map_err(|error: StoreError| {
        warn!(%error, "could not read stored chat");
        Refusal::new(
            ErrorCode::Internal,
            "could not read the stored messages; try again".to_owned(),
        )
    })?;
    let destination = Destination::chat_of(room);
    let mut page = Vec::with_capacity(messages.len());
    for some in messages.chunks(TURN) {
        page.extend(some.iter().map(|message| Arc::new(chat_message(&destination, message))));
        tokio::task::yield_now().await;
    }
    Ok(page)
}
