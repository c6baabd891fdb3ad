//! Incoming streams: the tracks that peers publish, and everything known about what arrives on them.

pub(crate) mod bitrate;
pub(crate) mod history;
pub(crate) mod lip_sync;
pub(crate) mod meter;
pub(crate) mod nack;
pub(crate) mod speakers;
pub(crate) mod stream;
pub(crate) mod track;
pub(crate) mod voice;
