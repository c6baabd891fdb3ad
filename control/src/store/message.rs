//! Chat messages as stored rows.

use jiff::Timestamp;
use madang_wire::{Author, ChatMessage};
use sqlx::any::AnyRow;

use crate::store::row::{number, optional_text, optional_time, text, time};

pub(super) const COLUMNS: &str =
    "seq, id, from_id, from_name, text, to_id, reply_to, sent_at, deleted_at, from_user, to_user";

/// A chat message to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChatMessage {
    /// Unique in its room.
    pub id: String,
    /// The author's participant id.
    pub from_id: String,
    /// The author's display name at that time.
    pub from_name: String,
    /// The author's user name; `None` for a guest.
    pub from_user: Option<String>,
    /// The text as typed.
    pub text: String,
    /// The recipient of a private message, the only participant besides the author who may read it; `None` means
    /// everybody.
    pub to: Option<String>,
    /// The recipient's user name; `None` for a guest.
    pub to_user: Option<String>,
    /// The id of the message that this one replies to.
    pub reply_to: Option<String>,
    /// The author's own id for the message, for deduplication: a second message with the same id counts as the first
    /// one sent again. Authors are distinguished by user, guests by participant.
    pub message_id: Option<String>,
    /// When the server accepted it. Stored with millisecond precision.
    pub sent_at: Timestamp,
}

/// The result of storing a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The message was stored under the next number of its room.
    Stored(ChatMessage),
    /// The author's message with this `message_id` was already stored; this is the stored message.
    Known(ChatMessage),
}

/// A reader of chat, who sees public messages and private messages they wrote or received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The reader's participant id.
    pub participant: String,
    /// The reader's user name; `None` for a guest.
    pub user: Option<String>,
}

/// A stored message, with the fields that clients do not see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatRecord {
    /// The message.
    pub message: ChatMessage,
    /// The author's user name; `None` for a guest.
    pub from_user: Option<String>,
    /// The recipient's user name; `None` if the message is for everybody or for a guest.
    pub to_user: Option<String>,
}

impl Appended {
    /// The stored message.
    pub fn message(&self) -> &ChatMessage {
        match self {
            Appended::Stored(message) | Appended::Known(message) => message,
        }
    }
}

pub(super) fn message(row: &AnyRow) -> Result<ChatMessage, sqlx::Error> {
    Ok(ChatMessage {
        seq: number(row, "seq")?,
        id: text(row, "id")?,
        from: Author { id: text(row, "from_id")?, name: text(row, "from_name")? },
        text: text(row, "text")?,
        to: optional_text(row, "to_id")?,
        reply_to: optional_text(row, "reply_to")?,
        sent_at: time(row, "sent_at")?,
        deleted: optional_time(row, "deleted_at")?.is_some(),
    })
}
