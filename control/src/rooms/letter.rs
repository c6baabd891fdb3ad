//! What a mailbox takes.

use tokio::sync::oneshot;

use crate::broker::{Receipt, SessionId};
use crate::refusal::Refusal;
use crate::rooms::room::{Admin, AdminReply, Asked, Reader};

/// What a room's mailbox takes.
#[derive(Debug)]
pub(crate) enum Letter {
    /// A participant, or somebody who wants to become one, asks for something.
    Request {
        asked: Asked,
        /// Sent when the request is done, for chat when it is stored.
        receipt: Option<Receipt>,
    },
    /// A session is over.
    Gone { session: SessionId, said_goodbye: bool, receipt: Option<Receipt> },
    /// What of the chat may this session read?
    Who { session: SessionId, reply: oneshot::Sender<Reader> },
    /// An operator asks for something.
    Admin { admin: Admin, reply: oneshot::Sender<Result<AdminReply, Refusal>> },
}
