//! The one task that writes: group commit across callers.

use madang_wire::{ChatMessage, RoomName};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::{NewChatMessage, StoreError, chat};

/// Messages that may wait for the writer. When full, callers wait: a room's mailbox then fills, and that pushes back on
/// those who type.
const QUEUE: usize = 1024;

/// Most messages in one transaction: bounds how long the first one waits for the others.
const GROUP: usize = 256;

/// The clonable sender to the writer's task. The task ends, with everything queued stored, when it is told to close or
/// when the last sender is gone.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
enum Command {
    Append(Append),
    Close(oneshot::Sender<()>),
}

#[derive(Debug)]
struct Append {
    room: RoomName,
    message: NewChatMessage,
    reply: oneshot::Sender<Result<ChatMessage, StoreError>>,
}

impl Writer {
    /// Gives the connection to a task of its own.
    pub(super) fn start(connection: SqliteConnection) -> Writer {
        let (commands, queue) = mpsc::channel(QUEUE);
        tokio::spawn(run(connection, queue));
        Writer { commands }
    }

    pub(super) async fn append(
        &self,
        room: RoomName,
        message: NewChatMessage,
    ) -> Result<ChatMessage, StoreError> {
        let (reply, answer) = oneshot::channel();
        let append = Command::Append(Append { room, message, reply });
        self.commands.send(append).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.commands.send(Command::Close(reply)).await.is_ok() {
            // An error means that the task is gone already, which is what is wanted.
            let _ = closed.await;
        }
    }
}

async fn run(mut connection: SqliteConnection, mut queue: mpsc::Receiver<Command>) {
    let mut commands = Vec::with_capacity(GROUP);
    let mut closing = Vec::new();
    while queue.recv_many(&mut commands, GROUP).await > 0 {
        let mut appends = Vec::with_capacity(commands.len());
        for command in commands.drain(..) {
            match command {
                Command::Append(append) => appends.push(append),
                Command::Close(reply) => {
                    // What is queued behind is still stored; later callers are told that the store is closed.
                    queue.close();
                    closing.push(reply);
                }
            }
        }
        if !appends.is_empty() {
            store(&mut connection, appends).await;
        }
    }
    if let Err(error) = connection.close().await {
        error!(%error, "the database did not close cleanly");
    }
    for reply in closing {
        // The caller may have given up waiting.
        let _ = reply.send(());
    }
}

/// Stores the messages in one transaction and answers each caller after the commit.
async fn store(connection: &mut SqliteConnection, appends: Vec<Append>) {
    let messages: Vec<_> = appends.iter().map(|append| (&append.room, &append.message)).collect();
    let outcome = commit(connection, &messages).await;
    match outcome {
        Ok(results) => {
            for (append, result) in appends.into_iter().zip(results) {
                // A caller that gave up loses the answer, not the message.
                let _ = append.reply.send(result);
            }
        }
        Err(error) => {
            error!(%error, messages = appends.len(), "chat could not be stored");
            for append in appends {
                let _ = append.reply.send(Err(StoreError::Failed(error.to_string())));
            }
        }
    }
}

/// One result per message when the transaction was committed. A message that a constraint refuses leaves the others
/// alone; any other failure may have rolled the transaction back already, so it fails the group.
async fn commit(
    connection: &mut SqliteConnection,
    messages: &[(&RoomName, &NewChatMessage)],
) -> Result<Vec<Result<ChatMessage, StoreError>>, sqlx::Error> {
    // IMMEDIATE: the write lock is taken before the highest seq is read.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut results = Vec::with_capacity(messages.len());
    for (room, message) in messages {
        results.push(match chat::insert(&mut transaction, room, message).await {
            Ok(stored) => Ok(stored),
            Err(sqlx::Error::Database(error)) if error.kind() != sqlx::error::ErrorKind::Other => {
                Err(StoreError::Refused(error.to_string()))
            }
            Err(error) => return Err(error),
        });
    }
    transaction.commit().await?;
    Ok(results)
}
