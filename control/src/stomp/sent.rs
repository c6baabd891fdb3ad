//! A SEND frame as received.

use std::time::Instant;

use bytes::Bytes;
use madang_wire::{Destination, DestinationError, Headers};

/// A SEND frame, with the time it was received.
#[derive(Debug, PartialEq)]
pub(crate) struct Sent {
    /// Where it goes; an error is answered when the SEND is carried out.
    pub(crate) to: Result<Destination, DestinationError>,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
    /// When the frame was read.
    pub(crate) at: Instant,
}
