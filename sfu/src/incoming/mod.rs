//! Incoming streams: what publishers send, and what is known of it.

pub(crate) mod bitrate;
pub(crate) mod history;
pub(crate) mod lip_sync;
pub(crate) mod nack;
pub(crate) mod speakers;
pub(crate) mod stream;
pub(crate) mod track;
