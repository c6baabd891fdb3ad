//! Who is in a room.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Someone in a room, as everybody there sees them (protocol §5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Participant {
    /// Unique in the room, opaque.
    pub id: String,
    /// What to call them.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Since when they are here.
    pub joined_at: Timestamp,
    /// They say that their microphone is off.
    #[serde(default)]
    pub muted: bool,
    /// They say that their camera is off.
    #[serde(default)]
    pub camera_off: bool,
    /// They ask for attention.
    #[serde(default)]
    pub hand_raised: bool,
    /// What they publish, each kind at most once.
    #[serde(default)]
    pub sources: Vec<SourceKind>,
    /// What a moderator has stopped: it is not forwarded, and they can't switch it on again by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<SourceKind>,
    /// What their client wants others to know.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: Map<String, Value>,
}

/// What a participant may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Moderates.
    Host,
    /// Publishes.
    #[default]
    Speaker,
    /// Watches and listens.
    Listener,
}

/// What a published stream shows or carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A voice.
    Microphone,
    /// A face.
    Camera,
    /// A shared screen, window or tab.
    Screen,
    /// The sound of that.
    ScreenAudio,
}

impl SourceKind {
    /// Whether it is sound (and goes into audio slots).
    pub fn is_audio(self) -> bool {
        matches!(self, SourceKind::Microphone | SourceKind::ScreenAudio)
    }

    /// As in the messages.
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
