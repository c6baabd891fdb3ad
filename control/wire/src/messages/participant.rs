//! Participants of a room.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A participant, as everyone in the room sees it (protocol §5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Participant {
    /// Unique in the room, opaque.
    pub id: String,
    /// The display name.
    pub name: String,
    /// The role, which determines the permissions.
    pub role: Role,
    /// The time of joining.
    pub joined_at: Timestamp,
    /// Whether the participant says that its microphone is off.
    #[serde(default)]
    pub muted: bool,
    /// Whether the participant says that its camera is off.
    #[serde(default)]
    pub camera_off: bool,
    /// Whether the participant has raised its hand.
    #[serde(default)]
    pub hand_raised: bool,
    /// The published sources, each kind at most once.
    #[serde(default)]
    pub sources: Vec<SourceKind>,
    /// Sources that a moderator has stopped: they are not forwarded, and the participant can't resume them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<SourceKind>,
    /// Metadata that the participant's client sets for others.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: Map<String, Value>,
}

/// The role of a participant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Can moderate and publish.
    Host,
    /// Can publish.
    #[default]
    Speaker,
    /// Can only watch and listen.
    Listener,
}

/// The kind of a published source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A microphone.
    Microphone,
    /// A camera.
    Camera,
    /// A shared screen, window or tab.
    Screen,
    /// The sound of the shared screen.
    ScreenAudio,
}

impl SourceKind {
    /// Whether it is audio, which goes into audio slots.
    pub fn is_audio(self) -> bool {
        matches!(self, SourceKind::Microphone | SourceKind::ScreenAudio)
    }

    /// The name as used in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            SourceKind::Microphone => "microphone",
            SourceKind::Camera => "camera",
            SourceKind::Screen => "screen",
            SourceKind::ScreenAudio => "screen_audio",
        }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
