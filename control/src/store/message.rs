//! Chat messages as they are stored and read.

use jiff::Timestamp;
use madang_wire::{Author, ChatMessage};
use sqlx::any::AnyRow;

use crate::store::row::{number, optional_text, optional_time, text, time};

pub(super) const COLUMNS: &str =
    "seq, id, from_id, from_name, text, to_id, reply_to, sent_at, deleted_at, from_user, to_user";

/// A chat message on its way into the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChatMessage {
    /// Unique in its room.
    pub id: String,
    /// Who wrote it: the participant's id.
    pub from_id: String,
    /// Who wrote it: the name at that time.
    pub from_name: String,
    /// Who wrote it: the user, unless they are a guest.
    pub from_user: Option<String>,
    /// The text as typed.
    pub text: String,
    /// The one participant who may read it, besides its author; `None` means everybody.
    pub to: Option<String>,
    /// The user who that is, unless they are a guest.
    pub to_user: Option<String>,
    /// The id of the message that this one answers.
    pub reply_to: Option<String>,
    /// The author's own id for it, if they gave one: a second message with the same is the first one again. Authors are
    /// told apart by user, guests by participant.
    pub message_id: Option<String>,
    /// When the server took it. Kept in milliseconds.
    pub sent_at: Timestamp,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is stored, under the next number of its room.
    Stored(ChatMessage),
    /// Its author's message of this `message_id` was stored before, as this.
    Known(ChatMessage),
}

/// Whoever reads: they see what is public, and what is private to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// Who they are in the room.
    pub participant: String,
    /// Who they are everywhere, unless they are a guest.
    pub user: Option<String>,
}

/// A stored message, with what others are not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatRecord {
    /// The message.
    pub message: ChatMessage,
    /// The user who wrote it; None for a guest.
    pub from_user: Option<String>,
    /// The user whom it is for; None when it is for everybody or a guest.
    pub to_user: Option<String>,
}

impl Appended {
    /// The message as it is stored.
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
