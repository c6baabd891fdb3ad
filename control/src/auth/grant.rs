//! What the holder of a credential may do.

use jiff::Timestamp;
use madang_wire::{Destination, Pattern, Role, RoomName, SourceKind};

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

    /// Whether a subscription would reach the chat or events of a room that it does not open.
    pub fn is_kept_from(&self, pattern: &Pattern) -> bool {
        let Scope::One(own) = &self.scope else { return false };
        // `/topic/rooms/{room}/…`: the one room that is named there, or any other where a star is.
        let named = pattern.as_str().split('/').nth(3).and_then(|name| RoomName::parse(name).ok());
        let any = ["a", "b"].into_iter().filter_map(|name| RoomName::parse(name).ok());
        let mut others = named.into_iter().chain(any).filter(|room| room != own);
        others.any(|room| {
            pattern.matches(&Destination::chat_of(&room))
                || pattern.matches(&Destination::events_of(&room))
        })
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
    fn a_token_of_one_room_hears_that_room_alone() {
        let own = RoomName::parse("a").unwrap();
        let grant = Grant { scope: Scope::One(own), ..Grant::guest("a".to_owned()) };
        for (pattern, is_kept) in [
            ("/topic/rooms/a/chat", false),
            ("/topic/rooms/a/*", false),
            ("/topic/rooms/b/events", true),
            ("/topic/rooms/회의/**", true),
            ("/topic/rooms/*/chat", true),
            ("/topic/*/c/events", true),
            ("/topic/**", true),
            ("/topic/rooms", false),
            ("/topic/chat/**", false),
            ("/queue/**", false),
        ] {
            assert_eq!(grant.is_kept_from(&Pattern::parse(pattern).unwrap()), is_kept, "{pattern}");
            assert!(!Grant::guest("b".to_owned()).is_kept_from(&Pattern::parse(pattern).unwrap()));
        }
    }

    #[test]
    fn a_screen_comes_with_its_sound() {
        let publish = Some(vec![SourceKind::Screen]);
        let grant = Grant { publish, ..Grant::guest("a".to_owned()) };

        assert!(grant.lets_publish(SourceKind::ScreenAudio));
        assert!(!grant.lets_publish(SourceKind::Microphone));
    }
}
