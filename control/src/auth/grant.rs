//! The rights of a client.

use jiff::Timestamp;
use madang_wire::{Role, RoomName, SourceKind};

use super::Destinations;

/// The rights of a client: the claims of its token (protocol §8), or those of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The user: the token's `sub`, or a generated name for a guest.
    pub user: String,
    /// Whether the client had no credential. A guest counts as another user at each connection.
    pub is_guest: bool,
    /// The token's `name`: the display name if the user does not choose one.
    pub name: Option<String>,
    /// The rooms that the client may enter.
    pub scope: Scope,
    /// The highest role that the token gives; a role stored in the room takes precedence. `None` if the token does not
    /// say.
    pub role: Option<Role>,
    /// The sources that the user may publish, as far as the role permits; `None` for all.
    pub publish: Option<Vec<SourceKind>>,
    /// Whether the user may moderate; `None` if the role decides.
    pub moderate: Option<bool>,
    /// The destinations outside rooms that it opens.
    pub destinations: Destinations,
    /// When the grant expires.
    pub expires_at: Option<Timestamp>,
    /// The token's `jti`.
    pub token_id: Option<String>,
}

/// The rooms that a grant opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All rooms: the token's `room` is `*`.
    Every,
    /// One room.
    One(RoomName),
}

impl Scope {
    /// The room, if it is the only one.
    pub fn room(&self) -> Option<&RoomName> {
        match self {
            Scope::Every => None,
            Scope::One(room) => Some(room),
        }
    }
}

impl Grant {
    /// The grant of a guest: every room that admits guests.
    pub fn guest(user: String) -> Grant {
        Grant {
            user,
            is_guest: true,
            name: None,
            scope: Scope::Every,
            role: None,
            publish: None,
            moderate: None,
            destinations: Destinations::Every,
            expires_at: None,
            token_id: None,
        }
    }

    /// Whether the grant opens a room.
    pub fn opens(&self, room: &RoomName) -> bool {
        match &self.scope {
            Scope::Every => true,
            Scope::One(name) => name == room,
        }
    }

    /// Whether the grant permits publishing a source, if the role permits it too. Permission for the screen includes
    /// its audio.
    pub fn lets_publish(&self, source: SourceKind) -> bool {
        let asked = match source {
            SourceKind::ScreenAudio => SourceKind::Screen,
            other => other,
        };
        self.publish.as_ref().is_none_or(|allowed| allowed.contains(&asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_may_publish_everything_everywhere() {
        let guest = Grant::guest("guest-1".to_owned());

        assert!(guest.opens(&RoomName::parse("마당").unwrap()));
        assert!(guest.lets_publish(SourceKind::ScreenAudio));
    }

    #[test]
    fn a_screen_comes_with_its_sound() {
        let publish = Some(vec![SourceKind::Screen]);
        let grant = Grant { publish, ..Grant::guest("a".to_owned()) };

        assert!(grant.lets_publish(SourceKind::ScreenAudio));
        assert!(!grant.lets_publish(SourceKind::Microphone));
    }
}
