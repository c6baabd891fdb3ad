//! A change to write.

use futures_util::future::BoxFuture;

use crate::store::error::Unwritten;
use crate::store::writer::Writing;

/// A change that one caller wants to write.
pub(in crate::store) trait Change: Send + 'static {
    /// The result that the caller gets after the commit.
    type Answer: Send + 'static;

    /// Whether the change only adds a chat message, so that its row may wait for others.
    const IS_CHAT: bool = false;

    /// Announces which rows `write` will look up, so that a group can look them up together.
    fn announce(&self, _writing: &mut Writing<'_>) {}

    /// Writes the change. May be called again after a rollback. A change that is refused must have written nothing,
    /// because the rest of the group is still committed.
    fn write<'a>(
        &'a self,
        writing: &'a mut Writing<'_>,
    ) -> BoxFuture<'a, Result<Self::Answer, Unwritten>>;
}
