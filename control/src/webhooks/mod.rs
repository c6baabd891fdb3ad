//! Calls to other programs when something happens in a room.
//!
//! ```text
//! room's task ─▶ tell ─▶ bounded queue ─▶ recorder ─▶ store ─▶ one caller per URL ─▶ POST
//! ```
//!
//! A room never waits: what does not fit into the queue is counted and told nobody. What the recorder has stored is
//! called at least once, in order for each URL, through restarts of either side, until it succeeds or a day has
//! passed. A call that failed holds up those behind it, because the order counts: "left" before "joined" would leave a
//! seat taken for ever.
//!
//! A receiver tells calls apart by `id`, and checks `madang-signature`: `t=` and the time of the call in seconds since
//! 1970, `,v1=` and the HMAC-SHA256, in hex, of that time, a dot and the body.

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

/// The most URLs that are called.
pub const MOST_URLS: usize = 16;

/// Occurrences on their way to the store. When there are more, they are lost, and counted.
const QUEUE: usize = 8_192;

/// Whom to call, and the secret that calls are signed with.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// At most [`MOST_URLS`].
    pub urls: Vec<String>,
    /// Shared with the receivers.
    pub secret: String,
}

/// The entrance to the queue. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Webhooks {
    record: Arc<Record>,
    /// None: nobody is to be called.
    queue: Option<mpsc::Sender<Note>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Webhooks {
    /// Nobody is called.
    pub(crate) fn off() -> Webhooks {
        Webhooks {
            record: Arc::default(),
            queue: None,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Takes up the calls that wait, and those to come. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the system's certificates can't be used, or the database fails.
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

    /// Tells what happened. Never waits.
    pub(crate) fn tell(&self, room: &RoomName, at: Timestamp, what: Occurrence) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(Note { room: room.clone(), at, what }).is_err() {
            self.record.lost.fetch_add(1, Relaxed);
        }
    }

    /// Whether anybody listens.
    pub(crate) fn are_on(&self) -> bool {
        self.queue.is_some()
    }

    pub(crate) fn stats(&self) -> WebhookStats {
        self.record.stats()
    }

    /// How it goes with each URL, in the order of the configuration.
    pub(crate) fn targets(&self) -> Vec<TargetRecord> {
        self.record.targets()
    }

    /// Stores what was told until here. Calls under way are broken off, and made again after the next start.
    pub(crate) async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
