//! A SEND as it was read.

use std::time::Instant;

use bytes::Bytes;
use madang_wire::{Destination, DestinationError, Headers};

/// A SEND.
#[derive(Debug, PartialEq)]
pub(crate) struct Sent {
    /// Where it goes; an error is answered when the SEND is carried out.
    pub(crate) to: Result<Destination, DestinationError>,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
    /// When it was read.
    pub(crate) at: Instant,
}
