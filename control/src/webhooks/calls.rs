//! The tasks that store occurrences and make the calls. They read the clock for all of webhooks.
#![expect(clippy::disallowed_methods, reason = "the clock of webhooks is read here")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, header};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::occurrence::{Envelope, Note};
use super::patience::{LONGEST_PAUSE, next_try};
use super::record::{Failure, Record};
use super::signature::{SIGNATURE, Signer};
use crate::store::{Delivery, NewDelivery, Store};

/// The header with the event's id, which is also in the body.
const EVENT_ID: &str = "madang-event-id";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a whole call.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum number of response bytes that are read and discarded, so that the connection can be reused.
const MOST_ANSWER_BYTES: usize = 64 * 1024;

/// Maximum number of occurrences stored at once.
const BATCH: usize = 128;
/// Maximum number of calls read from the store at once.
const PAGE: u32 = 32;
/// Delay after the database failed.
const REST: Duration = Duration::from_secs(1);
/// Maximum length of a stored failure reason, in characters.
const MOST_REASON: usize = 300;
/// Maximum duration of one sleep, because the wall clock may be set in the meantime.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Creates a client that trusts the system's root certificates and follows no redirects. Without an `https:` URL it
/// loads no certificates.
pub(super) fn client(urls: &[String]) -> reqwest::Result<Client> {
    let has_tls = |url: &String| url.to_ascii_lowercase().starts_with("https:");
    let builder = match urls.iter().any(has_tls) {
        true => Client::builder(),
        false => Client::builder().tls_certs_only([]),
    };
    builder
        .user_agent(concat!("madang/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .pool_max_idle_per_host(1)
        .build()
}

/// Stores occurrences as calls.
pub(super) struct Recorder {
    pub(super) urls: Vec<String>,
    pub(super) store: Store,
    pub(super) record: Arc<Record>,
    /// Notifies the callers of stored calls, one entry per caller.
    pub(super) news: Vec<Arc<Notify>>,
}

impl Recorder {
    /// Runs until `stop` is cancelled, and then until the queue is empty.
    pub(super) async fn run(self, mut notes: mpsc::Receiver<Note>, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let count = tokio::select! {
                count = notes.recv_many(&mut batch, BATCH) => count,
                () = stop.cancelled(), if !notes.is_closed() => {
                    notes.close();
                    continue;
                }
            };
            if count == 0 {
                return;
            }
            let deliveries = self.deliveries(batch.drain(..));
            self.store(&deliveries, &stop).await;
            self.news.iter().for_each(|caller| caller.notify_one());
        }
    }

    fn deliveries(&self, notes: impl Iterator<Item = Note>) -> Vec<NewDelivery> {
        let mut deliveries = Vec::new();
        for note in notes {
            let body = note.to_body(&format!("{:032x}", rand::random::<u128>()));
            for url in &self.urls {
                let (url, body, at) = (url.clone(), body.clone(), note.at);
                deliveries.push(NewDelivery { url, body, at });
            }
        }
        deliveries
    }

    /// Stores calls, retrying until it succeeds. Meanwhile occurrences wait in the queue. While the server stops, there
    /// is one attempt.
    async fn store(&self, deliveries: &[NewDelivery], stop: &CancellationToken) {
        let count = u64::try_from(deliveries.len()).unwrap_or(u64::MAX);
        loop {
            match self.store.queue_webhooks(deliveries).await {
                Ok(given_up) => {
                    self.record.queued(count);
                    if given_up > 0 {
                        warn!(given_up, "too many webhook calls are queued; dropped the oldest");
                        self.record.gave_up(given_up);
                    }
                    return;
                }
                Err(error) => {
                    error.log("could not store webhook calls");
                    if stop.is_cancelled() {
                        self.record.lost.fetch_add(count, Relaxed);
                        return;
                    }
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

/// Makes the calls to one URL.
pub(super) struct Caller {
    pub(super) target: usize,
    pub(super) url: String,
    pub(super) client: Client,
    pub(super) signer: Arc<Signer>,
    pub(super) store: Store,
    pub(super) record: Arc<Record>,
    pub(super) has_more: Arc<Notify>,
}

impl Caller {
    /// Runs for ever. Makes one call after the other, in their order.
    pub(super) async fn run(self) {
        loop {
            match self.store.waiting_webhooks(&self.url, PAGE).await {
                Ok(page) if page.is_empty() => self.has_more.notified().await,
                Ok(page) => {
                    for delivery in page {
                        self.deliver(delivery).await;
                    }
                }
                Err(error) => {
                    error.log("could not read the queued webhook calls");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// Repeats a call until it succeeds or is given up.
    async fn deliver(&self, mut delivery: Delivery) {
        let Some(Envelope { id, at }) = Envelope::of(&delivery.body) else {
            warn!(delivery = delivery.id, "could not parse a stored webhook call");
            self.record.gave_up(1);
            return self.forget(delivery.id).await;
        };
        loop {
            until(delivery.at).await;
            match self.call(&id, &delivery.body).await {
                Ok(()) => {
                    if delivery.attempts > 0 {
                        info!(
                            attempts = delivery.attempts,
                            "a webhook call succeeded after retries"
                        );
                    }
                    self.record.delivered(self.target, Timestamp::now());
                    return self.forget(delivery.id).await;
                }
                Err(reason) => {
                    let now = Timestamp::now();
                    let attempts = delivery.attempts.saturating_add(1);
                    let next = next_try(at, attempts, now, rand::random());
                    if delivery.attempts == 0 {
                        warn!(%reason, "a webhook call failed; retrying later");
                    }
                    self.record.failed(self.target, Failure { at: now, reason, attempts }, next);
                    let Some(next) = next else {
                        warn!(attempts, "gave up a webhook call");
                        return self.forget(delivery.id).await;
                    };
                    (delivery.attempts, delivery.at) = (attempts, next);
                    if let Err(error) = self.store.webhook_failed(delivery.id, attempts, next).await
                    {
                        // The count of attempts then starts from an old value after a restart.
                        debug!(%error, "could not store the failure of a webhook call");
                    }
                }
            }
        }
    }

    async fn call(&self, id: &str, body: &str) -> Result<(), String> {
        let signature = self.signer.sign(Timestamp::now().as_second(), body);
        let request = self
            .client
            .post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(EVENT_ID, id)
            .header(SIGNATURE, signature)
            .body(body.to_owned());
        let response = request.send().await.map_err(reason_of)?;
        let status = response.status();
        swallow(response).await;
        if status.is_success() { Ok(()) } else { Err(format!("the receiver answered {status}")) }
    }

    /// Deletes a call from the store, retrying until it succeeds: otherwise the call would be made again.
    async fn forget(&self, delivery: u64) {
        while let Err(error) = self.store.webhook_delivered(delivery).await {
            error.log("could not remove a finished webhook call from the store");
            tokio::time::sleep(REST).await;
        }
    }
}

/// Reads a response up to a limit. Errors are ignored, because only the status counts.
async fn swallow(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > MOST_ANSWER_BYTES {
            return;
        }
    }
}

/// The error with all its causes, without the URL, which may contain a secret.
fn reason_of(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        reason.push_str(": ");
        reason.push_str(&error.to_string());
        cause = error.source();
    }
    reason.chars().take(MOST_REASON).collect()
}

/// Waits until a time by the wall clock, because the time comes from the store.
async fn until(time: Timestamp) {
    loop {
        let left = time.duration_since(Timestamp::now());
        let Ok(left) = Duration::try_from(left) else { return };
        // No pause is that long, so the clock was set back.
        if left.is_zero() || left > 2 * LONGEST_PAUSE {
            return;
        }
        tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
    }
}
