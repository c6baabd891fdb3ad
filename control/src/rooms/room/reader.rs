//! What a session may read of the stored chat.

use crate::store::Viewer;

/// What of a room's stored chat somebody may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// They are not in the room, and it keeps people out.
    Nothing,
    /// They are not in the room, but everybody may come in.
    Public,
    /// That, and what is private to them.
    Viewer(Viewer),
}
