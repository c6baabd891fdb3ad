//! What the holder of a credential may do.

use jiff::Timestamp;
use madang_wire::{Role, RoomName, SourceKind};

/// What a client may do: what its token says (protocol §8), or a guest's share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who it is: the token's `sub`, or a guest's made-up name.
    pub user: String,
    /// Whether there was no credential. A guest is another user at each connection.
    pub is_guest: bool,
    /// The token's `name`: what others see when the user does not choose a name.
    pub name: Option<String>,
    /// Which rooms it opens.
    pub scope: Scope,
    /// The highest role that the user may have by itself. None: the token does not say.
    pub role: Option<Role>,
    /// What the user may publish, within their role. None: all of it.
    pub publish: Option<Vec<SourceKind>>,
    /// Whether the user may moderate. None: by their role.
    pub moderate: Option<bool>,
    /// When all this ends.
    pub expires_at: Option<Timestamp>,
    /// The token's `jti`.
    pub token_id: Option<String>,
}

/// Which rooms a grant opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them: `room` is `*`.
    Every,
    /// This one.
    One(RoomName),
}

impl Grant {
    /// A guest's share: every room, as far as the rooms let guests in.
    pub fn guest(user: String) -> Grant {
        Grant {
            user,
            is_guest: true,
            name: None,
            scope: Scope::Every,
            role: None,
            publish: None,
            moderate: None,
            expires_at: None,
            token_id: None,
        }
    }

    /// Whether it opens a room.
    pub fn opens(&self, room: &RoomName) -> bool {
        match &self.scope {
            Scope::Every => true,
            Scope::One(name) => name == room,
        }
    }

    /// Whether it lets a source be published, if the role does. Who may share a screen may share its sound.
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
