//! Webhooks: calls to other programs when something happens in a room.
//!
//! ```text
//! room's task ─▶ tell ─▶ bounded queue ─▶ recorder ─▶ store ─▶ one caller per URL ─▶ POST
//! ```
//!
//! A room never waits: events that do not fit into the queue are counted and lost. A call that the recorder has stored
//! is made at least once, in order for each URL, across restarts of either side, until it succeeds or a day has passed.
//! A failed call blocks those behind it (head-of-line blocking), because the order matters: "left" before "joined"
//! would leave a seat taken for ever.
//!
//! A receiver recognizes repeated calls by `id`, and verifies `madang-signature`: `t=` and the time of the call in
//! seconds since 1970, `,v1=` and the HMAC-SHA256, in hex, of that time, a dot and the body.

mod calls;
mod occurrence;
mod patience;
mod record;
mod signature;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::Context;
use jiff::Timestamp;
use madang_wire::RoomName;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::occurrence::Occurrence;
pub use self::record::WebhookStats;
pub(crate) use self::record::{Failure, TargetRecord};

use self::occurrence::Note;
use self::record::Record;
use self::signature::Signer;
use crate::store::Store;

/// Maximum number of URLs.
pub const MOST_URLS: usize = 16;

/// Capacity of the queue in front of the recorder. When it is full, occurrences are lost and counted.
const QUEUE: usize = 8_192;

/// The URLs to call and the secret that signs the calls.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// At most [`MOST_URLS`].
    pub urls: Vec<String>,
    /// Shared with the receivers, who verify the signature.
    pub secret: String,
}

/// The handle that queues occurrences. Clones share their state.
#[derive(Clone, Debug)]
pub struct Webhooks {
    record: Arc<Record>,
    /// `None` if no URLs are configured.
    queue: Option<mpsc::Sender<Note>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Webhooks {
    /// Webhooks without URLs.
    pub(crate) fn off() -> Webhooks {
        Webhooks {
            record: Arc::default(),
            queue: None,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Starts the tasks, which make the stored calls and those to come. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the system's root certificates can't be used, or the database fails.
    pub(crate) async fn start(config: WebhookConfig, store: Store) -> anyhow::Result<Webhooks> {
        let WebhookConfig { urls, secret } = config;
        if urls.is_empty() {
            return Ok(Webhooks::off());
        }
        let client = calls::client(&urls).context("the client for webhooks can't be made")?;
        store.keep_webhooks_of(&urls).await.context("webhooks can't be read")?;
        let record = Arc::new(Record::new(&urls));
        record.queued(
            store.pending_webhooks().await.context("could not count the stored webhook calls")?,
        );
        let (queue, notes) = mpsc::channel(QUEUE);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let signer = Arc::new(Signer::new(&secret));
        let mut news = Vec::new();
        for (target, url) in urls.iter().enumerate() {
            let has_more = Arc::new(Notify::new());
            let caller = calls::Caller {
                target,
                url: url.clone(),
                client: client.clone(),
                signer: Arc::clone(&signer),
                store: store.clone(),
                record: Arc::clone(&record),
                has_more: Arc::clone(&has_more),
            };
            news.push(has_more);
            let stop = stop.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = caller.run() => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        let recorder = calls::Recorder { urls, store, record: Arc::clone(&record), news };
        tasks.spawn(recorder.run(notes, stop.clone()));
        Ok(Webhooks { record, queue: Some(queue), tasks, stop })
    }

    /// Queues an occurrence. Never waits.
    pub(crate) fn tell(&self, room: &RoomName, at: Timestamp, what: Occurrence) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(Note { room: room.clone(), at, what }).is_err() {
            self.record.lost.fetch_add(1, Relaxed);
        }
    }

    /// Whether any URLs are configured.
    pub(crate) fn are_on(&self) -> bool {
        self.queue.is_some()
    }

    pub(crate) fn stats(&self) -> WebhookStats {
        self.record.stats()
    }

    /// The state of each URL, in the order of the configuration.
    pub(crate) fn targets(&self) -> Vec<TargetRecord> {
        self.record.targets()
    }

    /// Stores the queued occurrences and stops the tasks. Aborts calls in progress; they are made again after the next
    /// start.
    pub(crate) async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
