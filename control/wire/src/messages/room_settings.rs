//! Settings of a room.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Role;

/// The settings of a room. An omitted setting has its default, so `{}` is an ordinary room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct RoomSettings {
    /// The maximum number of participants. The server's own limit applies as well, and alone when this is absent.
    pub max_participants: Option<u32>,
    /// The roles that may publish.
    pub publishers: Publishers,
    /// Whether a moderator must admit each new participant.
    pub waiting_room: bool,
    /// Whether participants may chat.
    pub chat: bool,
    /// Whether the room may be recorded.
    pub recording_allowed: bool,
    /// The number of days after which chat messages are deleted; 0 keeps them forever. When absent, the server's
    /// setting applies.
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

impl RoomSettings {
    /// Returns these settings with a merge patch applied (RFC 7396): `null` resets a setting to its default.
    ///
    /// # Errors
    /// A text for people, when a setting is unknown or a value is not allowed.
    pub fn patched(&self, patch: &Map<String, Value>) -> Result<RoomSettings, String> {
        let unreadable = |error| format!("the settings can't be read: {error}");
        let mut all: Map<String, Value> =
            serde_json::to_value(self).and_then(serde_json::from_value).map_err(unreadable)?;
        for (key, value) in patch {
            match value {
                _ if !all.contains_key(key) => {
                    let key: String = key.chars().take(64).collect();
                    return Err(format!("there is no setting {key:?}"));
                }
                Value::Null => all[key] = RoomSettings::default_of(key),
                value => all[key] = value.clone(),
            }
        }
        let patched: RoomSettings = serde_json::from_value(all.into()).map_err(unreadable)?;
        if patched.max_participants == Some(0) {
            let message = "max_participants must be at least 1; to let no one in, lock the room";
            return Err(message.to_owned());
        }
        Ok(patched)
    }

    fn default_of(key: &str) -> Value {
        let mut all = serde_json::to_value(RoomSettings::default()).unwrap_or_default();
        all.get_mut(key).map_or(Value::Null, Value::take)
    }
}

/// The roles that may publish in a room. Listeners never may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Publishers {
    /// Hosts and speakers.
    #[default]
    Speakers,
    /// Hosts only.
    Hosts,
}

impl Publishers {
    /// Whether a participant with this role may publish.
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
    fn a_patch_changes_what_it_names() {
        let patch = |json: &str| {
            let settings =
                RoomSettings { waiting_room: true, chat: false, ..RoomSettings::default() };
            settings.patched(&serde_json::from_str(json).unwrap())
        };

        let patched = patch(r#"{"chat":null,"max_participants":5}"#).unwrap();

        assert_eq!((patched.chat, patched.waiting_room), (true, true));
        assert_eq!(patched.max_participants, Some(5));
        for wrong in [r#"{"caht":true}"#, r#"{"chat":1}"#, r#"{"max_participants":0}"#] {
            assert!(patch(wrong).is_err(), "{wrong}");
        }
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
