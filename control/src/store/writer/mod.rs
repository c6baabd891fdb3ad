//! The single task that writes: group commit across callers.
//!
//! A [`Change`] is what one caller wants to write. It waits in the queue. The task puts all waiting changes into one
//! transaction and answers each caller after the commit. If the database rejects one change, the task rolls the
//! transaction back and tries each change alone, so that one caller's failure does not affect the others.
#![expect(
    clippy::disallowed_methods,
    reason = "the writer's deadlines and health checks are timed here"
)]

mod append;
mod change;
mod link;
mod pending;
mod writing;

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

pub(super) use self::change::Change;
pub(super) use self::link::Link;
pub(super) use self::pending::Append;
pub(super) use self::writing::Writing;

use super::StoreError;
use super::trouble::Cause;
use crate::store::error::{Failure, Unwritten};

/// Maximum number of changes waiting for the writer. When the queue is full, callers wait; their rooms' mailboxes then
/// fill up, which is back-pressure on those who type.
const QUEUE: usize = 1024;

/// Maximum number of changes in one transaction. It bounds how long the first change waits for the others.
const GROUP: usize = 256;

/// Deadline of a transaction, including its begin and commit. When it passes, the connection is dropped.
const DEADLINE: Duration = Duration::from_secs(30);

/// The clonable sender to the writer's task. The task stores everything queued and ends when it receives the close
/// command or when the last sender is dropped.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    commands: mpsc::Sender<Command>,
}

enum Command {
    Write(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Spawns the task, which owns the connection.
    pub(super) fn start(link: Link) -> Writer {
        let (commands, queue) = mpsc::channel(QUEUE);
        tokio::spawn(run(link, queue));
        Writer { commands }
    }

    /// Writes a change, which is durable when this returns. Polling the future once queues the change, unless the queue
    /// is full.
    pub(super) async fn write<C: Change>(&self, change: C) -> Result<C::Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Waiting { change, written: None, reply });
        self.commands.send(Command::Write(job)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.commands.send(Command::Close(reply)).await.is_ok() {
            // An error means that the task has ended already.
            let _ = closed.await;
        }
    }
}

async fn run(mut link: Link, mut queue: mpsc::Receiver<Command>) {
    let mut commands = Vec::with_capacity(GROUP);
    let mut closing = Vec::new();
    let mut check = Box::pin(tokio::time::sleep(link.until_check()));
    loop {
        tokio::select! {
            received = queue.recv_many(&mut commands, GROUP) => if received == 0 {
                break;
            },
            () = &mut check => {
                link.check().await;
                check.set(tokio::time::sleep(link.until_check()));
                continue;
            }
        }
        let mut jobs = Vec::with_capacity(commands.len());
        for command in commands.drain(..) {
            match command {
                Command::Write(job) => jobs.push(job),
                Command::Close(reply) => {
                    // Changes already in the queue are still stored; later callers get `StoreError::Closed`.
                    queue.close();
                    closing.push(reply);
                }
            }
        }
        if link.is_short_of_space().await {
            for job in jobs.extract_if(.., |job| job.is_chat()) {
                job.answer(Some(&StoreError::AlmostFull));
            }
        }
        let was_in_trouble = link.is_in_trouble();
        write(&mut link, jobs).await;
        if !was_in_trouble && link.is_in_trouble() {
            check.set(tokio::time::sleep(link.until_check()));
        }
    }
    link.close().await;
    for reply in closing {
        // The caller may have stopped waiting.
        let _ = reply.send(());
    }
}

/// Writes the jobs in one transaction. If one job makes it fail, writes each job alone. Answers all of them.
async fn write(link: &mut Link, mut jobs: Vec<Box<dyn Job>>) {
    let failed = match attempt(link, &mut jobs).await {
        Ok(()) => None,
        Err(Failure::OfOne(_)) if jobs.len() > 1 && link.is_there() => {
            for job in jobs {
                write_alone(link, job).await;
            }
            return;
        }
        Err(failure) => Some(StoreError::from(failure)),
    };
    if failed.is_some() {
        link.count_failed(jobs.len());
    }
    jobs.into_iter().for_each(|job| job.answer(failed.as_ref()));
}

async fn write_alone(link: &mut Link, job: Box<dyn Job>) {
    let mut alone = [job];
    let failed = attempt(link, &mut alone).await.err().map(StoreError::from);
    if failed.is_some() {
        link.count_failed(alone.len());
    }
    let [job] = alone;
    job.answer(failed.as_ref());
}

/// Runs one transaction. If it fails, nothing of it is stored, unless the connection was lost during the commit.
async fn attempt(link: &mut Link, jobs: &mut [Box<dyn Job>]) -> Result<(), Failure> {
    let dialect = link.dialect();
    let Some(connection) = link.connection() else {
        return Err(Failure::Down(link.cause()));
    };
    let mut is_usable = true;
    let transaction = async {
        let mut writing = Writing::begin(connection, dialect).await?;
        if let Err(error) = fill(&mut writing, jobs).await {
            let failure;
            (failure, is_usable) = writing.take_back(error).await;
            return Err(failure);
        }
        writing.commit().await
    };
    let outcome = match tokio::time::timeout(DEADLINE, transaction).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let seconds = DEADLINE.as_secs();
            let cause = Cause::Away(format!("it did not answer within {seconds} seconds"));
            link.lose(cause.clone());
            return Err(Failure::Down(cause));
        }
    };
    match &outcome {
        Ok(()) => link.succeed(),
        Err(Failure::OfAll(cause) | Failure::Down(cause)) => link.fail(cause.clone()).await,
        Err(Failure::OfOne(_)) if !is_usable => link.renew().await,
        Err(Failure::OfOne(_)) => {}
    }
    outcome
}

/// Writes everything that the jobs want.
async fn fill(writing: &mut Writing<'_>, jobs: &mut [Box<dyn Job>]) -> Result<(), sqlx::Error> {
    jobs.iter().for_each(|job| job.announce(writing));
    append::look_up(writing).await?;
    for job in jobs {
        // The job may read a row that waits to be inserted.
        if writing.chat.has_rows() && !job.is_chat() {
            append::insert_rows(writing).await?;
        }
        job.attempt(writing).await?;
    }
    append::insert_rows(writing).await?;
    append::store_seqs(writing).await
}

/// A change of any type, with its waiting caller.
trait Job: Send {
    fn announce(&self, writing: &mut Writing<'_>);

    /// Whether the change only adds a chat message.
    fn is_chat(&self) -> bool;

    fn attempt<'a>(
        &'a mut self,
        writing: &'a mut Writing<'_>,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>>;

    /// Sends the caller the result of `attempt`, or `failed` if the transaction failed.
    fn answer(self: Box<Self>, failed: Option<&StoreError>);
}

struct Waiting<C: Change> {
    change: C,
    /// The result of the last attempt.
    written: Option<Result<C::Answer, StoreError>>,
    reply: oneshot::Sender<Result<C::Answer, StoreError>>,
}

impl<C: Change> Job for Waiting<C> {
    fn announce(&self, writing: &mut Writing<'_>) {
        self.change.announce(writing);
    }

    fn is_chat(&self) -> bool {
        C::IS_CHAT
    }

    fn attempt<'a>(
        &'a mut self,
        writing: &'a mut Writing<'_>,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        Box::pin(async move {
            self.written = Some(match self.change.write(writing).await {
                Ok(answer) => Ok(answer),
                Err(Unwritten::Refused(reason)) => Err(StoreError::Refused(reason)),
                Err(Unwritten::Failed(error)) => return Err(error),
            });
            Ok(())
        })
    }

    fn answer(self: Box<Self>, failed: Option<&StoreError>) {
        let answer = match (failed, self.written) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(written)) => written,
            (None, None) => Err(StoreError::Closed),
        };
        // A caller that stopped waiting loses the answer, not the change.
        let _ = self.reply.send(answer);
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Command::Write(_) => "Write",
            Command::Close(_) => "Close",
        })
    }
}
