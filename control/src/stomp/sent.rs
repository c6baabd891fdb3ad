//! A SEND as it was read.

use std::time::Instant;

use bytes::Bytes;
use madang_wire::Headers;

/// A SEND.
#[derive(Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) destination: String,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
    /// When it was read.
    pub(crate) at: Instant,
}
