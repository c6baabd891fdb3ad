//! A long random walk through a room's requests and events, compared with a naive model of the media engine.
#![expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use madang_sfu::{Answer, MediaKind, MediaLine, Mid, OfferError, RoomId, Source};
use madang_wire::{Publishers, Role, RoomName};
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::asked;
use crate::auth::Grant;
use crate::limits::Limits;
use crate::rooms::passwords::Verdict;
use crate::rooms::room::*;
use crate::store::RoomRecord;

#[test]
fn what_the_engine_was_told_is_always_what_the_slots_say() {
    for seed in 0..40 {
        let mut walk = Walk::new(seed);
        for _ in 0..400 {
            walk.step();
            walk.check();
        }
    }
}

struct Walk {
    room: Room,
    now: Moment,
    random: StdRng,
    /// The source that the engine shows, by peer and slot.
    shows: HashMap<(PeerId, Mid), Source>,
    peers: HashSet<PeerId>,
    /// The m-lines that the engine does not forward, by peer.
    forbidden: HashSet<(PeerId, Mid)>,
    joined: i64,
    left: i64,
    count: u32,
}

impl Walk {
    fn new(seed: u64) -> Walk {
        let now = Moment { instant: Instant::now(), utc: Timestamp::UNIX_EPOCH };
        let config = RoomConfig {
            name: RoomName::parse("room").unwrap(),
            id: RoomId(1),
            limits: Arc::new(Limits { participants_per_room: 5, ..Limits::default() }),
            resume_grace: Duration::from_secs(20),
            ice_servers: IceServers::none(),
            guests_may_host: true,
            joins_create: true,
        };
        let record = RoomRecord::new(config.name.clone(), None, now.utc);
        let kept = Kept { record, roles: HashMap::new(), bans: Vec::new() };
        Walk {
            room: Room::new(config, kept, StdRng::seed_from_u64(seed)),
            now,
            random: StdRng::seed_from_u64(seed + 1_000),
            shows: HashMap::new(),
            peers: HashSet::new(),
            forbidden: HashSet::new(),
            joined: 0,
            left: 0,
            count: 0,
        }
    }

    fn step(&mut self) {
        let session = SessionId(self.random.random_range(0..8));
        let names = ["microphone", "camera", "screen", "screen_audio"];
        let name = |random: &mut StdRng| names[random.random_range(0..4)];
        let mids =
            format!(r#"{{"p0":"{}","p1":"{}"}}"#, name(&mut self.random), name(&mut self.random));
        let sdp = format!("o=- {} 1", self.random.random_range(0..3));
        let someone = self.someone();
        let (action, body) = match self.random.random_range(0..19) {
            0..=2 => {
                ("join", format!(r#"{{"name":"a","password":"참깨","sdp":"{sdp}","mids":{mids}}}"#))
            }
            3 => ("join", r#"{"name":"a","password":"참깨"}"#.to_owned()),
            4 | 5 => ("offer", format!(r#"{{"sdp":"{sdp}"}}"#)),
            6 => ("sources", format!(r#"{{"mids":{mids}}}"#)),
            7 => {
                let auto: bool = self.random.random();
                let slot = self.random.random_range(0..4);
                let wanted = format!(r#"{{"mid":"s{slot}","participant":"{someone}"}}"#);
                ("view", format!(r#"{{"auto":{auto},"slots":[{wanted}]}}"#))
            }
            8 => ("state", format!(r#"{{"camera_off":{}}}"#, self.random.random::<bool>())),
            9 => ("leave", String::new()),
            10 => {
                let said_goodbye = self.random.random();
                self.room.handle_gone(self.now, session, said_goodbye);
                return self.carry_out();
            }
            11 => return self.engine_event(),
            12 => return self.resume(session),
            13 => ("state", format!(r#"{{"muted":{}}}"#, self.random.random::<bool>())),
            14..=16 => ("moderate", self.deed(&someone)),
            17 => return self.configure(),
            _ => {
                self.now.instant += Duration::from_secs(self.random.random_range(0..15));
                self.room.handle_timeout(self.now.instant);
                return self.carry_out();
            }
        };
        let request = Request::parse(action, body.as_bytes()).unwrap();
        self.ask(session, None, request);
    }

    fn ask(&mut self, session: SessionId, resume: Option<&str>, request: Request) {
        let mut asked = asked(session.0, resume, request);
        asked.grant = Arc::new(grant(session));
        self.room.handle_request(self.now, asked);
        self.carry_out();
    }

    /// A random moderator's action, aimed at a participant or at somebody in the waiting room.
    fn deed(&mut self, someone: &str) -> String {
        let waiting = self.room.door.list();
        let one = waiting.first().map_or(someone, |one| one.id.as_str());
        let is_stopped: bool = self.random.random();
        let role = ["host", "speaker", "listener"][self.random.random_range(0..3)];
        let deed = match self.random.random_range(0..12) {
            0 => json!({"action": "mute", "participant": someone, "value": is_stopped}),
            1 => json!({"action": "stop_camera", "participant": someone, "value": is_stopped}),
            2 => json!({"action": "stop_screen", "participant": someone, "value": is_stopped}),
            3 => json!({"action": "kick", "participant": someone}),
            4 => json!({"action": "ban", "participant": someone}),
            5 | 6 => json!({"action": "set_role", "participant": someone, "value": role}),
            7 => json!({"action": "lock"}),
            8 => json!({"action": "unlock"}),
            9 => json!({"action": "admit", "participant": one}),
            10 => json!({"action": "deny", "participant": one}),
            _ => json!({"action": "end_room"}),
        };
        deed.to_string()
    }

    /// A random request over REST.
    fn configure(&mut self) {
        let publishers = if self.random.random() { "hosts" } else { "speakers" };
        let settings =
            json!({"publishers": publishers, "waiting_room": self.random.random::<bool>()});
        let configure = Configure {
            settings: settings.as_object().cloned(),
            password_hash: Some(self.random.random::<bool>().then(|| "hash".to_owned())),
            ..Configure::default()
        };
        let user = format!("user-{}", self.random.random_range(0..4));
        let request = match self.random.random_range(0..3) {
            0 => AdminRequest::Unban { user },
            1 => AdminRequest::SetRole { user, role: None },
            _ => AdminRequest::Configure(configure),
        };
        let handled = self.room.handle_admin(self.now, Admin::operator("walk", request));
        handled.expect("an operator may do all that");
        self.carry_out();
    }

    fn resume(&mut self, session: SessionId) {
        let Some(member) = self.room.members.first() else {
            return;
        };
        let token = member.resume_token.clone();
        let request = Request::parse("join", br#"{"name":"a"}"#).unwrap();
        self.ask(session, Some(&token), request);
    }

    fn engine_event(&mut self) {
        let peers: Vec<PeerId> =
            self.room.members.iter().filter_map(|m| Some(m.media.as_ref()?.peer)).collect();
        let Some(peer) = peers.first().copied() else {
            return;
        };
        let event = match self.random.random_range(0..3) {
            0 => {
                self.forget(peer);
                EngineEvent::Disconnected { peer, reason: "gone" }
            }
            1 => EngineEvent::Speakers {
                room: RoomId(1),
                levels: peers.iter().rev().map(|peer| (*peer, 10)).collect(),
            },
            _ => EngineEvent::AudioSlot {
                peer,
                slot: Mid::new("s0"),
                source: peers.last().map(|peer| Source { peer: *peer, mid: Mid::new("p0") }),
            },
        };
        self.room.handle_engine(self.now, event);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.room.poll_effect() {
            match effect {
                Effect::Offer { peer, current, .. } => {
                    let is_same = self.random.random();
                    let current = current.filter(|_| is_same);
                    let answer = self.answer(current.unwrap_or(peer));
                    self.room.handle_answer(self.now, peer, answer);
                }
                Effect::Assign { peer, slot, source: Some(source) } => {
                    self.shows.insert((peer, slot), source);
                }
                Effect::Assign { peer, slot, source: None } => {
                    self.shows.remove(&(peer, slot));
                }
                Effect::Permit { peer, mid, is_permitted: true } => {
                    self.forbidden.remove(&(peer, mid));
                }
                Effect::Permit { peer, mid, is_permitted: false } => {
                    assert!(self.peers.contains(&peer), "the engine ignores unknown peers");
                    self.forbidden.insert((peer, mid));
                }
                Effect::Verify { ticket, .. } => {
                    let verdict = if self.random.random() {
                        Verdict::Right
                    } else {
                        Verdict::Wrong { pause: None }
                    };
                    self.room.handle_verified(self.now, ticket, verdict);
                }
                Effect::RemovePeer { peer } => self.forget(peer),
                Effect::Publish { event: Event::ParticipantJoined { .. }, .. } => self.joined += 1,
                Effect::Publish { event: Event::ParticipantLeft { .. }, .. } => self.left += 1,
                Effect::Count(count) => self.count = count,
                Effect::Publish { .. }
                | Effect::Signal { .. }
                | Effect::StoreChat { .. }
                | Effect::Keep { .. }
                | Effect::DeleteMessage { .. }
                | Effect::DeleteRoom => {}
            }
        }
    }

    /// An answer that an engine could give: it refuses some offers, and drops slots that an offer leaves out.
    fn answer(&mut self, peer: PeerId) -> Result<Answer, OfferError> {
        if self.random.random_range(0..5) == 0 {
            return Err(OfferError::BadSdp("no".to_owned()));
        }
        let mut line = |mid: String| MediaLine {
            mid: Mid::new(&mid),
            kind: if self.random.random_range(0..4) == 0 {
                MediaKind::Audio
            } else {
                MediaKind::Video
            },
        };
        let published = (0..2).map(|n| line(format!("p{n}"))).collect();
        let mut slots: Vec<_> = (0..4).map(|n| line(format!("s{n}"))).collect();
        slots.truncate(self.random.random_range(0..5));
        self.peers.insert(peer);
        let media = self.room.members.iter().filter_map(|member| member.media.as_ref());
        let before: Vec<(Mid, MediaKind)> = media
            .filter(|media| media.peer == peer)
            .flat_map(|media| media.slots.iter().map(|slot| (slot.mid.clone(), slot.kind)))
            .collect();
        let stays = |slot: &Mid| {
            let same = |line: &MediaLine| before.contains(&(line.mid.clone(), line.kind));
            slots.iter().any(|line| line.mid == *slot && same(line))
        };
        self.shows.retain(|(of, slot), _| *of != peer || stays(slot));
        Ok(Answer { peer, sdp: String::new(), published, slots, codecs: HashMap::new() })
    }

    fn forget(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        self.shows.retain(|(of, _), _| *of != peer);
        self.forbidden.retain(|(of, _)| *of != peer);
    }

    fn check(&self) {
        let present: HashSet<PeerId> =
            self.room.members.iter().filter_map(|m| Some(m.media.as_ref()?.peer)).collect();
        assert_eq!(present, self.peers, "the engine has the peers of those present, and no others");
        assert_eq!(self.joined - self.left, self.room.members.len() as i64);
        assert_eq!(self.count as usize, self.room.members.len());
        let mut slots = 0;
        for member in &self.room.members {
            let Some(media) = &member.media else { continue };
            for slot in &media.slots {
                let told = self.shows.get(&(media.peer, slot.mid.clone()));
                slots += usize::from(told.is_some());
                if slot.kind == MediaKind::Audio {
                    assert_eq!(slot.pinned.as_ref(), told);
                    continue;
                }
                assert_eq!(slot.source(), told);
                if let Some(shown) = &slot.shown {
                    self.check_shown(member, shown);
                }
            }
            let wire: Vec<_> = member.public.sources.clone();
            assert_eq!(wire, member.sources());
            self.check_rights(member);
        }
        assert_eq!(slots, self.shows.len(), "nothing is shown where there is no slot");
    }

    /// Checks what is forwarded against the rules, written plainly a second time.
    fn check_rights(&self, member: &Member) {
        let Member { public, grant, .. } = member;
        assert!(self.room.kept.ban_of(grant, self.now.utc).is_none(), "nobody banned is here");
        assert!(member.session().is_none_or(|session| !self.room.door.has(session)));
        let settings = &self.room.kept.record.settings;
        let publishes = match public.role {
            Role::Host => true,
            Role::Speaker => settings.publishers == Publishers::Speakers,
            Role::Listener => false,
        };
        let Some(media) = &member.media else { return };
        for line in &media.published {
            let is_audio = line.kind == MediaKind::Audio;
            let named = member.mids.get(line.mid.as_str()).copied();
            let kind = match named.filter(|kind| kind.is_audio() == is_audio) {
                Some(kind) => kind,
                None if is_audio => SourceKind::Microphone,
                None => SourceKind::Camera,
            };
            let claims = grant.publish.as_deref();
            let is_claimed = claims.is_none_or(|claims| match kind {
                SourceKind::ScreenAudio => claims.contains(&SourceKind::Screen),
                kind => claims.contains(&kind),
            });
            let stopped = |source| public.stopped.contains(&source);
            let is_off = match kind {
                SourceKind::Microphone => stopped(SourceKind::Microphone) || public.muted,
                SourceKind::Camera => stopped(SourceKind::Camera),
                SourceKind::Screen => stopped(SourceKind::Screen),
                SourceKind::ScreenAudio => {
                    stopped(SourceKind::Screen) || stopped(SourceKind::Microphone)
                }
            };
            let is_forwarded = publishes && is_claimed && !is_off;
            let is_forbidden = self.forbidden.contains(&(media.peer, line.mid.clone()));
            assert_eq!(is_forwarded, !is_forbidden, "{kind} of {public:?} in {line:?}");
        }
    }

    fn check_shown(&self, viewer: &Member, shown: &slots::Shown) {
        assert_ne!(viewer.public.id, shown.participant, "nobody sees themself");
        let index = self.room.index_of_participant(&shown.participant).expect("they are here");
        let publisher = &self.room.members[index];
        assert!(publisher.public.sources.contains(&shown.kind));
        assert!(publisher.media.as_ref().is_some_and(|media| media.peer == shown.source.peer));
    }

    fn someone(&mut self) -> String {
        let count = self.room.members.len();
        if count == 0 {
            return "nobody".to_owned();
        }
        self.room.members[self.random.random_range(0..count)].public.id.clone()
    }
}

/// The grant of a session: users with tokens, some of them in two sessions, and guests.
fn grant(session: SessionId) -> Grant {
    let guest = Grant::guest(format!("guest-{}", session.0));
    let user = Grant { is_guest: false, user: format!("user-{}", session.0 % 4), ..guest.clone() };
    match session.0 {
        0 | 4 => Grant { role: Some(Role::Host), ..user },
        1 => Grant { moderate: Some(true), ..user },
        2 => Grant { publish: Some(vec![SourceKind::Camera, SourceKind::Screen]), ..user },
        3 => Grant { role: Some(Role::Listener), ..user },
        _ => guest,
    }
}
