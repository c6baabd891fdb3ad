//! Joining a room, and resuming after a lost connection.

use std::sync::Arc;
use std::time::Duration;

use madang_wire::request::{Join, Mids, View};
use madang_wire::{Event, Joined, Participant, Role, Secret, Signal};
use rand::RngExt;

use super::door::Joiner;
use super::kept::Keeping;
use super::member::{Member, Presence};
use super::offers::check_mids;
use super::pending::Purpose;
use super::rights::{self, Obstacle, Standing};
use super::showing::SLOTS_PER_SECOND;
use super::{Effect, Room};
use crate::auth::Grant;
use crate::broker::{Requester, SessionId};
use crate::limits::is_reached;
use crate::moment::Moment;
use crate::refusal::Refusal;
use crate::rooms::account::Account;
use crate::rooms::passwords::{MAX_BYTES, Verdict};
use crate::store::AuditEntry;
use crate::token_bucket::TokenBucket;

/// The longest name of a participant, in characters.
const MAX_NAME_CHARS: usize = 64;

/// The result of checking a joiner at the door.
#[derive(Clone, Copy)]
struct Entrance {
    role: Role,
    /// The standing by the highest role that the joiner may have. It decides which obstacles they pass.
    highest: Standing,
}

impl Room {
    pub(super) fn handle_join(
        &mut self,
        now: Moment,
        from: &Requester,
        grant: &Arc<Grant>,
        account: Account,
        join: Join,
    ) -> Result<(), Refusal> {
        rights::check_opens(grant, &self.config.name)?;
        let Join { name, role, password, sdp, mids } = join;
        let name = checked_name(&name)?;
        let mids = mids.unwrap_or_default();
        check_mids(&mids)?;
        if self.door.has(from.session) {
            return Err(Refusal::already_joining());
        }
        let (from, grant) = (from.clone(), Arc::clone(grant));
        let joiner = Joiner { from, grant, account, name, role, mids, sdp };
        let entrance = self.entrance(now, &joiner)?;
        self.enter(now, joiner, entrance, Obstacle::Lock, password)
    }

    /// Handles the result of [`Effect::Verify`].
    pub(crate) fn handle_verified(&mut self, now: Moment, ticket: u64, verdict: Verdict) {
        let Some(joiner) = self.door.knocked(ticket) else { return };
        let from = joiner.from.clone();
        let handled = match verdict {
            // The room may have changed during the check, so check the joiner again.
            Verdict::Right => self
                .entrance(now, &joiner)
                .and_then(|entrance| self.enter(now, joiner, entrance, Obstacle::Password, None)),
            Verdict::Wrong { pause } => {
                if let Some(pause) = pause {
                    self.record_guesses(now, &joiner.account, pause);
                }
                Err(Refusal::wrong_password())
            }
            Verdict::Paused(pause) => Err(Refusal::too_many_wrong_passwords(pause)),
            Verdict::Overloaded => Err(Refusal::too_many_passwords()),
        };
        self.tell_refusal(&from, handled);
        self.tell_news(now.instant);
    }

    /// Leaves an audit entry when somebody has given so many wrong passwords that a pause begins.
    fn record_guesses(&mut self, now: Moment, account: &Account, pause: Duration) {
        let entry = AuditEntry {
            at: now.utc,
            room: Some(self.config.name.clone()),
            actor: account.to_string(),
            action: "wrong_passwords".to_owned(),
            target: None,
            detail: Some(format!("no more are checked for {} seconds", pause.as_secs())),
        };
        let keeping = Box::new(Keeping { change: None, entry });
        self.effects.push_back(Effect::Keep { from: None, keeping });
    }

    /// The holder of the resume token takes the participant over, from any session. A user's participant can be resumed
    /// only by the same user, a guest's only by a guest.
    pub(super) fn handle_resume(
        &mut self,
        now: Moment,
        from: &Requester,
        grant: &Arc<Grant>,
        token: &str,
        join: Join,
    ) -> Result<(), Refusal> {
        rights::check_opens(grant, &self.config.name)?;
        let Some(index) = self.members.iter().position(|member| member.resume_token == token)
        else {
            return Err(Refusal::not_resumable());
        };
        let before = &self.members[index].grant;
        if before.is_guest != grant.is_guest || (!grant.is_guest && before.user != grant.user) {
            return Err(Refusal::resumes_another_user());
        }
        self.check_not_banned(now, from, grant)?;
        if self.index_of_session(from.session).is_some_and(|present| present != index)
            || self.door.has(from.session)
        {
            return Err(Refusal::already_in_room());
        }
        if let Some(mids) = &join.mids {
            check_mids(mids)?;
        }
        let participant = self.members[index].public.id.clone();
        if join.sdp.is_some() {
            self.check_no_offer_of(&participant)?;
        }
        self.take_grant(index, grant);
        match join.sdp {
            None => self.take_over(now, from, index, join.mids, None),
            Some(sdp) => {
                let purpose = Purpose::Resume { participant, mids: join.mids };
                self.offer(from, Some(index), sdp, purpose);
            }
        }
        Ok(())
    }

    /// Lets in a joiner whom a moderator admitted.
    pub(super) fn let_in(&mut self, now: Moment, joiner: Joiner) {
        let from = joiner.from.clone();
        let opens = self.is_deserted();
        let highest = self.highest(&joiner.grant, opens);
        let entered = rights::role_of(highest.role, joiner.role).map(|role| {
            self.come_in(now, joiner, role);
        });
        self.tell_refusal(&from, entered);
    }

    /// Refuses when the room has reached its limit of participants, including joiners whose offer is pending.
    pub(super) fn check_space(&self) -> Result<(), Refusal> {
        let joining =
            self.pending.values().filter(|pending| pending.participant().is_none()).count();
        let present = self.members.len() + joining;
        let own = self.kept.record.settings.max_participants;
        let own = own.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        let general = self.config.limits.participants_per_room;
        match own.filter(|own| present >= *own) {
            Some(own) => Err(Refusal::full(own)),
            None if is_reached(general, present) => Err(Refusal::full(general)),
            None => Ok(()),
        }
    }

    fn check_not_banned(
        &self,
        now: Moment,
        from: &Requester,
        grant: &Grant,
    ) -> Result<(), Refusal> {
        if self.door.turns_away(from.session) {
            return Err(Refusal::removed());
        }
        rights::check_not_banned(&self.kept.bans, grant, now.utc)
    }

    /// Checks everything that comes before the password and the waiting room.
    fn entrance(&self, now: Moment, joiner: &Joiner) -> Result<Entrance, Refusal> {
        let (from, grant) = (&joiner.from, &joiner.grant);
        let is_on_the_way = self.pending.values().any(|pending| !pending.survives(from.session));
        if is_on_the_way || self.index_of_session(from.session).is_some() {
            return Err(Refusal::already_in_room());
        }
        self.check_not_banned(now, from, grant)?;
        let opens = self.is_deserted() && joiner.role.is_none_or(|asked| asked == Role::Host);
        let highest = self.highest(grant, opens);
        let role = rights::role_of(highest.role, joiner.role)?;
        if let Some(lock @ Obstacle::Lock) = self.obstacle(None, highest, grant) {
            return Err(lock.refusal());
        }
        self.check_space()?;
        Ok(Entrance { role, highest })
    }

    /// Whether nobody is in the room or about to enter.
    fn is_deserted(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    /// The standing by the highest role that somebody may have.
    fn highest(&self, grant: &Grant, opens: bool) -> Standing {
        let opens = opens
            && self.config.guests_may_host
            && rights::may_have_guest_as_host(&self.kept.record);
        Standing::of(rights::highest_role(self.kept.role_of(grant), grant, opens), grant)
    }

    fn obstacle(
        &self,
        passed: Option<Obstacle>,
        highest: Standing,
        grant: &Grant,
    ) -> Option<Obstacle> {
        rights::obstacle(passed, &self.kept.record, highest, grant)
    }

    /// Continues a join after the obstacle that the joiner has passed.
    fn enter(
        &mut self,
        now: Moment,
        joiner: Joiner,
        entrance: Entrance,
        passed: Obstacle,
        password: Option<Secret>,
    ) -> Result<(), Refusal> {
        match self.obstacle(Some(passed), entrance.highest, &joiner.grant) {
            None => {
                self.come_in(now, joiner, entrance.role);
                Ok(())
            }
            Some(Obstacle::Password) => self.knock(joiner, password),
            Some(obstacle) => self.wait(joiner, obstacle),
        }
    }

    /// Starts the check of a joiner's password.
    fn knock(&mut self, joiner: Joiner, password: Option<Secret>) -> Result<(), Refusal> {
        let Some((password, hash)) = password.zip(self.kept.record.password_hash.clone()) else {
            return Err(Obstacle::Password.refusal());
        };
        if password.expose().len() > MAX_BYTES {
            return Err(Refusal::too_long("the password", MAX_BYTES, "bytes"));
        }
        let account = joiner.account.clone();
        let Some(ticket) = self.door.knock(joiner) else {
            return Err(Refusal::too_many_joining());
        };
        self.effects.push_back(Effect::Verify { ticket, account, password, hash });
        Ok(())
    }

    /// Puts a joiner into the waiting room; `joined` follows when a moderator admits them.
    fn wait(&mut self, joiner: Joiner, obstacle: Obstacle) -> Result<(), Refusal> {
        let id = format!("{:016x}", self.random.random::<u64>());
        if !self.door.wait(id, joiner) {
            return Err(Refusal::too_many_waiting());
        }
        self.tell_moderators_who_waits();
        Err(obstacle.refusal())
    }

    fn come_in(&mut self, now: Moment, joiner: Joiner, role: Role) {
        let from = joiner.from.clone();
        let sdp = joiner.sdp.clone();
        let member = self.new_member(now, joiner, role);
        match sdp {
            None => self.admit(now, &from, member, None),
            Some(sdp) => self.offer(&from, None, sdp, Purpose::Join(Box::new(member))),
        }
    }

    fn new_member(&mut self, now: Moment, joiner: Joiner, role: Role) -> Member {
        let Joiner { from, grant, name, mids, .. } = joiner;
        let stopped = self.stopped.get(&grant.user).copied().unwrap_or_default();
        Member {
            public: Participant {
                id: format!("{:016x}", self.random.random::<u64>()),
                name,
                role,
                joined_at: now.utc,
                muted: stopped.sound,
                camera_off: stopped.camera,
                hand_raised: false,
                sources: Vec::new(),
                stopped: stopped.to_wire(),
                metadata: serde_json::Map::new(),
            },
            grant,
            may_publish: Vec::new(),
            stopped,
            resume_token: format!("{:032x}", self.random.random::<u128>()),
            presence: Presence::Here(from.session),
            renew_at: None,
            media: None,
            mids,
            view: View::default(),
            spoke: 0,
            has_news: false,
            slots_allowance: TokenBucket::new(SLOTS_PER_SECOND, now.instant),
            changes: TokenBucket::new(self.config.limits.changes_per_second, now.instant),
            mismatches: Vec::new(),
            has_new_mismatches: false,
        }
    }

    pub(super) fn admit(
        &mut self,
        now: Moment,
        from: &Requester,
        member: Member,
        answer: Option<String>,
    ) {
        let participant = member.public.clone();
        self.members.push(member);
        let index = self.members.len() - 1;
        self.publish(Event::ParticipantJoined { participant });
        self.update_rights(index);
        self.show();
        self.count();
        self.welcome(now, from, index, answer);
    }

    /// Applies the grant of a resuming session, which may differ from the one before. A user's role is lowered if it is
    /// higher than the highest that they may have from now on.
    fn take_grant(&mut self, index: usize, grant: &Arc<Grant>) {
        if !grant.is_guest {
            let highest = self.highest(grant, false).role;
            let public = &mut self.members[index].public;
            let role = rights::lower(public.role, highest);
            if role != std::mem::replace(&mut public.role, role) {
                let participant = public.clone();
                self.publish(Event::ParticipantChanged { participant });
            }
        }
        self.members[index].grant = Arc::clone(grant);
        self.update_rights(index);
    }

    pub(super) fn take_over(
        &mut self,
        now: Moment,
        from: &Requester,
        index: usize,
        mids: Option<Mids>,
        answer: Option<String>,
    ) {
        let before = self.members[index].session().filter(|session| *session != from.session);
        if let Some(before) = before {
            let reason = "this participant was taken over by another connection".to_owned();
            self.reply(&before.into(), Signal::Kicked { reason });
        }
        self.members[index].presence = Presence::Here(from.session);
        if let Some(mids) = mids {
            self.members[index].mids = mids;
        }
        self.update_sources(index);
        self.show();
        self.welcome(now, from, index, answer);
    }

    fn welcome(&mut self, now: Moment, from: &Requester, index: usize, answer: Option<String>) {
        let member = &mut self.members[index];
        member.has_news = false;
        member.has_new_mismatches = !member.mismatches.is_empty();
        let slots = member.slots();
        let (participant, token) = (member.public.clone(), member.resume_token.clone());
        let ice_servers = self.config.ice_servers.of_participant(&participant.id);
        let expires = ice_servers.iter().any(|server| server.credential.is_some());
        let renewal = now.instant.checked_add(self.config.ice_servers.renewal());
        member.renew_at = renewal.filter(|_| expires);
        let joined = Joined {
            ice_servers,
            participant,
            resume_token: Secret::new(token),
            participants: self.members.iter().map(|member| member.public.clone()).collect(),
            answer,
            slots,
            chat_seq: self.chat_seq,
            locked: self.kept.record.is_locked,
            server_time: now.utc,
        };
        self.reply(from, Signal::Joined(Box::new(joined)));
        self.tell_who_waits(index);
    }

    /// Sends the waiting room to a member, if they moderate and somebody waits.
    pub(super) fn tell_who_waits(&mut self, index: usize) {
        let waiting = self.door.list();
        let member = &self.members[index];
        if let Some(session) = member.session().filter(|_| member.standing().moderates)
            && !waiting.is_empty()
        {
            self.reply(&session.into(), Signal::Waiting { waiting });
        }
    }

    /// Sends the waiting room to all moderators after a change.
    pub(super) fn tell_moderators_who_waits(&mut self) {
        let waiting = self.door.list();
        let moderators = self.members.iter().filter(|member| member.standing().moderates);
        let sessions: Vec<SessionId> = moderators.filter_map(Member::session).collect();
        for session in sessions {
            self.reply(&session.into(), Signal::Waiting { waiting: waiting.clone() });
        }
    }
}

/// Validates a participant's name and trims white space around it.
pub(super) fn checked_name(name: &str) -> Result<String, Refusal> {
    let name = name.trim();
    if name.is_empty() {
        return Err(Refusal::empty("the name"));
    }
    if name.chars().count() > MAX_NAME_CHARS {
        return Err(Refusal::too_long("the name", MAX_NAME_CHARS, "characters"));
    }
    if name.chars().any(char::is_control) {
        return Err(Refusal::bad_request("the name must not contain control characters"));
    }
    Ok(name.to_owned())
}
