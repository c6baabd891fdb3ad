//! Outgoing streams: the slots of receivers.

pub(crate) mod loss;
pub(crate) mod rewrite;
pub(crate) mod slot;
pub(crate) mod wire;
