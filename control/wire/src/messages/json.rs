//! JSON bodies.

use bytes::Bytes;
use serde::Serialize;

/// Only called with types of this crate: plain structs and enums, maps with text as keys.
pub(crate) fn to_bytes<T: Serialize>(value: &T) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("messages have no map without text keys"))
}
