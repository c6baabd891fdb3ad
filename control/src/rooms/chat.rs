//! Chat messages as subscribers get them.

use madang_wire::{ChatMessage, Headers, header};

use crate::broker::Message;

/// A stored chat message as subscribers get it.
pub(crate) fn chat_message(destination: &str, message: &ChatMessage) -> Message {
    let headers: Headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::SEQ, message.seq.to_string()),
    ]
    .into_iter()
    .collect();
    Message::with_id(message.id.clone(), destination, headers, message.to_json())
}
