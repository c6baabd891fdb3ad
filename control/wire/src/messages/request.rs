//! Requests from a client to a room: `SEND /app/rooms/{room}/{action}` (protocol §3).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Role, Secret, SourceKind};

/// The source that each published m-line carries, by `a=mid`.
pub type Mids = BTreeMap<String, SourceKind>;

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident = $action:literal,)*) => {
        /// A request to a room, with its body.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Request {
            $($(#[$doc])* $name($name),)*
        }

        impl Request {
            /// The last segments of the destinations, in the order of the protocol.
            pub const ACTIONS: &[&str] = &[$($action,)*];

            /// Parses the body of a request to `/app/rooms/{room}/{action}`. An empty body means `{}`.
            ///
            /// # Errors
            /// When the action is unknown, or the body does not match it.
            pub fn parse(action: &str, body: &[u8]) -> Result<Request, RequestError> {
                match action {
                    $($action => read($action, body).map(Request::$name),)*
                    unknown => Err(RequestError::UnknownAction(shorten(unknown))),
                }
            }

            /// The last segment of its destination.
            pub fn action(&self) -> &'static str {
                match self {
                    $(Request::$name(_) => $action,)*
                }
            }

            /// The body of its SEND frame.
            pub fn to_json(&self) -> Bytes {
                match self {
                    $(Request::$name(body) => super::json::to_bytes(body),)*
                }
            }
        }
    };
}

requests! {
    /// Joins the room.
    Join = "join",
    /// Starts or renegotiates media.
    Offer = "offer",
    /// Adds an ICE candidate (trickle ICE).
    Candidate = "candidate",
    /// Declares the sources of the published m-lines.
    Sources = "sources",
    /// Selects what the receiving slots show.
    View = "view",
    /// Changes the state that others see.
    State = "state",
    /// Sends a chat message to everyone or to one participant.
    Chat = "chat",
    /// Sends a reaction.
    React = "react",
    /// Carries out a moderator's action.
    Moderate = "moderate",
    /// Leaves the room.
    Leave = "leave",
}

/// The reason why a request can't be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The destination's last segment is none of [`Request::ACTIONS`].
    #[error("unknown request {0:?}; the requests to a room are {known}", known = Request::ACTIONS.join(", "))]
    UnknownAction(String),
    /// The body is not the JSON object that the action requires.
    #[error("the body of {action} can't be read: {reason}")]
    BadBody {
        /// The action.
        action: &'static str,
        /// The error and its position.
        reason: String,
    },
}

/// The body of `join`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// The display name.
    pub name: String,
    /// The requested role; the server may grant a lower one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The room's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A WebRTC offer, so that joining with media takes one round trip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp: Option<String>,
    /// The sources that this offer publishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mids: Option<Mids>,
}

/// The body of `offer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The SDP offer.
    pub sdp: String,
}

/// The body of `candidate`, with the fields of `RTCIceCandidateInit`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The candidate-attribute (RFC 8839 §5.1); empty at the end of candidates.
    pub candidate: String,
    /// The m-line's `a=mid`.
    #[serde(default)]
    pub sdp_mid: Option<String>,
    /// The m-line's index.
    #[serde(default)]
    pub sdp_m_line_index: Option<u16>,
}

/// The body of `sources`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// All published m-lines; an m-line that is not listed is not shown to anyone.
    pub mids: Mids,
}

/// The body of `view`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The slots for which the client wants a particular source.
    #[serde(default)]
    pub slots: Vec<WantedSlot>,
    /// Whether the server fills the other slots.
    #[serde(default = "yes")]
    pub auto: bool,
}

impl Default for View {
    fn default() -> View {
        View { slots: Vec::new(), auto: yes() }
    }
}

fn yes() -> bool {
    true
}

/// The content that the client wants in a receiving slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedSlot {
    /// The slot's `a=mid`.
    pub mid: String,
    /// The participant to show; `None` keeps the slot empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    /// The source of that participant; the camera if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceKind>,
    /// The maximum useful width, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_width: Option<u32>,
    /// The maximum useful height, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_height: Option<u32>,
    /// The maximum useful frame rate, in frames per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fps: Option<u32>,
    /// The priority when bandwidth is short: slots with higher values keep their quality longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
}

/// The body of `state`. Omitted fields stay unchanged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Whether the microphone is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<bool>,
    /// Whether the camera is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera_off: Option<bool>,
    /// Whether the hand is raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_raised: Option<bool>,
    /// The new display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Replaces all metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

/// The body of `chat`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// The text.
    pub text: String,
    /// The participant to whom the message is private.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The `id` of the message that it replies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
}

/// The body of `react`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct React {
    /// The emoji.
    pub emoji: String,
}

/// The body of `moderate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Moderate {
    /// The action.
    pub action: ModerateAction,
    /// The affected participant; for `admit` and `deny`, one who is waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    /// The action's argument, see [`ModerateAction`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// A moderator's action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ModerateAction {
    /// Stops forwarding all audio of the participant; `value: false` lets the participant resume it.
    Mute,
    /// Stops forwarding the participant's camera; `value: false` as for `mute`.
    StopCamera,
    /// Stops forwarding the participant's screen and its sound; `value: false` as for `mute`.
    StopScreen,
    /// Removes the participant, whose token no longer opens the room. `value` may be a reason.
    Kick,
    /// Removes the participant for good, or until the time in `value` (RFC 3339).
    Ban,
    /// Locks the room: no one can join.
    Lock,
    /// Unlocks the room.
    Unlock,
    /// Admits a waiting participant.
    Admit,
    /// Rejects a waiting participant.
    Deny,
    /// Gives the participant the role in `value`.
    SetRole,
    /// Deletes the chat message whose id is in `value`.
    DeleteMessage,
    /// Closes the room.
    EndRoom,
}

/// The body of `leave`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {}

fn read<T: DeserializeOwned>(action: &'static str, body: &[u8]) -> Result<T, RequestError> {
    let body = if body.is_empty() { b"{}".as_slice() } else { body };
    serde_json::from_slice(body)
        .map_err(|error| RequestError::BadBody { action, reason: error.to_string() })
}

/// Truncates a text. Error texts go back to the sender of a destination and must not repeat all of it.
fn shorten(text: &str) -> String {
    text.chars().take(32).collect()
}
