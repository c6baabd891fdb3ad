//! Joining a room with obstacles, joining twice, and being away.

use madang_wire::ErrorCode;

use super::*;
use crate::rooms::passwords::Verdict;

#[test]
fn an_offer_waits_with_its_joiner() {
    let mut world = World::with(|kept| kept.record.settings.waiting_room = true);
    world.request_as(host(), 1, "join", r#"{"name":"host"}"#);
    world.effects();
    let body = r#"{"name":"b","sdp":"o=- 5 1","mids":{"mic":"microphone"}}"#;
    world.request(2, "join", body);
    let effects = world.effects();
    assert_eq!(error_in(&effects).0, ErrorCode::Waiting);
    let id = match signals(&effects)[..] {
        [(1, Signal::Waiting { waiting }), ..] => waiting[0].id.clone(),
        _ => panic!("{effects:?}"),
    };

    let admit = format!(r#"{{"action":"admit","participant":"{id}"}}"#);
    world.request_as(host(), 1, "moderate", &admit);
    let effects = world.effects();
    let offered = effects.iter().find_map(|effect| match effect {
        Effect::Offer { peer, sdp, .. } => Some((*peer, sdp.as_str())),
        _ => None,
    });
    let (peer, sdp) = offered.unwrap();
    assert_eq!(sdp, "o=- 5 1");
    world.answer(peer, Ok(answer(&["mic"], &["v0"])));

    let effects = world.effects();
    let joined = joined_in(&effects);
    assert_eq!(joined.answer.as_deref(), Some("answer"));
    assert_eq!(joined.participant.sources, [SourceKind::Microphone]);
}

#[test]
fn so_many_wait_and_no_more() {
    let mut world = World::with(|kept| kept.record.settings.waiting_room = true);
    for session in 0..100 {
        assert_eq!(world.refused(session, "join", r#"{"name":"a"}"#), ErrorCode::Waiting);
    }
    assert_eq!(world.refused(100, "join", r#"{"name":"a"}"#), ErrorCode::Overloaded);

    world.room.handle_gone(world.now, SessionId(7), false);
    assert_eq!(world.refused(100, "join", r#"{"name":"a"}"#), ErrorCode::Waiting);
}

#[test]
fn so_much_waits_and_no_more() {
    let mut world = World::with(|kept| kept.record.settings.waiting_room = true);
    let large = format!(r#"{{"name":"a","sdp":"{}"}}"#, "x".repeat(1024 * 1024));
    for session in 0..4 {
        assert_eq!(world.refused(session, "join", &large), ErrorCode::Waiting);
    }
    assert_eq!(world.refused(4, "join", &large), ErrorCode::Overloaded);
    assert_eq!(world.refused(5, "join", r#"{"name":"a"}"#), ErrorCode::Waiting);
}

#[test]
fn without_a_waiting_room_nobody_waits() {
    let mut world = World::with(|kept| kept.record.settings.waiting_room = true);
    for session in 0..4 {
        world.request(session, "join", r#"{"name":"a"}"#);
    }
    world.effects();

    let settings = serde_json::json!({"waiting_room": false}).as_object().cloned();
    let configure = AdminRequest::Configure(Configure { settings, ..Configure::default() });
    world.room.handle_admin(world.now, Admin::operator("test", configure)).unwrap();

    let effects = world.effects();
    assert_eq!(world.room.members.len(), 3, "as many as the room holds");
    assert_eq!(error_in(&effects).0, ErrorCode::RoomFull);
}

#[test]
fn a_wrong_password_leaves_nothing_in_the_room_and_a_pause_is_audited() {
    let mut world = World::with(|kept| kept.record.password_hash = Some("hash".to_owned()));
    world.try_password(Verdict::Wrong { pause: None });
    let wrong = world.effects();
    assert!(world.room.is_empty());
    let pause = Duration::from_secs(60);
    world.try_password(Verdict::Wrong { pause: Some(pause) });
    let last = world.effects();
    world.try_password(Verdict::Paused(pause));
    let paused = world.effects();

    assert_eq!(error_in(&wrong).0, ErrorCode::WrongPassword);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert_eq!(error_in(&last).0, ErrorCode::WrongPassword);
    let [Effect::Keep { from: None, keeping }, ..] = &last[..] else { panic!("{last:?}") };
    assert_eq!((&*keeping.entry.actor, &*keeping.entry.action), ("127.0.0.1", "wrong_passwords"));
    let (code, message) = error_in(&paused);
    assert_eq!(code, ErrorCode::RateLimited);
    assert!(message.contains("60 seconds"), "{message}");
}

#[test]
fn who_goes_while_their_password_is_checked_does_not_come_in() {
    let mut world = World::with(|kept| kept.record.password_hash = Some("hash".to_owned()));
    world.request(1, "join", r#"{"name":"a","password":"참깨"}"#);
    world.request(1, "leave", "");
    let effects = world.effects();
    let Effect::Verify { ticket, .. } = effects[0] else { panic!("{effects:?}") };
    assert!(signals(&effects).contains(&(1, &Signal::Left {})));

    world.room.handle_verified(world.now, ticket, Verdict::Right);

    assert_eq!(world.effects(), []);
    assert!(world.room.is_empty());
}

#[test]
fn a_room_that_is_locked_meanwhile_is_locked() {
    let mut world = World::with(|kept| kept.record.password_hash = Some("hash".to_owned()));
    world.request_as(host(), 9, "join", r#"{"name":"host"}"#);
    world.request(1, "join", r#"{"name":"a","password":"참깨"}"#);
    let effects = world.effects();
    let Some(Effect::Verify { ticket, .. }) = effects.last() else { panic!("{effects:?}") };
    world.request_as(host(), 9, "moderate", r#"{"action":"lock"}"#);
    world.effects();

    world.room.handle_verified(world.now, *ticket, Verdict::Right);

    assert_eq!(error_in(&world.effects()).0, ErrorCode::RoomLocked);
}

#[test]
fn a_user_may_be_here_twice() {
    let mut world = World::new();
    for session in [1, 2] {
        world.request_as(host(), session, "join", r#"{"name":"a"}"#);
    }

    let ids = [1, 2].map(|session| world.room.participant_of(SessionId(session)).unwrap());
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn the_wall_clock_may_jump() {
    let mut world = World::new();
    world.join(1, "a");
    world.room.handle_gone(world.now, SessionId(1), false);
    let due = world.room.poll_timeout();

    for jump in ["2099-01-01T00:00:00Z", "1970-01-01T00:00:00Z"] {
        world.now.utc = jump.parse().unwrap();
        world.join(2, "b");
        world.request(2, "leave", "");
        world.later(Duration::from_secs(1));
        assert_eq!(world.room.poll_timeout(), due, "{jump}");
        assert_eq!(world.room.members.len(), 1);
    }
}

#[test]
fn a_new_token_counts_when_its_user_comes_back() {
    let mut world = World::new();
    world.request_as(host(), 1, "join", r#"{"name":"a"}"#);
    let token = joined_in(&world.effects()).resume_token.expose().to_owned();
    world.room.handle_gone(world.now, SessionId(1), false);

    let request = Request::parse("join", br#"{"name":"a"}"#).unwrap();
    let mut asked = asked(2, Some(&token), request);
    asked.grant = Arc::new(Grant { role: Some(Role::Listener), ..host() });
    world.room.handle_request(world.now, asked);

    assert_eq!(joined_in(&world.effects()).participant.role, Role::Listener);
    assert_eq!(world.refused(2, "sources", r#"{"mids":{"a":"camera"}}"#), ErrorCode::NotAllowed);
}

impl World {
    fn with(set_up: impl FnOnce(&mut Kept)) -> World {
        let mut world = World::new();
        set_up(&mut world.room.kept);
        world
    }

    fn try_password(&mut self, verdict: Verdict) {
        self.request(1, "join", r#"{"name":"a","password":"참깨"}"#);
        let effects = self.effects();
        let [Effect::Verify { ticket, .. }] = effects[..] else { panic!("{effects:?}") };
        self.room.handle_verified(self.now, ticket, verdict);
    }
}
