//! Permissions as a table: every request × role × claim × state of the room, compared with the rules written a second
//! time, as plainly as possible.
#![expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use madang_sfu::RoomId;
use madang_wire::{ErrorCode, Publishers, Role, RoomName, RoomSettings};
use rand::SeedableRng;
use serde_json::{Value, json};

use crate::auth::{Grant, Scope};
use crate::limits::Limits;
use crate::rooms::passwords::Verdict;
use crate::rooms::room::*;
use crate::store::{Ban, RoomRecord};

const ROLES: [Option<Role>; 4] =
    [None, Some(Role::Host), Some(Role::Speaker), Some(Role::Listener)];
const CLAIMS: [Option<bool>; 3] = [None, Some(true), Some(false)];
const BOTH: [bool; 2] = [false, true];

// Joining.

/// Everything that the outcome of a join depends on.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    is_guest: bool,
    /// The token's role.
    role: Option<Role>,
    moderate: Option<bool>,
    /// The role that the room stores for the user.
    kept: Option<Role>,
    asked: Option<Role>,
    opens_room: bool,
    is_banned: bool,
    is_locked: bool,
    is_full: bool,
    /// `None`: the room has no password. Otherwise, which one the joiner gives: "right", "wrong" or "none".
    password: Option<&'static str>,
    waiting_room: bool,
    is_empty: bool,
    auth_required: bool,
}

/// A reason to refuse a join, the joins that it applies to, and the error code.
type DoorRule = (&'static str, fn(&Arrival) -> bool, ErrorCode);

/// The rules in order of precedence: the first that applies decides.
const DOOR: &[DoorRule] = &[
    ("a token opens its own room", |a| !a.opens_room, ErrorCode::NotAllowed),
    ("who is banned stays out", |a| a.is_banned && !a.is_guest, ErrorCode::NotAllowed),
    ("nobody is more than they may be", |a| a.wants_more(), ErrorCode::NotAllowed),
    (
        "a lock stops all but hosts and moderators",
        |a| a.is_locked && !a.walks_in(),
        ErrorCode::RoomLocked,
    ),
    ("a full room is full", |a| a.is_full, ErrorCode::RoomFull),
    (
        "a password is asked of all but hosts by token",
        |a| a.lacks_password(),
        ErrorCode::WrongPassword,
    ),
    (
        "in a waiting room all wait but hosts and moderators",
        |a| a.waiting_room && !a.walks_in(),
        ErrorCode::Waiting,
    ),
];

impl Arrival {
    fn highest(&self) -> Role {
        let opens = self.is_empty
            && matches!(self.asked, None | Some(Role::Host))
            && !self.is_locked
            && !self.waiting_room;
        match (self.is_guest, self.kept, self.role) {
            (true, _, _) if opens && !self.auth_required => Role::Host,
            (true, _, _) => Role::Speaker,
            (false, Some(kept), _) => kept,
            (false, None, Some(role)) => role,
            (false, None, None) => Role::Speaker,
        }
    }

    fn wants_more(&self) -> bool {
        match (self.highest(), self.asked) {
            (Role::Host, _) | (_, None | Some(Role::Listener)) => false,
            (Role::Speaker, Some(asked)) => asked == Role::Host,
            (Role::Listener, Some(_)) => true,
        }
    }

    fn walks_in(&self) -> bool {
        self.highest() == Role::Host || self.moderate == Some(true)
    }

    fn lacks_password(&self) -> bool {
        let is_asked = self.is_guest || self.highest() != Role::Host;
        is_asked && self.password.is_some_and(|given| given != "right")
    }

    fn grant(&self) -> Grant {
        let scope = if self.opens_room { room() } else { RoomName::parse("other").unwrap() };
        let scope = Scope::One(scope);
        match self.is_guest {
            true => Grant { scope, ..Grant::guest("guest-1".to_owned()) },
            false => Grant { scope, ..token("a", self.role, self.moderate) },
        }
    }

    fn room(&self) -> Room {
        let mut kept = kept();
        kept.record.is_locked = self.is_locked;
        kept.record.settings.waiting_room = self.waiting_room;
        kept.record.settings.max_participants = (self.is_full && !self.is_empty).then_some(1);
        kept.record.password_hash = self.password.map(|_| "hash".to_owned());
        kept.roles.extend(self.kept.map(|role| ("a".to_owned(), role)));
        if self.is_banned {
            kept.bans.push(ban("a"));
        }
        let mut room = open(kept, self.auth_required);
        if !self.is_empty {
            ask(
                &mut room,
                9,
                token("resident", Some(Role::Host), None),
                "join",
                &json!({"name": "r"}),
            );
        }
        room
    }

    /// The actual outcome in a room.
    fn outcome(&self) -> Result<Role, ErrorCode> {
        let mut room = self.room();
        let mut body = json!({"name": "a"});
        if let Some(asked) = self.asked {
            body["role"] = rights::name(asked).into();
        }
        if let Some(given) = self.password.filter(|given| *given != "none") {
            body["password"] = given.into();
        }
        let mut effects = ask(&mut room, 1, self.grant(), "join", &body);
        if let [Effect::Verify { ticket, password, .. }] = &effects[..] {
            let is_right = password.expose() == "right";
            let verdict = if is_right { Verdict::Right } else { Verdict::Wrong { pause: None } };
            room.handle_verified(now(), *ticket, verdict);
            effects = drain(&mut room);
        }
        let answer = answer_to(1, &effects);
        match answer {
            Signal::Joined(joined) => {
                assert!(room.participant_of(SessionId(1)).is_some());
                Ok(joined.participant.role)
            }
            Signal::Error { code, .. } => {
                assert!(room.participant_of(SessionId(1)).is_none(), "nobody in by accident");
                Err(*code)
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_comes_in() {
    let mut count = 0;
    each_arrival(|arrival| {
        let rule = DOOR.iter().find(|(_, applies, _)| applies(&arrival));
        let expected = match rule {
            Some((_, _, code)) => Err(*code),
            None => Ok(arrival.asked.unwrap_or(arrival.highest())),
        };
        let because = rule.map(|(why, ..)| *why);
        assert_eq!(arrival.outcome(), expected, "{because:?}: {arrival:?}");
        count += 1;
    });
    println!("{count} joins");
}

#[test]
fn a_lock_and_a_waiting_room_outlast_those_who_were_there() {
    type Guard = (fn(&mut Kept), ErrorCode);
    let guards: [Guard; 2] = [
        (|kept| kept.record.is_locked = true, ErrorCode::RoomLocked),
        (|kept| kept.record.settings.waiting_room = true, ErrorCode::Waiting),
    ];
    for (guard, code) in guards {
        let mut kept = kept();
        guard(&mut kept);
        let mut room = open(kept, false);
        let join = json!({"name": "a"});

        let guest = ask(&mut room, 1, Grant::guest("guest-1".to_owned()), "join", &join);
        let host = ask(&mut room, 2, token("host", Some(Role::Host), None), "join", &join);

        assert_eq!(error_to(1, &guest), Some(code));
        assert_eq!(room.reader(SessionId(1)), Reader::Nothing);
        let Signal::Joined(joined) = answer_to(2, &host) else { panic!("{host:?}") };
        assert_eq!(joined.participant.role, Role::Host);
    }
}

fn each_arrival(mut check: impl FnMut(Arrival)) {
    let guest = [(true, None, None)];
    let tokens = ROLES.into_iter().flat_map(|role| CLAIMS.map(|claim| (false, role, claim)));
    for (is_guest, role, moderate) in guest.into_iter().chain(tokens) {
        for (kept, asked) in pairs(ROLES, ROLES) {
            for (password, waiting_room) in
                pairs([None, Some("none"), Some("right"), Some("wrong")], BOTH)
            {
                for ((is_banned, is_locked), (is_full, is_empty)) in
                    pairs(pairs(BOTH, BOTH), pairs(BOTH, BOTH))
                {
                    for (opens_room, auth_required) in [(true, false), (true, true), (false, true)]
                    {
                        // An empty room is not full.
                        if is_full && is_empty {
                            continue;
                        }
                        check(Arrival {
                            is_guest,
                            role,
                            moderate,
                            kept,
                            asked,
                            opens_room,
                            is_banned,
                            is_locked,
                            is_full,
                            password,
                            waiting_room,
                            is_empty,
                            auth_required,
                        });
                    }
                }
            }
        }
    }
}

// Requests inside the room.

/// A participant and the state of their room.
#[derive(Clone, Copy, Debug)]
struct Inside {
    is_guest: bool,
    role: Role,
    moderate: Option<bool>,
    publish: Option<&'static [SourceKind]>,
    chat: bool,
    publishers: Publishers,
    /// A moderator has stopped their microphone and camera.
    is_stopped: bool,
}

/// A request, its body, and who may send it.
type RequestRule = (&'static str, &'static str, fn(&Inside) -> bool);

/// The requests and who may send them. Anyone else gets `not_allowed`.
const REQUESTS: &[RequestRule] = &[
    ("chat", r#"{"text":"안녕"}"#, |a| a.chat || a.moderates()),
    ("react", r#"{"emoji":"👏"}"#, |_| true),
    ("view", "{}", |_| true),
    ("candidate", r#"{"candidate":""}"#, |_| true),
    ("state", r#"{"hand_raised":true}"#, |_| true),
    ("state", r#"{"name":"b"}"#, |_| true),
    ("state", r#"{"muted":true,"camera_off":true}"#, |_| true),
    ("state", r#"{"muted":false}"#, |a| !a.is_stopped),
    ("state", r#"{"camera_off":false}"#, |a| !a.is_stopped),
    ("sources", r#"{"mids":{}}"#, |_| true),
    ("sources", r#"{"mids":{"m":"microphone"}}"#, |a| a.publishes(SourceKind::Microphone)),
    ("sources", r#"{"mids":{"c":"camera"}}"#, |a| a.publishes(SourceKind::Camera)),
    ("sources", r#"{"mids":{"s":"screen"}}"#, |a| a.publishes(SourceKind::Screen)),
    ("sources", r#"{"mids":{"t":"screen_audio"}}"#, |a| a.publishes(SourceKind::Screen)),
    ("offer", r#"{"sdp":"o=- 1 1"}"#, |_| true),
    ("leave", "{}", |_| true),
];

impl Inside {
    fn moderates(&self) -> bool {
        match self.moderate {
            Some(claim) => claim,
            None => self.role == Role::Host,
        }
    }

    fn publishes(&self, source: SourceKind) -> bool {
        let by_role = match self.role {
            Role::Host => true,
            Role::Speaker => self.publishers == Publishers::Speakers,
            Role::Listener => false,
        };
        by_role && self.publish.is_none_or(|list| list.contains(&source))
    }

    /// The room with this participant as session 1, a host (2), a speaker (3), a listener (4), a participant who
    /// moderates by token only (5), and a joiner in the waiting room (6).
    fn room(&self) -> (Room, Vec<String>) {
        let mut kept = kept();
        kept.record.settings = RoomSettings {
            chat: self.chat,
            publishers: self.publishers,
            waiting_room: true,
            ..RoomSettings::default()
        };
        let mut room = open(kept, true);
        let publish = self.publish.map(<[SourceKind]>::to_vec);
        let grant = Grant { publish, ..token("a", Some(self.role), self.moderate) };
        let grant = match self.is_guest {
            true => Grant { role: Some(self.role), is_guest: true, ..grant },
            false => grant,
        };
        let others = [
            (2, token("host", Some(Role::Host), None)),
            (1, grant),
            (3, token("speaker", None, None)),
            (4, token("listener", Some(Role::Listener), None)),
            (5, token("moderator", None, Some(true))),
            (6, token("waiting", None, None)),
        ];
        let mut ids = vec![String::new(); 7];
        for (session, grant) in others {
            ask(&mut room, session, grant, "join", &json!({"name": "x"}));
            let waiting = room.door.list();
            if let Some(one) = waiting.first().filter(|_| session != 6) {
                let admit = json!({"action": "admit", "participant": one.id});
                let admit = AdminRequest::Moderate(serde_json::from_value(admit).unwrap());
                let admin = Admin::operator("test", admit);
                room.handle_admin(now(), admin).unwrap();
                drain(&mut room);
            }
            ids[session as usize] =
                room.participant_of(SessionId(session)).unwrap_or_default().to_owned();
        }
        ids[6] = room.door.list()[0].id.clone();
        if self.is_stopped {
            for action in ["mute", "stop_camera"] {
                let body = json!({"action": action, "participant": ids[1]});
                ask(&mut room, 2, token("host", Some(Role::Host), None), "moderate", &body);
            }
        }
        (room, ids)
    }

    fn grant(&self) -> Grant {
        let publish = self.publish.map(<[SourceKind]>::to_vec);
        Grant { publish, is_guest: self.is_guest, ..token("a", Some(self.role), self.moderate) }
    }
}

#[test]
fn who_says_what() {
    let mut count = 0;
    each_inside(|inside| {
        for (action, body, may) in REQUESTS {
            let (mut room, _) = inside.room();
            let body = serde_json::from_str(body).unwrap();
            let effects = ask(&mut room, 1, inside.grant(), action, &body);
            let expected = if may(&inside) { None } else { Some(ErrorCode::NotAllowed) };
            assert_eq!(error_to(1, &effects), expected, "{action} {body} {inside:?}");
            if expected.is_some() {
                assert_eq!(effects.len(), 1, "what is refused changes nothing: {effects:?}");
            }
            count += 1;
        }
        // Joining again does not get around any of this.
        let (mut room, _) = inside.room();
        let effects = ask(&mut room, 1, inside.grant(), "join", &json!({"name": "a"}));
        assert_eq!(error_to(1, &effects), Some(ErrorCode::BadRequest));
        count += 1;
    });
    println!("{count} requests of those inside");
}

fn each_inside(mut check: impl FnMut(Inside)) {
    const PUBLISH: [Option<&[SourceKind]>; 3] =
        [None, Some(&[SourceKind::Microphone]), Some(&[SourceKind::Camera, SourceKind::Screen])];
    let roles = [Role::Host, Role::Speaker, Role::Listener];
    for ((role, moderate), (publish, is_guest)) in pairs(pairs(roles, CLAIMS), pairs(PUBLISH, BOTH))
    {
        for ((chat, is_stopped), publishers) in
            pairs(pairs(BOTH, BOTH), [Publishers::Speakers, Publishers::Hosts])
        {
            check(Inside { is_guest, role, moderate, publish, chat, publishers, is_stopped });
        }
    }
}

/// The target of an action.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Whom {
    Themself,
    Host,
    Speaker,
    Listener,
    Moderator,
    Waiting,
    /// An id that nobody has.
    Unknown,
    /// No id.
    Missing,
}

const WHOM: [Whom; 8] = [
    Whom::Themself,
    Whom::Host,
    Whom::Speaker,
    Whom::Listener,
    Whom::Moderator,
    Whom::Waiting,
    Whom::Unknown,
    Whom::Missing,
];

/// The actions, each with values that it accepts and values that it refuses.
fn actions() -> Vec<(&'static str, Vec<Value>, Vec<Value>)> {
    let stops = || (vec![Value::Null, json!(true), json!(false)], vec![json!("yes"), json!(1)]);
    let ((good, bad), (more_good, more_bad), (most_good, most_bad)) = (stops(), stops(), stops());
    let roles = vec![json!("host"), json!("speaker"), json!("listener")];
    let any = || vec![Value::Null, json!("x")];
    vec![
        ("mute", good, bad),
        ("stop_camera", more_good, more_bad),
        ("stop_screen", most_good, most_bad),
        ("kick", vec![Value::Null, json!("시끄러워요")], vec![json!(1), json!(["x"])]),
        (
            "ban",
            vec![Value::Null, json!("2030-01-01T00:00:00Z")],
            vec![json!("soon"), json!("1969-01-01T00:00:00Z"), json!(1)],
        ),
        ("set_role", roles, vec![Value::Null, json!("king"), json!(1)]),
        ("lock", any(), vec![]),
        ("unlock", any(), vec![]),
        ("admit", any(), vec![]),
        ("deny", any(), vec![]),
        ("delete_message", vec![json!("m-1")], vec![Value::Null, json!(1)]),
        ("end_room", vec![Value::Null, json!("끝")], vec![json!(1)]),
    ]
}

/// The expected outcome of a moderator's action: the rules a second time, in order of precedence.
fn verdict(
    by: &Inside,
    action: &str,
    whom: Whom,
    value: &Value,
    is_good: bool,
) -> Option<ErrorCode> {
    let is_person =
        ["mute", "stop_camera", "stop_screen", "kick", "ban", "set_role"].contains(&action);
    let is_guestlist = ["admit", "deny"].contains(&action);
    let removes = ["kick", "ban"].contains(&action);
    let is_on_host = whom == Whom::Host || (whom == Whom::Themself && by.role == Role::Host);
    let rules = [
        (action != "delete_message" && !by.moderates(), ErrorCode::NotAllowed),
        ((is_person || is_guestlist) && whom == Whom::Missing, ErrorCode::BadRequest),
        (is_person && matches!(whom, Whom::Waiting | Whom::Unknown), ErrorCode::NoSuchParticipant),
        (is_guestlist && whom != Whom::Waiting, ErrorCode::NoSuchParticipant),
        (removes && whom == Whom::Themself, ErrorCode::NotAllowed),
        (is_person && is_on_host && by.role != Role::Host, ErrorCode::NotAllowed),
        (!is_good, ErrorCode::BadRequest),
        (action == "set_role" && value == "host" && by.role != Role::Host, ErrorCode::NotAllowed),
    ];
    rules.into_iter().find(|(applies, _)| *applies).map(|(_, code)| code)
}

#[test]
fn who_moderates_whom() {
    let mut count = 0;
    let roles = [Role::Host, Role::Speaker, Role::Listener];
    for ((role, moderate), is_guest) in pairs(pairs(roles, CLAIMS), BOTH) {
        let by = Inside {
            is_guest,
            role,
            moderate,
            publish: None,
            chat: true,
            publishers: Publishers::Speakers,
            is_stopped: false,
        };
        for (action, good, bad) in actions() {
            let values = good.into_iter().map(|v| (v, true));
            for (value, is_good) in values.chain(bad.into_iter().map(|v| (v, false))) {
                for whom in WHOM {
                    let (mut room, ids) = by.room();
                    let body = moderate_body(action, whom, &value, &ids);
                    let effects = ask(&mut room, 1, by.grant(), "moderate", &body);

                    let expected = verdict(&by, action, whom, &value, is_good);
                    assert_eq!(error_to(1, &effects), expected, "{body} {whom:?} {by:?}");
                    match expected {
                        Some(_) => assert_eq!(effects.len(), 1, "nothing changed: {effects:?}"),
                        None => assert!(is_acknowledged(&effects), "{body}: {effects:?}"),
                    }
                    count += 1;
                }
            }
        }
    }
    println!("{count} deeds of moderators");
}

fn moderate_body(action: &str, whom: Whom, value: &Value, ids: &[String]) -> Value {
    let id = match whom {
        Whom::Themself => Some(ids[1].as_str()),
        Whom::Host => Some(ids[2].as_str()),
        Whom::Speaker => Some(ids[3].as_str()),
        Whom::Listener => Some(ids[4].as_str()),
        Whom::Moderator => Some(ids[5].as_str()),
        Whom::Waiting => Some(ids[6].as_str()),
        Whom::Unknown => Some("nobody"),
        Whom::Missing => None,
    };
    json!({"action": action, "participant": id, "value": value})
}

/// Whether the moderator will get a reply: an action is stored before `done`, and a message is loaded before it is
/// deleted.
fn is_acknowledged(effects: &[Effect]) -> bool {
    let is_it = |effect: &Effect| match effect {
        Effect::Keep { from: Some(from), .. } => from.session == SessionId(1),
        Effect::DeleteMessage { deleter, .. } => {
            deleter.from.as_ref().is_some_and(|from| from.session == SessionId(1))
        }
        _ => false,
    };
    effects.iter().filter(|effect| is_it(effect)).count() == 1
}

// Requests from outside the room.

#[test]
fn those_outside_ask_for_nothing() {
    let mut count = 0;
    for (waits, is_locked) in pairs(BOTH, BOTH) {
        let requests = REQUESTS.iter().map(|(action, body, _)| (*action, (*body).to_owned()));
        let deeds = actions().into_iter().flat_map(|(action, good, _)| {
            good.into_iter().map(move |value| {
                ("moderate", json!({"action": action, "value": value}).to_string())
            })
        });
        for (action, body) in requests.chain(deeds) {
            let mut kept = kept();
            kept.record.settings.waiting_room = true;
            kept.record.is_locked = is_locked && !waits;
            let mut room = open(kept, true);
            let grant = token("a", None, None);
            if waits {
                ask(&mut room, 1, grant.clone(), "join", &json!({"name": "a"}));
            }
            let body = serde_json::from_str(&body).unwrap();

            let effects = ask(&mut room, 1, grant, action, &body);

            let expected = match (waits, action) {
                (true, "leave") => None,
                (true, _) => Some(ErrorCode::Waiting),
                (false, _) => Some(ErrorCode::NoSuchRoom),
            };
            assert_eq!(error_to(1, &effects), expected, "{action} {body}");
            count += 1;
        }
    }
    println!("{count} requests of those outside");
}

#[test]
fn who_resumes_whom() {
    let other_room = Scope::One(RoomName::parse("other").unwrap());
    let user = || token("a", Some(Role::Speaker), None);
    let guest = |n| Grant::guest(format!("guest-{n}"));
    for (member, resumer, is_banned, expected) in [
        (user(), user(), false, None),
        (user(), Grant { token_id: Some("another".to_owned()), ..user() }, false, None),
        (user(), token("b", Some(Role::Host), None), false, Some(ErrorCode::NotAllowed)),
        (user(), guest(1), false, Some(ErrorCode::NotAllowed)),
        (user(), Grant { scope: other_room, ..user() }, false, Some(ErrorCode::NotAllowed)),
        (user(), user(), true, Some(ErrorCode::NotAllowed)),
        (guest(1), guest(2), false, None),
        (guest(1), user(), false, Some(ErrorCode::NotAllowed)),
    ] {
        let mut room = open(kept(), true);
        let body = json!({"name": "a"});
        let effects = ask(&mut room, 1, member.clone(), "join", &body);
        let Signal::Joined(joined) = answer_to(1, &effects) else { panic!("{effects:?}") };
        let token = joined.resume_token.expose().to_owned();
        room.handle_gone(now(), SessionId(1), false);
        if is_banned {
            room.kept.bans.push(ban("a"));
        }

        let mut asked = tests::asked(2, Some(&token), parse("join", &body));
        asked.grant = Arc::new(resumer.clone());
        room.handle_request(now(), asked);

        let effects = drain(&mut room);
        assert_eq!(error_to(2, &effects), expected, "{member:?} {resumer:?}");
        let present = room.participant_of(SessionId(2)).is_some();
        assert_eq!(present, expected.is_none());
    }
}

#[test]
fn who_hears_a_room() {
    type Closing = (&'static str, fn(&mut Kept));
    let closings: [Closing; 5] = [
        ("open", |_| {}),
        ("locked", |kept| kept.record.is_locked = true),
        ("password", |kept| kept.record.password_hash = Some("hash".to_owned())),
        ("waiting room", |kept| kept.record.settings.waiting_room = true),
        ("ban", |kept| kept.bans.push(ban("b"))),
    ];
    for (name, close) in closings {
        let mut kept = kept();
        close(&mut kept);
        let mut room = open(kept, true);
        ask(&mut room, 1, token("a", Some(Role::Host), None), "join", &json!({"name": "a"}));

        assert!(room.audience().has(SessionId(1)), "{name}");
        assert!(matches!(room.reader(SessionId(1)), Reader::Viewer(_)), "{name}");
        assert_eq!(room.audience().has(SessionId(2)), name == "open", "{name}");
        let stranger = if name == "open" { Reader::Public } else { Reader::Nothing };
        assert_eq!(room.reader(SessionId(2)), stranger, "{name}");
    }
}

// Helpers.

fn room() -> RoomName {
    RoomName::parse("회의실").unwrap()
}

fn now() -> Moment {
    thread_local! {
        static START: Instant = Instant::now();
    }
    Moment { instant: START.with(|start| *start), utc: Timestamp::UNIX_EPOCH }
}

fn kept() -> Kept {
    let record = RoomRecord::new(room(), None, Timestamp::UNIX_EPOCH);
    Kept { record, roles: HashMap::new(), bans: Vec::new() }
}

fn open(kept: Kept, auth_required: bool) -> Room {
    let config = RoomConfig {
        name: room(),
        id: RoomId(1),
        limits: Arc::new(Limits::default()),
        resume_grace: Duration::from_secs(20),
        ice_servers: IceServers::none(),
        guests_may_host: !auth_required,
        joins_create: true,
    };
    Room::new(config, kept, StdRng::seed_from_u64(1))
}

fn token(user: &str, role: Option<Role>, moderate: Option<bool>) -> Grant {
    Grant {
        is_guest: false,
        role,
        moderate,
        token_id: Some(format!("token of {user}")),
        expires_at: "2030-01-01T00:00:00Z".parse().ok(),
        ..Grant::guest(user.to_owned())
    }
}

fn ban(user: &str) -> Ban {
    Ban {
        user: user.to_owned(),
        token: None,
        until: None,
        reason: Some("소란".to_owned()),
        by: "host".to_owned(),
        at: Timestamp::UNIX_EPOCH,
    }
}

fn parse(action: &str, body: &Value) -> Request {
    Request::parse(action, body.to_string().as_bytes()).unwrap()
}

fn ask(room: &mut Room, session: u64, grant: Grant, action: &str, body: &Value) -> Vec<Effect> {
    let mut asked = tests::asked(session, None, parse(action, body));
    asked.grant = Arc::new(grant);
    room.handle_request(now(), asked);
    drain(room)
}

fn drain(room: &mut Room) -> Vec<Effect> {
    std::iter::from_fn(|| room.poll_effect()).collect()
}

/// The signals that were sent to a session.
fn signals_to(session: u64, effects: &[Effect]) -> impl Iterator<Item = &Signal> {
    effects.iter().filter_map(move |effect| match effect {
        Effect::Signal { to, signal } if to.session == SessionId(session) => Some(signal),
        _ => None,
    })
}

fn answer_to(session: u64, effects: &[Effect]) -> &Signal {
    let mut signals = signals_to(session, effects);
    let answer = signals.find(|signal| matches!(signal, Signal::Joined(_) | Signal::Error { .. }));
    answer.unwrap_or_else(|| panic!("{effects:?}"))
}

fn error_to(session: u64, effects: &[Effect]) -> Option<ErrorCode> {
    signals_to(session, effects).find_map(|signal| match signal {
        Signal::Error { code, .. } => Some(*code),
        _ => None,
    })
}

fn pairs<A: Copy, B: Copy>(
    these: impl IntoIterator<Item = A>,
    those: impl IntoIterator<Item = B> + Clone,
) -> Vec<(A, B)> {
    let with = |a: A| those.clone().into_iter().map(move |b| (a, b)).collect::<Vec<_>>();
    these.into_iter().flat_map(with).collect()
}
