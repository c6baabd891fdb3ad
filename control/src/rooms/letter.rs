//! Letters: the messages in a room's mailbox.

use tokio::sync::oneshot;

use crate::broker::{Receipt, SessionId};
use crate::refusal::Refusal;
use crate::rooms::account::{Account, Opener};
use crate::rooms::room::{Admin, AdminReply, Asked, Reader};

/// A message to a room's task.
#[derive(Debug)]
pub(crate) enum Letter {
    /// A request of a participant, or of somebody who wants to join.
    Request {
        asked: Asked,
        /// Sent when the request is done; for chat, when the message is stored.
        receipt: Option<Receipt>,
    },
    /// A session has ended.
    Gone { session: SessionId, said_goodbye: bool, receipt: Option<Receipt> },
    /// Asks which part of the chat a session may read.
    Who { session: SessionId, reply: oneshot::Sender<Result<Reader, Refusal>> },
    /// A request over REST.
    Admin { admin: Admin, reply: oneshot::Sender<Result<AdminReply, Refusal>> },
}

impl Letter {
    /// The opener of the room, if this letter opens it.
    pub(super) fn opener(&self) -> Opener {
        match self {
            Letter::Request { asked, .. } => Opener::Account(asked.account()),
            Letter::Admin { admin, .. } => match &admin.user {
                Some(user) => Opener::Account(Account::User(user.clone())),
                None => Opener::Operator,
            },
            Letter::Who { .. } | Letter::Gone { .. } => Opener::Reader,
        }
    }
}
