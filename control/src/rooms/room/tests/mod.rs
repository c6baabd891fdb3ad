#![expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]

mod codecs;
mod door;
mod mutes;
mod rights;
mod walk;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use madang_sfu::{Answer, MediaKind, MediaLine, Mid, OfferError, RoomId, Source};
use madang_wire::{ErrorCode, IceServer, Joined, Role, RoomName, Slot, SlotReason};
use rand::SeedableRng;

use super::*;
use crate::auth::Grant;
use crate::limits::Limits;
use crate::store::RoomRecord;

#[test]
fn joining_tells_the_joiner_and_everybody() {
    let mut world = World::new();
    let joined = world.join(1, "가람");
    assert_eq!(joined.participant.name, "가람");
    assert_eq!(joined.participants.len(), 1);
    assert_eq!(joined.resume_token.expose().len(), 32);

    world.request(2, "join", r#"{"name":"나래"}"#);
    let effects = world.effects();
    let joined = joined_in(&effects);

    assert_eq!(names(&joined.participants), ["가람", "나래"]);
    assert!(events(&effects).iter().any(
        |event| matches!(event, Event::ParticipantJoined { participant } if participant.name == "나래")
    ));
    assert!(effects.contains(&Effect::Count(2)));
}

#[test]
fn a_join_needs_a_name_that_can_be_shown() {
    let long = format!(r#"{{"name":"{}"}}"#, "a".repeat(65));
    for (body, code) in [
        (r#"{"name":"  "}"#, ErrorCode::BadRequest),
        (r#"{"name":"a\nb"}"#, ErrorCode::BadRequest),
        (long.as_str(), ErrorCode::TooLarge),
    ] {
        let mut world = World::new();
        assert_eq!(world.refused(1, "join", body), code, "{body}");
        assert!(world.room.is_empty());
    }
}

#[test]
fn a_full_room_takes_nobody() {
    let mut world = World::new();
    for session in 0..3 {
        world.join(session, "a");
    }
    assert_eq!(world.refused(9, "join", r#"{"name":"b"}"#), ErrorCode::RoomFull);
}

#[test]
fn those_on_the_way_in_count() {
    let mut world = World::new();
    for session in 0..3 {
        world.request(session, "join", r#"{"name":"a","sdp":"o=- 1 1"}"#);
    }
    world.effects();
    assert_eq!(world.refused(9, "join", r#"{"name":"b"}"#), ErrorCode::RoomFull);
}

#[test]
fn one_session_joins_once() {
    let mut world = World::new();
    world.join(1, "a");
    assert_eq!(world.refused(1, "join", r#"{"name":"b"}"#), ErrorCode::BadRequest);
}

#[test]
fn a_refused_offer_leaves_no_participant() {
    let mut world = World::new();
    world.request(1, "join", r#"{"name":"a","sdp":"garbage"}"#);
    let peer = world.offered();
    assert_eq!(world.room.participant_of(SessionId(1)), None);

    world.answer(peer, Err(OfferError::BadSdp("no v= line".into())));

    let effects = world.effects();
    let (code, message) = error_in(&effects);
    assert_eq!(code, ErrorCode::BadSdp);
    assert!(message.contains("no v= line"));
    assert!(events(&effects).is_empty());
    assert!(world.room.is_empty());
}

#[test]
fn who_leaves_before_the_answer_never_was_there() {
    let mut world = World::new();
    world.request(1, "join", r#"{"name":"a","sdp":"o=- 1 1"}"#);
    let peer = world.offered();
    world.room.handle_gone(world.now, SessionId(1), false);
    assert!(world.room.is_empty());

    world.answer(peer, Ok(answer(&["m"], &[])));

    assert_eq!(world.effects(), [Effect::RemovePeer { peer }]);
}

#[test]
fn joining_with_media_shows_it_to_the_others() {
    let mut world = World::new();
    let (a, a_peer, _) = world.join_with_media(1, "a");
    let (b, b_peer, effects) = world.join_with_media(2, "b");

    let joined = joined_in(&effects);
    assert_eq!(joined.answer.as_deref(), Some("answer"));
    assert_eq!(shown(joined.slots.as_deref().unwrap()), ["-", a.as_str(), "-"]);
    let assigned = |peer, source_peer| Effect::Assign {
        peer,
        slot: Mid::new("v0"),
        source: Some(Source { peer: source_peer, mid: Mid::new("cam") }),
    };
    assert!(effects.contains(&assigned(a_peer, b_peer)));
    assert!(effects.contains(&assigned(b_peer, a_peer)));
    assert_eq!(shown(&slots_for(&effects, 1)), ["-", b.as_str(), "-"]);
    let added = |source| Event::SourceAdded { participant: b.clone(), source };
    assert!(events(&effects).contains(&&added(SourceKind::Camera)));
    assert!(events(&effects).contains(&&added(SourceKind::Microphone)));
}

#[test]
fn nothing_is_shown_that_is_not_named() {
    let mut world = World::new();
    let (a, peer, _) = world.join_with_media(1, "a");
    world.join_with_media(2, "b");

    world.request(1, "sources", r#"{"mids":{"mic":"microphone"}}"#);
    let effects = world.effects();

    let removed = Event::SourceRemoved { participant: a, source: SourceKind::Camera };
    assert_eq!(events(&effects), [&removed]);
    assert_eq!(shown(&slots_for(&effects, 2)), ["-", "-", "-"]);
    assert!(!effects.contains(&Effect::RemovePeer { peer }));
}

#[test]
fn names_of_m_lines_must_make_sense() {
    let mut world = World::new();
    world.join_with_media(1, "a");
    for body in [r#"{"mids":{"cam":"microphone"}}"#, r#"{"mids":{"cam":"camera","mic":"camera"}}"#]
    {
        assert_eq!(world.refused(1, "sources", body), ErrorCode::BadRequest, "{body}");
    }
}

#[test]
fn leaving_ends_media_and_empties_slots() {
    let mut world = World::new();
    let (_, peer, _) = world.join_with_media(1, "a");
    world.join_with_media(2, "b");

    world.request(1, "leave", "");
    let effects = world.effects();

    assert!(effects.contains(&Effect::RemovePeer { peer }));
    assert!(matches!(
        &events(&effects)[..],
        [Event::ParticipantLeft { reason: LeaveReason::Left, .. }]
    ));
    assert_eq!(shown(&slots_for(&effects, 2)), ["-", "-", "-"]);
    assert!(signals(&effects).contains(&(1, &Signal::Left {})));
    assert!(effects.contains(&Effect::Count(1)));
}

#[test]
fn a_dropped_connection_leaves_after_the_grace_only() {
    let mut world = World::new();
    world.join(1, "a");
    world.room.handle_gone(world.now, SessionId(1), false);
    assert_eq!(world.effects(), []);
    assert_eq!(world.room.poll_timeout(), Some(world.now.instant + Duration::from_secs(20)));

    world.later(Duration::from_secs(20));

    let effects = world.effects();
    let left = events(&effects);
    assert!(matches!(
        &left[..],
        [Event::ParticipantLeft { reason: LeaveReason::ConnectionLost, .. }]
    ));
    assert!(world.room.is_empty());
}

#[test]
fn a_goodbye_leaves_at_once() {
    let mut world = World::new();
    world.join(1, "a");
    world.room.handle_gone(world.now, SessionId(1), true);

    assert!(world.room.is_empty());
}

#[test]
fn a_token_takes_participant_and_media_over() {
    let mut world = World::new();
    let (id, _, effects) = world.join_with_media(1, "a");
    let token = joined_in(&effects).resume_token.expose().to_owned();
    world.room.handle_gone(world.now, SessionId(1), false);

    world.resume(2, &token, r#"{"name":"other"}"#);
    let effects = world.effects();

    let joined = joined_in(&effects);
    assert_eq!((joined.participant.id.as_str(), joined.participant.name.as_str()), (&*id, "a"));
    assert_eq!(joined.participant.sources, [SourceKind::Microphone, SourceKind::Camera]);
    assert_eq!(joined.slots.as_ref().unwrap().len(), 3);
    assert_eq!(effects.len(), 1, "media and the others notice nothing: {effects:?}");
    assert_eq!(world.room.poll_timeout(), None);
}

#[test]
fn a_token_works_while_the_old_session_seems_alive() {
    let mut world = World::new();
    let token = world.join(1, "a").resume_token;

    world.resume(2, token.expose(), r#"{"name":"a"}"#);

    let effects = world.effects();
    assert!(signals(&effects).iter().any(|(to, s)| *to == 1 && matches!(s, Signal::Kicked { .. })));
    assert_eq!(world.room.participant_of(SessionId(1)), None);
    assert!(world.room.participant_of(SessionId(2)).is_some());
    world.room.handle_gone(world.now, SessionId(1), false);
    assert_eq!(world.room.poll_timeout(), None, "the old session has no say any more");
}

#[test]
fn a_wrong_token_resumes_nobody() {
    let mut world = World::new();
    world.join(1, "a");
    world.resume(2, "0000", r#"{"name":"a"}"#);

    assert_eq!(error_in(&world.effects()).0, ErrorCode::NoSuchParticipant);
}

#[test]
fn an_offer_of_the_same_connection_renegotiates() {
    let mut world = World::new();
    let (_, peer, _) = world.join_with_media(1, "a");
    world.request(1, "offer", r#"{"sdp":"v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\n"}"#);
    let (fresh, current) = world.offered_again();
    assert_eq!(current, Some(peer));

    world.answer_as(fresh, peer, answer(&["mic", "cam"], &["v0", "v1", "v2"]));

    let effects = world.effects();
    assert!(signals(&effects).contains(&(1, &Signal::Answer { sdp: "answer".into() })));
    assert_eq!(slots_for(&effects, 1).len(), 4);
    assert!(!effects.contains(&Effect::RemovePeer { peer }));
}

#[test]
fn an_offer_of_another_connection_replaces_the_first() {
    let mut world = World::new();
    let (_, first, _) = world.join_with_media(1, "a");
    let (_, viewer, _) = world.join_with_media(2, "b");
    world.request(1, "offer", r#"{"sdp":"v=0\r\no=- 77 2 IN IP4 0.0.0.0\r\n"}"#);
    let (second, current) = world.offered_again();
    assert_ne!(first, second);
    assert_eq!(current, Some(first), "the engine decides");

    world.answer(second, Ok(answer(&["mic", "cam"], &["v0"])));

    let effects = world.effects();
    assert!(effects.contains(&Effect::RemovePeer { peer: first }));
    let source = Some(Source { peer: second, mid: Mid::new("cam") });
    assert!(effects.contains(&Effect::Assign { peer: viewer, slot: Mid::new("v0"), source }));
    assert!(events(&effects).is_empty(), "what is published stays the same");
}

#[test]
fn who_resumes_with_an_offer_of_the_same_connection_keeps_it() {
    let mut world = World::new();
    let (_, peer, effects) = world.join_with_media(1, "a");
    let token = joined_in(&effects).resume_token.expose().to_owned();
    world.room.handle_gone(world.now, SessionId(1), false);

    world.resume(2, &token, r#"{"name":"a","sdp":"v=0\r\no=- 99 7 IN IP4 0.0.0.0\r\n"}"#);
    let (fresh, current) = world.offered_again();
    assert_eq!(current, Some(peer));
    world.answer_as(fresh, peer, answer(&["mic", "cam"], &["v0"]));

    let effects = world.effects();
    assert_eq!(joined_in(&effects).answer.as_deref(), Some("answer"));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::RemovePeer { .. })));
}

#[test]
fn a_refused_renegotiation_changes_nothing() {
    let mut world = World::new();
    let (_, peer, _) = world.join_with_media(1, "a");
    world.request(1, "offer", r#"{"sdp":"v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\n"}"#);
    let fresh = world.offered();
    world.answer(fresh, Err(OfferError::TooLarge { bytes: 1_000_000 }));

    let effects = world.effects();
    assert_eq!(error_in(&effects).0, ErrorCode::TooLarge);
    assert_eq!(effects.len(), 1);
    world.request(1, "offer", r#"{"sdp":"v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\n"}"#);
    assert_eq!(world.offered_again().1, Some(peer), "the peer is still there");
}

#[test]
fn one_offer_at_a_time() {
    let mut world = World::new();
    world.join(1, "a");
    world.request(1, "offer", r#"{"sdp":"o=- 1 1"}"#);
    world.effects();

    assert_eq!(world.refused(1, "offer", r#"{"sdp":"o=- 1 1"}"#), ErrorCode::BadRequest);
}

#[test]
fn a_lost_peer_takes_its_sources_but_not_its_participant() {
    let mut world = World::new();
    let (_, peer, _) = world.join_with_media(1, "a");
    world.join_with_media(2, "b");

    world
        .room
        .handle_engine(world.now, EngineEvent::Disconnected { peer, reason: "consent ran out" });

    let effects = world.effects();
    assert_eq!(events(&effects).len(), 2);
    assert_eq!(shown(&slots_for(&effects, 2)), ["-", "-", "-"]);
    assert!(world.room.participant_of(SessionId(1)).is_some());

    world.request(1, "offer", r#"{"sdp":"v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\n"}"#);
    let (fresh, current) = world.offered_again();
    assert_ne!(fresh, peer);
    assert_eq!(current, None, "the engine has forgotten that peer");
}

#[test]
fn ice_servers_are_renewed_before_their_credentials_end() {
    let mut world = World::with_turn(Duration::from_secs(4000));
    let joined = world.join(1, "a");
    let id = joined.participant.id.as_str();
    assert_eq!(user_in(&joined.ice_servers), format!("4000:{id}"));
    let renewal = Some(world.now.instant + Duration::from_secs(3000));
    assert_eq!(world.room.poll_timeout(), renewal);

    for _ in 0..3 {
        world.later(Duration::from_secs(2999));
        assert_eq!(world.effects(), []);
        world.later(Duration::from_secs(1));

        let effects = world.effects();
        let [(1, Signal::IceServers { ice_servers, ttl: 4000 })] = signals(&effects)[..] else {
            panic!("{effects:?}")
        };
        assert_eq!(user_in(ice_servers), format!("4000:{id}"));
    }
}

#[test]
fn who_is_away_gets_new_ice_servers_when_they_resume() {
    let mut world = World::with_turn(Duration::from_secs(12));
    let token = world.join(1, "a").resume_token.expose().to_owned();
    world.room.handle_gone(world.now, SessionId(1), false);

    world.later(Duration::from_secs(15));
    assert_eq!(world.effects(), [], "there is nobody to send them to");
    world.resume(2, &token, r#"{"name":"a"}"#);

    assert_eq!(joined_in(&world.effects()).ice_servers.len(), 1);
    world.later(Duration::from_secs(9));
    assert!(matches!(signals(&world.effects())[..], [(2, Signal::IceServers { .. })]));
}

#[test]
fn a_view_is_answered_with_the_slots() {
    let mut world = World::new();
    let (a, ..) = world.join_with_media(1, "a");
    world.join_with_media(2, "b");

    let body = format!(r#"{{"slots":[{{"mid":"v1","participant":"{a}","source":"camera"}}]}}"#);
    world.request(2, "view", &body);
    let slots = slots_for(&world.effects(), 2);

    assert_eq!(shown(&slots), ["-", "-", a.as_str()]);
    assert_eq!(slots[2].reason, Some(SlotReason::View));
}

#[test]
fn a_speaker_is_shown_before_others_and_a_screen_before_all() {
    let mut world = World::new();
    let (_, viewer, _) = world.join_with_media(1, "viewer");
    world.request(1, "offer", r#"{"sdp":"v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\n"}"#);
    let fresh = world.offered();
    world.answer_as(fresh, viewer, answer(&["mic", "cam"], &["v0"]));
    world.effects();
    world.join_with_media(2, "b");
    let (c, c_peer, _) = world.join_with_media(3, "c");

    let levels = vec![(c_peer, 20)];
    world.room.handle_engine(world.now, EngineEvent::Speakers { room: RoomId(7), levels });
    let effects = world.effects();
    assert_eq!(shown(&slots_for(&effects, 1)), ["-", c.as_str()]);
    let [Event::Speakers { speakers }] = &events(&effects)[..] else { panic!() };
    assert_eq!((speakers[0].participant.as_str(), speakers[0].level), (&*c, 20));

    let b = world.room.participant_of(SessionId(2)).unwrap().to_owned();
    world.request(2, "sources", r#"{"mids":{"cam":"screen"}}"#);
    let slots = slots_for(&world.effects(), 1);
    assert_eq!(shown(&slots), ["-", b.as_str()]);
    assert_eq!(slots[1].source, Some(SourceKind::Screen));
}

#[test]
fn a_camera_that_is_off_is_not_shown() {
    let mut world = World::new();
    world.join_with_media(1, "a");
    world.join_with_media(2, "b");

    world.request(1, "state", r#"{"camera_off":true}"#);

    let effects = world.effects();
    assert!(matches!(&events(&effects)[..], [Event::ParticipantChanged { .. }]));
    assert_eq!(shown(&slots_for(&effects, 2)), ["-", "-", "-"]);
}

#[test]
fn audio_slots_follow_the_engine() {
    let mut world = World::new();
    let (a, a_peer, _) = world.join_with_media(1, "a");
    let (_, b_peer, _) = world.join_with_media(2, "b");
    let source = Some(Source { peer: a_peer, mid: Mid::new("mic") });

    let slot = Mid::new("a0");
    world.room.handle_engine(world.now, EngineEvent::AudioSlot { peer: b_peer, slot, source });
    let slots = slots_for(&world.effects(), 2);
    assert_eq!(shown(&slots), [a.as_str(), a.as_str(), "-"]);
    assert_eq!(slots[0].reason, Some(SlotReason::Speaker));

    world.request(1, "leave", "");
    assert_eq!(shown(&slots_for(&world.effects(), 2)), ["-", "-", "-"]);
}

#[test]
fn a_view_pins_a_voice_in_an_audio_slot() {
    let mut world = World::new();
    let (a, a_peer, _) = world.join_with_media(1, "a");
    let (_, b_peer, _) = world.join_with_media(2, "b");
    let (slot, microphone) = (Mid::new("a0"), Source { peer: a_peer, mid: Mid::new("mic") });
    let pin = |source| Effect::Assign { peer: b_peer, slot: Mid::new("a0"), source };

    world.request(
        2,
        "view",
        &format!(r#"{{"auto":true,"slots":[{{"mid":"a0","participant":"{a}"}}]}}"#),
    );
    assert!(world.effects().contains(&pin(Some(microphone.clone()))));
    let source = Some(microphone);
    world.room.handle_engine(world.now, EngineEvent::AudioSlot { peer: b_peer, slot, source });
    assert_eq!(slots_for(&world.effects(), 2)[0].reason, Some(SlotReason::View));

    world.request(2, "view", r#"{"auto":true}"#);
    assert!(world.effects().contains(&pin(None)), "the slot goes to the active speakers");
}

#[test]
fn slots_are_told_at_a_bounded_rate_and_the_last_state_always() {
    let mut world = World::new();
    let (a, a_peer, _) = world.join_with_media(1, "a");
    let (_, b_peer, _) = world.join_with_media(2, "b");
    world.effects();
    let (mut told, mut last) = (0, Vec::new());
    let mut count = |effects: &[Effect]| {
        let to_b = signals(effects).into_iter().filter_map(|(to, signal)| match signal {
            Signal::Slots { slots } if to == 2 => Some(slots.clone()),
            _ => None,
        });
        for slots in to_b {
            told += 1;
            last = slots;
        }
        told
    };
    for packet in 0..501 {
        let source = (packet % 2 == 0).then(|| Source { peer: a_peer, mid: Mid::new("mic") });
        let slot = Mid::new("a0");
        world.room.handle_engine(world.now, EngineEvent::AudioSlot { peer: b_peer, slot, source });
        count(&world.effects());
        world.later(Duration::from_millis(20));
        count(&world.effects());
    }
    world.later(Duration::from_secs(1));
    let told = count(&world.effects());
    assert!(told <= 62, "{told} signals in 10 s");
    assert_eq!(shown(&last)[0], a);
}

#[test]
fn a_state_that_changes_nothing_is_no_event() {
    let mut world = World::new();
    world.join(1, "a");
    world.request(1, "state", r#"{"muted":false,"name":"a"}"#);
    assert_eq!(world.effects(), []);

    world.request(1, "state", r#"{"muted":true,"hand_raised":true,"metadata":{"자리":3}}"#);
    let effects = world.effects();
    let [Event::ParticipantChanged { participant }] = &events(&effects)[..] else { panic!() };
    assert!(participant.muted && participant.hand_raised);
    assert_eq!(participant.metadata["자리"], 3);
}

#[test]
fn chat_is_stored_with_its_author() {
    let mut world = World::new();
    let id = world.join(1, "가람").participant.id;
    world.request(1, "chat", r#"{"text":"안녕하세요"}"#);

    let effects = world.effects();
    let [Effect::StoreChat { message, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((message.from_id.as_str(), message.from_name.as_str()), (&*id, "가람"));
    assert_eq!(message.text, "안녕하세요");
}

#[test]
fn chat_that_cannot_be_is_refused() {
    let mut world = World::new();
    world.join(1, "a");
    let long = format!(r#"{{"text":"{}"}}"#, "가".repeat(3_000));
    for (body, code) in [
        (r#"{"text":" "}"#, ErrorCode::BadRequest),
        (long.as_str(), ErrorCode::TooLarge),
        (r#"{"text":"a","to":"nobody"}"#, ErrorCode::NoSuchParticipant),
    ] {
        assert_eq!(world.refused(1, "chat", body), code);
    }
}

#[test]
fn only_those_in_the_room_ask_it_for_anything() {
    let mut world = World::new();
    world.join(1, "a");
    for (action, body) in [("chat", r#"{"text":"a"}"#), ("leave", ""), ("view", "")] {
        assert_eq!(world.refused(2, action, body), ErrorCode::NoSuchRoom, "{action}");
    }
}

#[test]
fn nobody_moderates_without_a_role() {
    let mut world = World::new();
    world.join(1, "a");
    assert_eq!(world.refused(1, "moderate", r#"{"action":"lock"}"#), ErrorCode::NotAllowed);
}

#[test]
fn reactions_are_short() {
    let mut world = World::new();
    world.join(1, "a");
    world.request(1, "react", r#"{"emoji":"👏🏽"}"#);
    assert!(matches!(&events(&world.effects())[..], [Event::Reaction { .. }]));

    let long = format!(r#"{{"emoji":"{}"}}"#, "x".repeat(65));
    assert_eq!(world.refused(1, "react", &long), ErrorCode::TooLarge);
}

/// A room and its clock.
struct World {
    room: Room,
    now: Moment,
}

impl World {
    fn new() -> World {
        let now = Moment { instant: Instant::now(), utc: Timestamp::UNIX_EPOCH };
        let config = RoomConfig {
            name: RoomName::parse("회의실").unwrap(),
            id: RoomId(7),
            limits: Arc::new(Limits { participants_per_room: 3, ..Limits::default() }),
            resume_grace: Duration::from_secs(20),
            ice_servers: IceServers::none(),
            guests_may_host: false,
            joins_create: true,
        };
        let record = RoomRecord::new(config.name.clone(), None, now.utc);
        let kept = Kept { record, roles: HashMap::new(), bans: Vec::new() };
        World { room: Room::new(config, kept, StdRng::seed_from_u64(1)), now }
    }

    /// A room where TURN credentials are valid for this long.
    fn with_turn(lifetime: Duration) -> World {
        let mut world = World::new();
        world.room.config.ice_servers = IceServers::new(lifetime, |user, lifetime| {
            let username = Some(format!("{}:{user}", lifetime.as_secs()));
            let credential = Some(madang_wire::Secret::new("secret"));
            vec![IceServer { urls: vec!["turn:192.0.2.1".to_owned()], username, credential }]
        });
        world
    }

    fn request(&mut self, session: u64, action: &str, body: &str) {
        let request = Request::parse(action, body.as_bytes()).unwrap();
        self.room.handle_request(self.now, asked(session, None, request));
    }

    fn request_as(&mut self, grant: Grant, session: u64, action: &str, body: &str) {
        let request = Request::parse(action, body.as_bytes()).unwrap();
        let mut asked = asked(session, None, request);
        asked.grant = Arc::new(grant);
        self.room.handle_request(self.now, asked);
    }

    fn resume(&mut self, session: u64, token: &str, body: &str) {
        let request = Request::parse("join", body.as_bytes()).unwrap();
        self.room.handle_request(self.now, asked(session, Some(token), request));
    }

    fn refused(&mut self, session: u64, action: &str, body: &str) -> ErrorCode {
        self.request(session, action, body);
        let effects = self.effects();
        assert_eq!(effects.len(), 1, "{effects:?}");
        error_in(&effects).0
    }

    fn join(&mut self, session: u64, name: &str) -> Joined {
        self.request(session, "join", &format!(r#"{{"name":"{name}"}}"#));
        joined_in(&self.effects()).clone()
    }

    /// Joins with a microphone, a camera, an audio slot and two video slots.
    fn join_with_media(&mut self, session: u64, name: &str) -> (String, PeerId, Vec<Effect>) {
        let body = format!(
            r#"{{"name":"{name}","sdp":"v=0\r\no=- {session} 1 IN IP4 0.0.0.0\r\n",
                "mids":{{"mic":"microphone","cam":"camera"}}}}"#
        );
        self.request(session, "join", &body);
        let peer = self.offered();
        self.answer(peer, Ok(answer(&["mic", "cam"], &["v0", "v1"])));
        let effects = self.effects();
        (joined_in(&effects).participant.id.clone(), peer, effects)
    }

    fn offered(&mut self) -> PeerId {
        self.offered_again().0
    }

    /// The new peer that an offer may be for, and the client's peer so far.
    fn offered_again(&mut self) -> (PeerId, Option<PeerId>) {
        match self.effects().pop() {
            Some(Effect::Offer { peer, current, .. }) => (peer, current),
            other => panic!("{other:?}"),
        }
    }

    /// The engine's answer, for the new peer.
    fn answer(&mut self, peer: PeerId, answer: Result<Answer, OfferError>) {
        let answer = answer.map(|answer| Answer { peer, ..answer });
        self.room.handle_answer(self.now, peer, answer);
    }

    /// The engine's answer, for a peer that it has already.
    fn answer_as(&mut self, fresh: PeerId, current: PeerId, answer: Answer) {
        let answer = Answer { peer: current, ..answer };
        self.room.handle_answer(self.now, fresh, Ok(answer));
    }

    fn later(&mut self, by: Duration) {
        self.now.instant += by;
        self.room.handle_timeout(self.now.instant);
    }

    fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.room.poll_effect()).collect()
    }
}

fn host() -> Grant {
    let user = "host".to_owned();
    Grant { is_guest: false, role: Some(Role::Host), ..Grant::guest(user) }
}

fn listener() -> Grant {
    Grant { user: "listener".to_owned(), role: Some(Role::Listener), ..host() }
}

/// A request of a guest; each session is a different guest.
pub(super) fn asked(session: u64, resume: Option<&str>, request: Request) -> Asked {
    Asked {
        address: Ipv4Addr::LOCALHOST.into(),
        from: SessionId(session).into(),
        grant: Arc::new(Grant::guest(format!("guest-{session}"))),
        resume: resume.map(str::to_owned),
        message_id: None,
        request,
    }
}

/// An answer that publishes these m-lines and has an audio slot before these video slots.
fn answer(published: &[&str], slots: &[&str]) -> Answer {
    let line = |mid: &&str| MediaLine {
        mid: Mid::new(mid),
        kind: if ["mic", "a0"].contains(mid) { MediaKind::Audio } else { MediaKind::Video },
    };
    Answer {
        peer: PeerId(0),
        sdp: "answer".to_owned(),
        published: published.iter().map(line).collect(),
        slots: ["a0"].iter().chain(slots).map(line).collect(),
        codecs: HashMap::new(),
    }
}

fn events(effects: &[Effect]) -> Vec<&Event> {
    let mut events = Vec::new();
    for effect in effects {
        if let Effect::Publish { event, .. } = effect {
            events.push(event);
        }
    }
    events
}

fn signals(effects: &[Effect]) -> Vec<(u64, &Signal)> {
    let mut signals = Vec::new();
    for effect in effects {
        if let Effect::Signal { to, signal } = effect {
            signals.push((to.session.0, signal));
        }
    }
    signals
}

fn joined_in(effects: &[Effect]) -> &Joined {
    let joined = signals(effects).into_iter().find_map(|(_, signal)| match signal {
        Signal::Joined(joined) => Some(joined),
        _ => None,
    });
    joined.unwrap_or_else(|| panic!("{effects:?}"))
}

fn error_in(effects: &[Effect]) -> (ErrorCode, &str) {
    let error = signals(effects).into_iter().find_map(|(_, signal)| match signal {
        Signal::Error { code, message } => Some((*code, message.as_str())),
        _ => None,
    });
    error.unwrap_or_else(|| panic!("{effects:?}"))
}

fn user_in(servers: &[IceServer]) -> &str {
    servers[0].username.as_deref().unwrap()
}

/// The slots in the only `slots` signal that was sent to a session.
fn slots_for(effects: &[Effect], session: u64) -> Vec<Slot> {
    let maps: Vec<_> = signals(effects)
        .into_iter()
        .filter_map(|(to, signal)| match signal {
            Signal::Slots { slots } if to == session => Some(slots.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(maps.len(), 1, "{effects:?}");
    maps.into_iter().next().unwrap()
}

fn shown(slots: &[Slot]) -> Vec<&str> {
    slots.iter().map(|slot| slot.participant.as_deref().unwrap_or("-")).collect()
}

fn names(participants: &[madang_wire::Participant]) -> Vec<&str> {
    participants.iter().map(|participant| participant.name.as_str()).collect()
}
