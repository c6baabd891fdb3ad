//! Read access to the stored chat.

use crate::store::Viewer;

/// The part of a room's stored chat that a session may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Nothing: the session is not in the room, and not everybody may enter it.
    Nothing,
    /// Public messages: the session is not in the room, but everybody may enter it.
    Public,
    /// Public messages, and the private messages of this viewer.
    Viewer(Viewer),
}
