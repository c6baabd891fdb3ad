//! JSON bodies.

use bytes::Bytes;
use serde::Serialize;

/// Serializes a value. Only for types of this crate: plain structs and enums, and maps with text keys.
pub(crate) fn to_bytes<T: Serialize>(value: &T) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("messages have no map without text keys"))
}
