//! Which destinations live on the external broker, and what they are called there.
//!
//! | here | on the broker |
//! | --- | --- |
//! | `/topic/a.b`, `/queue/a` | the same |
//! | `/topic/chat/room/5` | `/topic/chat.room.5`: segments of brokers are separated by dots |
//! | `/topic/a/*`, `/topic/a/**` | `/topic/a.*`, `/topic/a.#` (RabbitMQ, Artemis) or `/topic/a.>` (ActiveMQ) |
//! | `/sub/chat/room/5` | `/topic/sub.chat.room.5`: brokers know no other prefixes |
//! | `/exchange/…`, `/amq/…`, `/temp-queue/…`, `/temp-topic/…`, `/reply-queue/…` | the same, if they are broker prefixes |
//!
//! The broker's own wildcards (`#`, `>`) pass as they are.

use std::borrow::Cow;

use madang_wire::Destination;

/// Prefixes with a meaning to brokers, which clients may not use.
const UNTOUCHED: [&str; 5] = ["exchange", "amq", "temp-queue", "temp-topic", "reply-queue"];

/// Whether a destination lives on the external broker, when there is one. Rooms, requests and users' private queues
/// never do.
pub(crate) fn is_outside(destination: &Destination) -> bool {
    match destination {
        Destination::Topic(_) | Destination::Queue(_) => true,
        Destination::Rooms
        | Destination::Chat(_)
        | Destination::Events(_)
        | Destination::ServerTopic(_)
        | Destination::Request { .. }
        | Destination::App(_)
        | Destination::UserQueue(_)
        | Destination::OtherUserQueue { .. } => false,
    }
}

/// Whether a destination means several, in our words or a broker's.
pub(crate) fn has_wildcard(text: &str) -> bool {
    text.split(['/', '.']).any(|segment| matches!(segment, "*" | "**" | "#" | ">"))
}

/// The wildcards for all remaining segments in a broker's patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// `#`: RabbitMQ, Artemis.
    Hash,
    /// `>`: ActiveMQ.
    Angle,
}

impl Rest {
    /// By the header `server` of CONNECTED, as `ActiveMQ/5.17.2`.
    pub(super) fn of(server: &str) -> Rest {
        if server.starts_with("ActiveMQ/") { Rest::Angle } else { Rest::Hash }
    }
}

/// The broker's name for a destination of ours.
pub(super) fn to_broker(text: &str, rest: Rest) -> String {
    let Some((prefix, name)) = split(text) else {
        return text.to_owned();
    };
    if UNTOUCHED.contains(&prefix) {
        return text.to_owned();
    }
    let mut name = name.replace('/', ".");
    if name == "**" || name.ends_with(".**") {
        name.truncate(name.len() - 2);
        name.push_str(match rest {
            Rest::Hash => "#",
            Rest::Angle => ">",
        });
    }
    match prefix {
        "topic" | "queue" => format!("/{prefix}/{name}"),
        other => format!("/topic/{other}.{name}"),
    }
}

/// Our name for a broker's destination, in the way in which the client subscribed: a subscription that was written with
/// slashes gets slashes. `asked` is what the broker was asked for.
pub(super) fn from_broker<'a>(subscribed: &'a str, asked: &str, actual: &'a str) -> Cow<'a, str> {
    if actual == asked {
        return Cow::Borrowed(subscribed);
    }
    let (Some((prefix, pattern)), Some((_, name))) = (split(subscribed), split(actual)) else {
        return Cow::Borrowed(actual);
    };
    let name = match prefix {
        "topic" | "queue" => name,
        other => match name.strip_prefix(other).and_then(|name| name.strip_prefix('.')) {
            Some(name) => name,
            None => return Cow::Borrowed(actual),
        },
    };
    let name = if pattern.contains('/') { Cow::Owned(name.replace('.', "/")) } else { name.into() };
    Cow::Owned(format!("/{prefix}/{name}"))
}

/// `/prefix/name`
fn split(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('/')?.split_once('/')
}

#[cfg(test)]
mod tests {
    use madang_wire::Prefixes;

    use super::*;

    #[test]
    fn rooms_requests_and_private_queues_stay() {
        for (text, expected) in [
            ("/topic/a", true),
            ("/topic/roomservice", true),
            ("/queue/a", true),
            ("/sub/chat/room/5", true),
            ("/topic/rooms", false),
            ("/topic/rooms/a/chat", false),
            ("/topic/rooms/a/anything", false),
            ("/topic/rooms/*/events", false),
            ("/app/rooms/a/join", false),
            ("/pub/chat", false),
            ("/user/queue/a", false),
            ("/user/bob/queue/a", false),
        ] {
            let destination = Destination::parse(text, &Prefixes::default()).unwrap();
            assert_eq!(is_outside(&destination), expected, "{text}");
        }
    }

    #[test]
    fn names_are_the_brokers_own_there() {
        for (text, hash, angle) in [
            ("/topic/a.b", "/topic/a.b", "/topic/a.b"),
            ("/topic/chat/room/5", "/topic/chat.room.5", "/topic/chat.room.5"),
            ("/queue/a", "/queue/a", "/queue/a"),
            ("/sub/chat/room/5", "/topic/sub.chat.room.5", "/topic/sub.chat.room.5"),
            ("/topic/a/*", "/topic/a.*", "/topic/a.*"),
            ("/topic/a/**", "/topic/a.#", "/topic/a.>"),
            ("/topic/**", "/topic/#", "/topic/>"),
            ("/topic/a.#", "/topic/a.#", "/topic/a.#"),
            ("/exchange/logs/a", "/exchange/logs/a", "/exchange/logs/a"),
        ] {
            assert_eq!(to_broker(text, Rest::Hash), hash, "{text}");
            assert_eq!(to_broker(text, Rest::Angle), angle, "{text}");
        }
    }

    #[test]
    fn messages_come_under_the_names_that_were_subscribed() {
        for (subscribed, asked, actual, expected) in [
            ("/topic/a/b", "/topic/a.b", "/topic/a.b", "/topic/a/b"),
            ("/topic/a/*", "/topic/a.*", "/topic/a.b", "/topic/a/b"),
            ("/topic/a.*", "/topic/a.*", "/topic/a.b", "/topic/a.b"),
            ("/sub/a/**", "/topic/sub.a.#", "/topic/sub.a.b", "/sub/a/b"),
            ("/sub/a/**", "/topic/sub.a.#", "/topic/else", "/topic/else"),
            ("/topic/a", "/topic/a", "nonsense", "nonsense"),
        ] {
            assert_eq!(from_broker(subscribed, asked, actual), expected, "{subscribed} {actual}");
        }
    }

    #[test]
    fn wildcards_are_whole_segments() {
        for text in ["/topic/*", "/topic/a.*", "/topic/a/**", "/topic/a.#", "/topic/>"] {
            assert!(has_wildcard(text), "{text}");
        }
        for text in ["/topic/a", "/topic/a*", "/topic/c#", "/topic/a>b"] {
            assert!(!has_wildcard(text), "{text}");
        }
    }
}
