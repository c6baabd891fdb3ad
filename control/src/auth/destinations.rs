//! Destinations of the broker: topics and queues outside rooms, and the queues of other users.
//!
//! | token | may use |
//! | --- | --- |
//! | for every room, without the claim `destinations`; guests | all |
//! | for one room, without the claim | `/topic/chat/room/{room}`, below every broker prefix |
//! | with the claim | what it names; a token for one room also that topic |
//!
//! Rooms have rules of their own, and every client may use its own queues below `/user/queue`.

use madang_wire::{Pattern, RoomName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Maximum number of entries in each list of the claim.
const MOST: usize = 64;

/// The claim `destinations`. An entry may end with `*` or `**`, as in a SUBSCRIBE.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DestinationsClaim {
    /// Destinations that the user may subscribe to.
    #[serde(default)]
    pub subscribe: Vec<String>,
    /// Destinations that the user may send to.
    #[serde(default)]
    pub send: Vec<String>,
}

/// The destinations that a grant opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destinations {
    /// All.
    Every,
    /// Destinations that match an entry, and the tutorial chat of the room.
    These {
        /// For SUBSCRIBE.
        subscribe: Vec<Pattern>,
        /// For SEND.
        send: Vec<Pattern>,
        /// The only room that the grant opens.
        room: Option<RoomName>,
    },
}

impl Destinations {
    /// The destinations that a token opens: one for `room`, or one for every room.
    ///
    /// # Errors
    /// The mistake in the claim.
    pub(super) fn of(
        claim: Option<DestinationsClaim>,
        room: Option<&RoomName>,
    ) -> Result<Destinations, String> {
        if claim.is_none() && room.is_none() {
            return Ok(Destinations::Every);
        }
        let room = room.cloned();
        let DestinationsClaim { subscribe, send } = claim.unwrap_or_default();
        Ok(Destinations::These { subscribe: patterns(&subscribe)?, send: patterns(&send)?, room })
    }

    /// Whether it permits a SUBSCRIBE to a destination or pattern.
    pub fn let_subscribe(&self, to: &str) -> bool {
        match self {
            Destinations::Every => true,
            Destinations::These { subscribe, room, .. } => contain(subscribe, room.as_ref(), to),
        }
    }

    /// Whether it permits a SEND to a destination.
    pub fn let_send(&self, to: &str) -> bool {
        match self {
            Destinations::Every => true,
            Destinations::These { send, room, .. } => contain(send, room.as_ref(), to),
        }
    }
}

fn contain(patterns: &[Pattern], room: Option<&RoomName>, to: &str) -> bool {
    patterns.iter().any(|pattern| pattern.covers(to))
        || room.is_some_and(|room| is_tutorial_chat_of(room, to))
}

/// Whether this is `/topic/chat/room/{room}`, or the same below another prefix of one segment.
fn is_tutorial_chat_of(room: &RoomName, destination: &str) -> bool {
    let segments: Vec<&str> = destination.split('/').collect();
    matches!(&segments[..], ["", prefix, "chat", "room", name]
        if !prefix.contains('*') && *name == room.as_str())
}

fn patterns(claim: &[String]) -> Result<Vec<Pattern>, String> {
    if claim.len() > MOST {
        return Err(format!("each list may have at most {MOST} entries"));
    }
    let pattern = |text: &String| match Pattern::parse(text) {
        Ok(pattern) if text.starts_with('/') => Ok(pattern),
        Ok(_) => Err(format!("{text:?} does not begin with a slash")),
        Err(error) => Err(format!("{text:?}: {error}")),
    };
    claim.iter().map(pattern).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destinations(subscribe: &[&str], send: &[&str], room: Option<&RoomName>) -> Destinations {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let claim = DestinationsClaim { subscribe: list(subscribe), send: list(send) };
        Destinations::of(Some(claim), room).unwrap()
    }

    fn team() -> RoomName {
        RoomName::parse("팀").unwrap()
    }

    #[test]
    fn a_token_for_every_room_opens_all_unless_it_says_what() {
        let all = Destinations::of(None, None).unwrap();
        assert!(all.let_subscribe("/topic/**") && all.let_send("/user/hana/queue/x"));
        let some = destinations(&["/topic/a"], &[], None);
        assert!(some.let_subscribe("/topic/a") && !some.let_send("/topic/a"));
        assert!(!some.let_subscribe("/topic/chat/room/팀"));
    }

    #[test]
    fn a_token_for_one_room_opens_its_tutorial_chat_and_nothing_else() {
        let own = Destinations::of(None, Some(&team())).unwrap();
        for to in ["/topic/chat/room/팀", "/sub/chat/room/팀"] {
            assert!(own.let_subscribe(to) && own.let_send(to), "{to}");
        }
        for to in [
            "/topic/**",
            "/topic/chat/room/other",
            "/topic/chat/room/*",
            "/*/chat/room/팀",
            "/topic/chat/room/팀/x",
            "/queue/orders",
            "/user/hana/queue/x",
        ] {
            assert!(!own.let_subscribe(to) && !own.let_send(to), "{to}");
        }
    }

    #[test]
    fn the_claim_covers_patterns_that_match_less() {
        let own =
            destinations(&["/topic/shop/**", "/queue/*"], &["/user/*/queue/x"], Some(&team()));
        for to in ["/topic/shop/a", "/topic/shop/a/*", "/topic/shop/**", "/queue/a", "/queue/*"] {
            assert!(own.let_subscribe(to), "{to}");
        }
        for to in ["/topic/**", "/topic/*/a", "/queue/**", "/queue/a/b", "/topic/shopping"] {
            assert!(!own.let_subscribe(to), "{to}");
        }
        assert!(own.let_send("/user/hana/queue/x") && !own.let_send("/user/hana/queue/y"));
    }

    #[test]
    fn a_wrong_claim_is_explained() {
        for wrong in ["topic/a", "/topic/**/a"] {
            let claim = DestinationsClaim { subscribe: vec![wrong.to_owned()], send: vec![] };
            let error = Destinations::of(Some(claim), Some(&team())).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
        let claim = DestinationsClaim { subscribe: vec![], send: vec!["/topic/a".to_owned(); 65] };
        assert!(Destinations::of(Some(claim), Some(&team())).is_err());
    }
}
