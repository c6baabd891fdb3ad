//! Chat messages, on `/topic/rooms/{room}/chat`.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A stored chat message (protocol §6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChatMessage {
    /// Its place in the room: rises by one, without gaps.
    pub seq: u64,
    /// Unique, opaque.
    pub id: String,
    /// Who wrote it.
    pub from: Author,
    /// What they wrote. Plain text, never markup.
    pub text: String,
    /// The participant that it is private to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The `id` of the message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// When the server stored it.
    pub sent_at: Timestamp,
    /// Whether it was deleted: then its text is empty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// Who wrote a message. The name is that of the time of writing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Author {
    /// The participant.
    pub id: String,
    /// Their name.
    pub name: String,
}

impl ChatMessage {
    /// The body of its MESSAGE frame.
    pub fn to_json(&self) -> Bytes {
        super::json::to_bytes(self)
    }
}
