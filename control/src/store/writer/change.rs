//! What one caller wants to be written.

use futures_util::future::BoxFuture;

use crate::store::error::Unwritten;
use crate::store::writer::Writing;

/// What somebody wants to be written.
pub(in crate::store) trait Change: Send + 'static {
    /// What they are told once it is.
    type Answer: Send + 'static;

    /// Whether it adds a message and nothing else, so that its row may wait for others.
    const IS_CHAT: bool = false;

    /// Says what it is going to ask, so that a group can ask at once.
    fn announce(&self, _writing: &mut Writing<'_>) {}

    /// Writes it. May be called again after the transaction was taken back. When it is refused, it has written nothing,
    /// for the rest of the group is committed all the same.
    fn write<'a>(
        &'a self,
        writing: &'a mut Writing<'_>,
    ) -> BoxFuture<'a, Result<Self::Answer, Unwritten>>;
}
