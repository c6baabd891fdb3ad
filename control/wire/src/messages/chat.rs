//! Chat messages, on `/topic/rooms/{room}/chat`.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A stored chat message (protocol §6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChatMessage {
    /// Its sequence number in the room: increases by one, without gaps.
    pub seq: u64,
    /// Unique, opaque id.
    pub id: String,
    /// The author.
    pub from: Author,
    /// The text: plain text, never markup.
    pub text: String,
    /// The participant to whom it is private.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The `id` of the message that it replies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The time at which the server stored it.
    pub sent_at: Timestamp,
    /// Whether it was deleted; its text is then empty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// The author of a message. The name is that at the time of writing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Author {
    /// The participant's id.
    pub id: String,
    /// The participant's name.
    pub name: String,
}

impl ChatMessage {
    /// The body of its MESSAGE frame.
    pub fn to_json(&self) -> Bytes {
        super::json::to_bytes(self)
    }
}
