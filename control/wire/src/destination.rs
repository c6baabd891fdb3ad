//! The meaning of a `destination` header (protocol §2).

use crate::{RoomName, RoomNameError};

/// A parsed destination. Whether a client may SEND or SUBSCRIBE to it is decided by the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// `/topic/rooms`: the list of open rooms.
    Rooms,
    /// `/topic/rooms/{room}/chat`
    Chat(RoomName),
    /// `/topic/rooms/{room}/events`
    Events(RoomName),
    /// `/app/rooms/{room}/{action}`, under any of the app prefixes.
    Request {
        /// The room.
        room: RoomName,
        /// The last segment, for [`crate::Request::parse`]; it may be unknown there.
        action: String,
    },
    /// Any other destination under `/topic/rooms`. Only the server publishes there.
    ServerTopic(String),
    /// Any other destination under an app prefix, without that prefix: `/chat`.
    App(String),
    /// `/queue/**`, complete: each message goes to one subscriber.
    Queue(String),
    /// Any other destination under a broker prefix, complete: each message goes to every subscriber.
    Topic(String),
    /// `/user/queue/**`, without `/user`: private to this session.
    UserQueue(String),
    /// `/user/{name}/queue/**`: private to another user.
    OtherUserQueue {
        /// That user's name.
        user: String,
        /// The queue, as in `UserQueue`.
        queue: String,
    },
}

/// The reason why a text is not a destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// It is under no known prefix.
    #[error("no such destination; destinations begin with {known}")]
    UnknownPrefix {
        /// All known prefixes, comma-separated.
        known: String,
    },
    /// It names a room that can't exist.
    #[error("no such room: {0}")]
    BadRoom(#[from] RoomNameError),
    /// `**` is not the last segment.
    #[error("\"**\" must be the last segment of a destination")]
    AfterRest,
}

/// The prefixes of destinations to which clients send requests and publish. Each begins with `/` and does not end with
/// one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefixes {
    /// Prefixes of requests that the server handles.
    pub app: Vec<String>,
    /// Prefixes of publish/subscribe topics and queues.
    pub broker: Vec<String>,
}

impl Default for Prefixes {
    fn default() -> Prefixes {
        let own = |prefixes: &[&str]| prefixes.iter().map(|p| (*p).to_owned()).collect();
        Prefixes { app: own(&["/app", "/pub"]), broker: own(&["/topic", "/queue", "/sub"]) }
    }
}

impl Destination {
    /// Parses a `destination` header.
    ///
    /// # Errors
    /// When the destination is under no known prefix, or names a room that can't exist.
    pub fn parse(text: &str, prefixes: &Prefixes) -> Result<Destination, DestinationError> {
        if let Some(rest) = below(text, "/user") {
            return user_queue(rest).ok_or_else(|| unknown_prefix(prefixes));
        }
        if let Some(rest) = prefixes.app.iter().find_map(|prefix| below(text, prefix)) {
            return request(rest);
        }
        if text == "/topic/rooms" {
            return Ok(Destination::Rooms);
        }
        if let Some(rest) = below(text, "/topic/rooms") {
            return Ok(
                room_topic(rest).unwrap_or_else(|| Destination::ServerTopic(text.to_owned()))
            );
        }
        if !prefixes.broker.iter().any(|prefix| below(text, prefix).is_some()) {
            return Err(unknown_prefix(prefixes));
        }
        Ok(match below(text, "/queue") {
            Some(_) => Destination::Queue(text.to_owned()),
            None => Destination::Topic(text.to_owned()),
        })
    }

    /// The destination of a room's chat.
    pub fn chat_of(room: &RoomName) -> String {
        format!("/topic/rooms/{room}/chat")
    }

    /// The destination of a room's events.
    pub fn events_of(room: &RoomName) -> String {
        format!("/topic/rooms/{room}/events")
    }

    /// The destination of a request to a room.
    pub fn request_to(room: &RoomName, action: &str) -> String {
        format!("/app/rooms/{room}/{action}")
    }
}

impl Destination {
    /// The destination of [`crate::Signal`]s.
    pub const SIGNAL: &str = "/user/queue/signal";
    /// The destination of [`crate::RoomSummary`]s.
    pub const ROOMS: &str = "/topic/rooms";
}

/// The part after a prefix, with its leading slash; `None` when `text` is not under the prefix or equals it.
fn below<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(prefix)?;
    (rest.starts_with('/') && rest.len() > 1).then_some(rest)
}

fn request(rest: &str) -> Result<Destination, DestinationError> {
    let room_and_action = below(rest, "/rooms").and_then(|r| r[1..].split_once('/'));
    let Some((room, action)) = room_and_action else {
        return Ok(Destination::App(rest.to_owned()));
    };
    Ok(Destination::Request { room: RoomName::parse(room)?, action: action.to_owned() })
}

fn room_topic(rest: &str) -> Option<Destination> {
    let (room, topic) = rest[1..].split_once('/')?;
    let room = RoomName::parse(room).ok()?;
    match topic {
        "chat" => Some(Destination::Chat(room)),
        "events" => Some(Destination::Events(room)),
        _ => None,
    }
}

fn user_queue(rest: &str) -> Option<Destination> {
    if below(rest, "/queue").is_some() {
        return Some(Destination::UserQueue(rest.to_owned()));
    }
    let (user, queue) = rest[1..].split_once('/')?;
    let queue = format!("/{queue}");
    below(&queue, "/queue")?;
    Some(Destination::OtherUserQueue { user: user.to_owned(), queue })
}

fn unknown_prefix(prefixes: &Prefixes) -> DestinationError {
    let mut known: Vec<&str> = prefixes.app.iter().map(String::as_str).collect();
    known.extend(prefixes.broker.iter().map(String::as_str));
    known.push("/user/queue");
    DestinationError::UnknownPrefix { known: known.join(", ") }
}

/// A subscribed destination with wildcards: `*` matches one segment, `**` at the end matches any number of segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: String,
    is_literal: bool,
}

impl Pattern {
    /// Parses a pattern. A destination without wildcards matches only itself.
    ///
    /// # Errors
    /// When a segment follows `**`.
    pub fn parse(text: &str) -> Result<Pattern, DestinationError> {
        let mut segments = text.split('/');
        if segments.any(|segment| segment == "**") && segments.next().is_some() {
            return Err(DestinationError::AfterRest);
        }
        let is_literal = !text.split('/').any(|segment| matches!(segment, "*" | "**"));
        Ok(Pattern { text: text.to_owned(), is_literal })
    }

    /// Whether the pattern has no wildcards.
    pub fn is_literal(&self) -> bool {
        self.is_literal
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern matches everything that `other` matches, which may be a pattern itself.
    pub fn covers(&self, other: &str) -> bool {
        let mut segments = other.split('/');
        for wanted in self.text.split('/') {
            match (wanted, segments.next()) {
                ("**", _) => return true,
                (_, Some("**")) => return false,
                ("*", Some(_)) => {}
                (wanted, Some(segment)) if wanted == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }

    /// Whether the pattern matches `destination`.
    pub fn matches(&self, destination: &str) -> bool {
        if self.is_literal {
            return self.text == destination;
        }
        let mut segments = destination.split('/');
        for wanted in self.text.split('/') {
            match (wanted, segments.next()) {
                ("**", _) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(segment)) if wanted == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Destination, DestinationError> {
        Destination::parse(text, &Prefixes::default())
    }

    fn room(name: &str) -> RoomName {
        RoomName::parse(name).unwrap()
    }

    #[test]
    fn each_kind_of_destination_is_told_apart() {
        let action = "join".to_owned();
        let request = Destination::Request { room: room("회의실"), action };
        let queue = "/queue/a".to_owned();
        for (text, expected) in [
            ("/topic/rooms", Destination::Rooms),
            ("/topic/rooms/회의실/chat", Destination::Chat(room("회의실"))),
            ("/topic/rooms/a/events", Destination::Events(room("a"))),
            ("/topic/rooms/a/other", Destination::ServerTopic("/topic/rooms/a/other".into())),
            ("/topic/rooms/*/events", Destination::ServerTopic("/topic/rooms/*/events".into())),
            ("/app/rooms/회의실/join", request.clone()),
            ("/pub/rooms/회의실/join", request),
            ("/pub/chat", Destination::App("/chat".into())),
            ("/app/rooms", Destination::App("/rooms".into())),
            ("/topic/chat/room/5", Destination::Topic("/topic/chat/room/5".into())),
            ("/topic/roomservice", Destination::Topic("/topic/roomservice".into())),
            ("/sub/chat/room/5", Destination::Topic("/sub/chat/room/5".into())),
            ("/queue/a", Destination::Queue(queue.clone())),
            ("/user/queue/a", Destination::UserQueue(queue.clone())),
            ("/user/bob/queue/a", Destination::OtherUserQueue { user: "bob".into(), queue }),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_room_that_cannot_exist_is_refused() {
        assert_eq!(
            parse("/app/rooms/a b/join"),
            Err(DestinationError::BadRoom(RoomNameError::Character(' ')))
        );
    }

    #[test]
    fn an_unknown_prefix_names_the_known_ones() {
        for text in ["", "/", "topic/a", "/nowhere/a", "/topic", "/topic/", "/user/a", "/topical/a"]
        {
            let error = parse(text).unwrap_err().to_string();
            assert!(
                error.contains("/app, /pub, /topic, /queue, /sub, /user/queue"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn stars_stand_for_segments() {
        for (pattern, destination, expected) in [
            ("/topic/a", "/topic/a", true),
            ("/topic/a", "/topic/a/b", false),
            ("/topic/*", "/topic/a", true),
            ("/topic/*", "/topic/a/b", false),
            ("/topic/*", "/topic", false),
            ("/topic/*/b", "/topic/a/b", true),
            ("/topic/*/b", "/topic/a/c", false),
            ("/topic/**", "/topic/a", true),
            ("/topic/**", "/topic/a/b/c", true),
            ("/topic/**", "/queue/a", false),
            ("/topic/*/**", "/topic/a/b", true),
            ("/topic/a*", "/topic/ab", false),
            ("/topic/a*", "/topic/a*", true),
        ] {
            let matches = Pattern::parse(pattern).unwrap().matches(destination);
            assert_eq!(matches, expected, "{pattern} {destination}");
        }
    }

    #[test]
    fn nothing_follows_the_rest() {
        assert_eq!(Pattern::parse("/topic/**/a"), Err(DestinationError::AfterRest));
    }
}
