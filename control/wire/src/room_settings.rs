//! How a room is set up.

use serde::{Deserialize, Serialize};

use crate::Role;

/// What a room is set to; whatever is left out has its default, so that `{}` is an ordinary room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct RoomSettings {
    /// Most participants at a time; the server's own limit holds besides. None: that one alone.
    pub max_participants: Option<u32>,
    /// Who may publish.
    pub publishers: Publishers,
    /// Whether a moderator has to admit whoever comes.
    pub waiting_room: bool,
    /// Whether participants may chat.
    pub chat: bool,
    /// Whether the room may be recorded.
    pub recording_allowed: bool,
    /// Days after which chat messages are deleted; 0 keeps them for ever. None: as the server is set.
    pub retention_days: Option<u32>,
}

impl Default for RoomSettings {
    fn default() -> RoomSettings {
        RoomSettings {
            max_participants: None,
            publishers: Publishers::default(),
            waiting_room: false,
            chat: true,
            recording_allowed: true,
            retention_days: None,
        }
    }
}

/// Who may publish in a room. Listeners never do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Publishers {
    /// Hosts and speakers.
    #[default]
    Speakers,
    /// Hosts alone.
    Hosts,
}

impl Publishers {
    /// Whether a participant of this role may publish.
    pub fn include(self, role: Role) -> bool {
        match role {
            Role::Host => true,
            Role::Speaker => self == Publishers::Speakers,
            Role::Listener => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_its_default() {
        let settings: RoomSettings = serde_json::from_str(r#"{"waiting_room":true}"#).unwrap();

        assert_eq!(settings, RoomSettings { waiting_room: true, ..RoomSettings::default() });
        assert!(settings.chat && settings.recording_allowed);
    }

    #[test]
    fn listeners_never_publish() {
        for publishers in [Publishers::Speakers, Publishers::Hosts] {
            assert!(publishers.include(Role::Host));
            assert!(!publishers.include(Role::Listener));
        }
        assert!(Publishers::Speakers.include(Role::Speaker));
        assert!(!Publishers::Hosts.include(Role::Speaker));
    }
}
