//! Chat messages as delivered to subscribers.

use madang_wire::{ChatMessage, Headers, header};

use crate::broker::Message;

/// The message that subscribers receive for a stored chat message.
pub(crate) fn chat_message(destination: &str, message: &ChatMessage) -> Message {
    let headers: Headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::SEQ, message.seq.to_string()),
    ]
    .into_iter()
    .collect();
    Message::with_id(message.id.clone(), destination, headers, message.to_json())
}
