//! Outgoing streams: the slots in which a peer receives, and what they do to packets on the way out.

pub(crate) mod loss;
pub(crate) mod rewrite;
pub(crate) mod slot;
pub(crate) mod ssrcs;
pub(crate) mod wire;
