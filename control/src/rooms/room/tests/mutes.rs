//! Sources that a moderator has stopped are not forwarded, whatever names, states or offers the client sends.

use madang_wire::ErrorCode;

use super::*;

#[test]
fn a_muted_microphone_stays_muted_by_any_name() {
    let mut world = World::new();
    let (host, b, peer) = world.host_and_b();

    world.act(&host, "mute", &b, "true");

    let effects = world.effects();
    assert_eq!(permits(&effects), [(peer, "mic", false)]);
    let [Event::ParticipantChanged { participant }] = &events(&effects)[..] else { panic!() };
    assert!(participant.muted);
    assert_eq!(participant.stopped, [SourceKind::Microphone]);
    for names in [r#"{"mic":"screen_audio"}"#, "{}", r#"{"mic":"microphone"}"#] {
        world.request(2, "sources", &format!(r#"{{"mids":{names}}}"#));
        assert_eq!(permits(&world.effects()), [], "{names}");
    }
    assert_eq!(world.refused(2, "state", r#"{"muted":false}"#), ErrorCode::NotAllowed);
}

#[test]
fn an_m_line_that_is_offered_afterwards_is_forbidden_before_the_engine_has_it() {
    let mut world = World::new();
    let (host, b, peer) = world.host_and_b();
    world.act(&host, "mute", &b, "null");
    world.effects();
    let lines = "m=audio 9 UDP/TLS/RTP/SAVPF 111\\r\\na=mid:new\\r\\nm=video 9 UDP/TLS/RTP/SAVPF 96\\r\\na=mid:cam\\r\\n";

    world.request(2, "offer", &format!(r#"{{"sdp":"v=0\r\no=- 2 2 IN IP4 0.0.0.0\r\n{lines}"}}"#));

    let effects = world.effects();
    assert_eq!(permits(&effects[..1]), [(peer, "new", false)]);
    assert!(matches!(effects[1], Effect::Offer { .. }), "{effects:?}");
}

#[test]
fn a_lifted_mute_is_still_a_mute_until_they_say_otherwise() {
    let mut world = World::new();
    let (host, b, peer) = world.host_and_b();
    world.act(&host, "mute", &b, "true");
    world.effects();

    world.act(&host, "mute", &b, "false");

    let effects = world.effects();
    assert_eq!(permits(&effects), []);
    let [Event::ParticipantChanged { participant }] = &events(&effects)[..] else { panic!() };
    assert!(participant.muted && participant.stopped.is_empty());
    world.request(2, "state", r#"{"muted":false}"#);
    assert_eq!(permits(&world.effects()), [(peer, "mic", true)]);
}

#[test]
fn who_says_that_they_are_muted_is_not_heard() {
    let mut world = World::new();
    let (_, peer, _) = world.join_with_media(1, "a");

    world.request(1, "state", r#"{"muted":true}"#);
    assert_eq!(permits(&world.effects()), [(peer, "mic", false)]);
    world.request(1, "state", r#"{"muted":false}"#);
    assert_eq!(permits(&world.effects()), [(peer, "mic", true)]);
}

#[test]
fn a_stopped_camera_and_screen_are_gone() {
    let mut world = World::new();
    let (host, b, peer) = world.host_and_b();

    world.act(&host, "stop_camera", &b, "true");
    let effects = world.effects();
    assert_eq!(permits(&effects), [(peer, "cam", false)]);
    assert_eq!(shown(&slots_for(&effects, 1)), ["-", "-", "-"], "no last picture for ever");

    world.request(2, "sources", r#"{"mids":{"cam":"screen"}}"#);
    world.effects();
    world.act(&host, "stop_screen", &b, "true");
    let effects = world.effects();
    assert_eq!(permits(&effects), [(peer, "cam", false)]);
    let removed = Event::SourceRemoved { participant: b, source: SourceKind::Screen };
    assert!(events(&effects).contains(&&removed));
}

#[test]
fn a_listener_publishes_nothing_until_they_are_more() {
    let mut world = World::new();
    let host = world.join_as_host(1);
    world.request_as(listener(), 2, "join", &media_join(2));
    let peer = world.offered();
    world.answer(peer, Ok(answer(&["mic", "cam"], &["v0"])));
    let effects = world.effects();
    let joined = joined_in(&effects).clone();
    assert_eq!(permits(&effects), [(peer, "mic", false), (peer, "cam", false)]);
    let is_joined =
        |effect: &Effect| matches!(effect, Effect::Signal { signal: Signal::Joined(_), .. });
    let told = effects.iter().position(is_joined);
    let forbidden = effects.iter().rposition(|e| matches!(e, Effect::Permit { .. }));
    assert!(forbidden < told, "before the client has the answer");
    assert!(joined.participant.sources.is_empty());

    world.act(&host, "set_role", &joined.participant.id, r#""speaker""#);

    let effects = world.effects();
    assert_eq!(permits(&effects), [(peer, "mic", true), (peer, "cam", true)]);
    let added = events(&effects).iter().filter(|e| matches!(e, Event::SourceAdded { .. })).count();
    assert_eq!(added, 2);
}

#[test]
fn a_kick_ends_media_first() {
    let mut world = World::new();
    let (host, b, peer) = world.host_and_b();

    world.act(&host, "kick", &b, "null");

    let effects = world.effects();
    assert_eq!(effects[0], Effect::RemovePeer { peer });
    assert!(matches!(effects.last(), Some(Effect::Signal { .. } | Effect::Keep { .. })));
    assert!(signals(&effects).iter().any(|(to, s)| *to == 2 && matches!(s, Signal::Kicked { .. })));
}

#[test]
fn all_tabs_of_a_banned_user_go() {
    let mut world = World::new();
    let host = world.join_as_host(1);
    let body = r#"{"name":"b"}"#;
    for session in [2, 3] {
        world.request_as(listener(), session, "join", body);
    }
    let id = world.room.participant_of(SessionId(2)).unwrap().to_owned();
    world.effects();

    world.act(&host, "ban", &id, "null");

    assert_eq!(world.room.members.len(), 1);
    let kept = world.effects().into_iter().find_map(|effect| match effect {
        Effect::Keep { keeping, .. } => keeping.change,
        _ => None,
    });
    let Some(Change::Ban(ban)) = kept else { panic!("{kept:?}") };
    assert_eq!((ban.user.as_str(), ban.token, ban.until), ("listener", None, None));
}

#[test]
fn two_kicks_of_a_user_keep_both_tokens_out() {
    let mut kept = Kept {
        record: RoomRecord::new(RoomName::parse("a").unwrap(), None, Timestamp::UNIX_EPOCH),
        roles: HashMap::new(),
        bans: Vec::new(),
    };
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let ban = |token: &str, until| crate::store::Ban {
        user: "b".to_owned(),
        token: Some(token.to_owned()),
        until: time(until),
        reason: None,
        by: "host".to_owned(),
        at: Timestamp::UNIX_EPOCH,
    };
    kept.add_ban(ban("one", "2030-01-02T00:00:00Z"), Timestamp::UNIX_EPOCH);

    kept.add_ban(ban("two", "2030-01-01T00:00:00Z"), Timestamp::UNIX_EPOCH);

    for token in ["one", "two"] {
        let grant = Grant { token_id: Some(token.to_owned()), user: "b".to_owned(), ..listener() };
        assert!(kept.ban_of(&grant, Timestamp::UNIX_EPOCH).is_some(), "{token}");
    }
    assert_eq!(kept.bans.len(), 1, "the store keeps one per user");
    assert_eq!(kept.bans[0].until, time("2030-01-02T00:00:00Z"));
}

impl World {
    fn join_as_host(&mut self, session: u64) -> Grant {
        let host = host();
        self.request_as(host.clone(), session, "join", r#"{"name":"host"}"#);
        assert_eq!(joined_in(&self.effects()).participant.role, Role::Host);
        host
    }

    /// A host (session 1) and a speaker (session 2), both with media; returns the speaker's id and peer.
    fn host_and_b(&mut self) -> (Grant, String, PeerId) {
        let host = host();
        self.request_as(host.clone(), 1, "join", &media_join(1));
        let peer = self.offered();
        self.answer(peer, Ok(answer(&["mic", "cam"], &["v0", "v1"])));
        self.effects();
        let (b, peer, _) = self.join_with_media(2, "b");
        (host, b, peer)
    }

    fn act(&mut self, by: &Grant, action: &str, whom: &str, value: &str) {
        let body = format!(r#"{{"action":"{action}","participant":"{whom}","value":{value}}}"#);
        self.request_as(by.clone(), 1, "moderate", &body);
    }
}

fn media_join(session: u64) -> String {
    format!(
        r#"{{"name":"m","sdp":"v=0\r\no=- {session} 1 IN IP4 0.0.0.0\r\n",
            "mids":{{"mic":"microphone","cam":"camera"}}}}"#
    )
}

fn permits(effects: &[Effect]) -> Vec<(PeerId, &str, bool)> {
    let permit = |effect: &'_ Effect| match effect {
        Effect::Permit { peer, mid, is_permitted } => Some((*peer, mid.clone(), *is_permitted)),
        _ => None,
    };
    let all = effects.iter().filter_map(permit);
    all.map(|(peer, mid, is)| (peer, name_of(&mid), is)).collect()
}

/// The m-line names that these tests use.
fn name_of(mid: &Mid) -> &'static str {
    ["mic", "cam", "new"].into_iter().find(|name| *name == mid.as_str()).unwrap_or("?")
}
