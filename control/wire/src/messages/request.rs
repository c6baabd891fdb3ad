//! What a client asks of a room: `SEND /app/rooms/{room}/{action}` (protocol §3).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Role, Secret, SourceKind};

/// Which source each published m-line carries, by `a=mid`.
pub type Mids = BTreeMap<String, SourceKind>;

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident = $action:literal,)*) => {
        /// A request to a room, with its body.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Request {
            $($(#[$doc])* $name($name),)*
        }

        impl Request {
            /// The last segments of the destinations, in the protocol's order.
            pub const ACTIONS: &[&str] = &[$($action,)*];

            /// Reads the body of a request to `/app/rooms/{room}/{action}`. An empty body is `{}`.
            ///
            /// # Errors
            /// When there is no such action, or the body is not what it takes.
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
    /// Come in.
    Join = "join",
    /// Start or renegotiate media.
    Offer = "offer",
    /// Trickle an ICE candidate.
    Candidate = "candidate",
    /// Say what the published m-lines are.
    Sources = "sources",
    /// Say what the receiving slots are wanted for.
    View = "view",
    /// Change what others see of oneself.
    State = "state",
    /// Write to everybody, or to one.
    Chat = "chat",
    /// Show an emoji.
    React = "react",
    /// Act as a moderator.
    Moderate = "moderate",
    /// Go.
    Leave = "leave",
}

/// Why a request could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The destination's last segment is none of [`Request::ACTIONS`].
    #[error("a room has no request {0:?}; it has {known}", known = Request::ACTIONS.join(", "))]
    UnknownAction(String),
    /// The body is not the JSON that the request takes.
    #[error("the body of {action} can't be read: {reason}")]
    BadBody {
        /// The request.
        action: &'static str,
        /// What is wrong and where.
        reason: String,
    },
}

/// `join`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// What others shall call one.
    pub name: String,
    /// The role that one wants; the server may give less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The room's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A WebRTC offer, so that joining with media takes one round trip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp: Option<String>,
    /// What that offer publishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mids: Option<Mids>,
}

/// `offer`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The SDP offer.
    pub sdp: String,
}

/// `candidate`, with the fields of `RTCIceCandidateInit`.
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

/// `sources`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// All published m-lines; one that is not named is not shown to anybody.
    pub mids: Mids,
}

/// `view`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The slots that are wanted for something.
    #[serde(default)]
    pub slots: Vec<WantedSlot>,
    /// Whether the server fills the others.
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

/// What a receiving slot is wanted for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedSlot {
    /// The slot's `a=mid`.
    pub mid: String,
    /// Whom to show there; nobody: keep it empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    /// Which of their sources; the camera when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceKind>,
    /// No more is needed, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_width: Option<u32>,
    /// No more is needed, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_height: Option<u32>,
    /// No more is needed, in frames per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fps: Option<u32>,
    /// Which slot keeps its quality longest when bandwidth is short: the higher one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
}

/// `state`; what is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The microphone is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<bool>,
    /// The camera is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera_off: Option<bool>,
    /// The hand is raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_raised: Option<bool>,
    /// What others shall call one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Replaces all metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

/// `chat`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// What to say.
    pub text: String,
    /// The participant that it is private to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The `id` of the message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
}

/// `react`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct React {
    /// The emoji.
    pub emoji: String,
}

/// `moderate`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Moderate {
    /// What to do.
    pub action: ModerateAction,
    /// To whom: a participant, or for `admit` and `deny` one who waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    /// What else the action takes, see [`ModerateAction`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// What a moderator can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ModerateAction {
    /// Stop forwarding all their sound; `value: false` lets them switch it on again.
    Mute,
    /// Stop forwarding their camera; `value: false` as above.
    StopCamera,
    /// Stop forwarding their screen and its sound; `value: false` as above.
    StopScreen,
    /// Remove them; their token does not open the room any more. `value` may be a reason.
    Kick,
    /// Remove them for good, or until the time in `value` (RFC 3339).
    Ban,
    /// Let nobody in any more.
    Lock,
    /// Let people in again.
    Unlock,
    /// Let in one who waits.
    Admit,
    /// Turn away one who waits.
    Deny,
    /// Give them the role in `value`.
    SetRole,
    /// Delete the chat message whose id is in `value`.
    DeleteMessage,
    /// Close the room.
    EndRoom,
}

/// `leave`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {}

fn read<T: DeserializeOwned>(action: &'static str, body: &[u8]) -> Result<T, RequestError> {
    let body = if body.is_empty() { b"{}".as_slice() } else { body };
    serde_json::from_slice(body)
        .map_err(|error| RequestError::BadBody { action, reason: error.to_string() })
}

/// Error texts go back to whoever sent the destination, so they must not repeat all of it.
fn shorten(text: &str) -> String {
    text.chars().take(32).collect()
}
