//! Moderation. The server enforces all of it, whatever clients do. Removing people is in `removing`, deleting messages
//! in `deleting`.
//!
//! A moderator's action takes effect in the room at once. Then the store keeps the change and an audit entry, and only
//! then does the moderator receive `done`.

use madang_wire::request::{Moderate, ModerateAction};
use madang_wire::{Event, Role};
use serde_json::Value;

use super::kept::{Change, Keeping, MAX_PEOPLE};
use super::rights::{self, Standing};
use super::{Effect, Room};
use crate::broker::Requester;
use crate::moment::Moment;
use crate::refusal::Refusal;
use crate::store::AuditEntry;

/// Most users whose stopped sources outlast their participant. At that number, a stop of another user ends when the
/// participant leaves.
const MAX_STOPPED: usize = 10_000;

/// The moderator who performs an action.
#[derive(Clone, Debug)]
pub(super) struct Moderator {
    /// For the audit log.
    pub(super) name: String,
    /// Their participant; `None` for callers over REST.
    pub(super) participant: Option<String>,
    /// Their user; `None` for guests and operators.
    pub(super) user: Option<String>,
    pub(super) standing: Standing,
    /// The session that receives `done`; `None` for callers over REST.
    pub(super) from: Option<Requester>,
}

impl Moderator {
    pub(super) fn is_user(&self, user: &str) -> bool {
        self.user.as_deref() == Some(user)
    }

    /// Whether the action would hit the moderator themself. A ban hits every participant of a user; over REST the
    /// moderator is known only as a user.
    fn is_hit_by(&self, action: ModerateAction, participant: &str, user: Option<&str>) -> bool {
        let by_user = action == ModerateAction::Ban || self.participant.is_none();
        self.participant.as_deref() == Some(participant)
            || by_user && user.is_some_and(|user| self.is_user(user))
    }
}

impl Room {
    pub(super) fn handle_moderate(
        &mut self,
        now: Moment,
        from: &Requester,
        index: usize,
        moderate: Moderate,
    ) -> Result<(), Refusal> {
        let member = &self.members[index];
        let moderator = Moderator {
            name: member.grant.user.clone(),
            participant: Some(member.public.id.clone()),
            user: member.user().map(str::to_owned),
            standing: member.standing(),
            from: Some(from.clone()),
        };
        self.moderate(now, &moderator, moderate)
    }

    pub(super) fn moderate(
        &mut self,
        now: Moment,
        by: &Moderator,
        moderate: Moderate,
    ) -> Result<(), Refusal> {
        let Moderate { action, participant, value } = moderate;
        rights::check_moderates(by.standing, action)?;
        let whom = participant.as_deref();
        match action {
            ModerateAction::Mute | ModerateAction::StopCamera | ModerateAction::StopScreen => {
                self.stop(now, by, action, whom, value.as_ref())
            }
            ModerateAction::Kick => self.kick(now, by, whom, value.as_ref()),
            ModerateAction::Ban => self.ban(now, by, whom, value.as_ref()),
            ModerateAction::Lock => self.set_locked(now, by, true),
            ModerateAction::Unlock => self.set_locked(now, by, false),
            ModerateAction::Admit => self.answer_waiting(now, by, whom, true),
            ModerateAction::Deny => self.answer_waiting(now, by, whom, false),
            ModerateAction::SetRole => self.give_role(now, by, whom, value.as_ref()),
            ModerateAction::DeleteMessage => self.delete_message(by, value.as_ref()),
            ModerateAction::EndRoom => self.end(now, by, value.as_ref()),
        }
    }

    /// Finds the member that an action is aimed at, and checks that the moderator may perform it on them.
    pub(super) fn target(
        &self,
        by: &Moderator,
        action: ModerateAction,
        whom: Option<&str>,
    ) -> Result<usize, Refusal> {
        let Some(id) = whom else {
            return Err(Refusal::bad_request("this action needs a participant"));
        };
        let Some(index) = self.index_of_participant(id) else {
            return Err(Refusal::no_such_participant());
        };
        let member = &self.members[index];
        let is_self = by.is_hit_by(action, id, member.user());
        rights::check_acts_on(by.standing, member.standing(), is_self, action)?;
        Ok(index)
    }

    fn stop(
        &mut self,
        now: Moment,
        by: &Moderator,
        action: ModerateAction,
        whom: Option<&str>,
        value: Option<&Value>,
    ) -> Result<(), Refusal> {
        let index = self.target(by, action, whom)?;
        let is_stopped = match value {
            None | Some(Value::Null | Value::Bool(true)) => true,
            Some(Value::Bool(false)) => false,
            Some(_) => return Err(Refusal::bad_request("the value must be true or false")),
        };
        let member = &mut self.members[index];
        let before = member.public.clone();
        let public = &mut member.public;
        match action {
            ModerateAction::Mute => {
                member.stopped.sound = is_stopped;
                public.muted |= is_stopped;
            }
            ModerateAction::StopCamera => {
                member.stopped.camera = is_stopped;
                public.camera_off |= is_stopped;
            }
            _ => member.stopped.screen = is_stopped,
        }
        public.stopped = member.stopped.to_wire();
        let (participant, user, stopped) =
            (public.clone(), member.grant.user.clone(), member.stopped);
        if stopped == super::member::Stopped::default() {
            self.stopped.remove(&user);
        } else if self.stopped.len() < MAX_STOPPED || self.stopped.contains_key(&user) {
            self.stopped.insert(user.clone(), stopped);
        }
        self.permit(index);
        if participant != before {
            self.publish(Event::ParticipantChanged { participant });
        }
        self.update_sources(index);
        self.show();
        let detail = (!is_stopped).then(|| "lifted".to_owned());
        self.keep(now, by, audit_name(action), None, Some(user), detail);
        Ok(())
    }

    pub(super) fn set_locked(
        &mut self,
        now: Moment,
        by: &Moderator,
        is_locked: bool,
    ) -> Result<(), Refusal> {
        let is_different = self.kept.record.is_locked != is_locked;
        self.kept.record.is_locked = is_locked;
        if is_different {
            self.tell_room_changed();
        }
        let change = is_different.then(|| Change::Record(self.kept.record.clone()));
        self.keep(now, by, if is_locked { "lock" } else { "unlock" }, change, None, None);
        Ok(())
    }

    fn answer_waiting(
        &mut self,
        now: Moment,
        by: &Moderator,
        whom: Option<&str>,
        is_admitted: bool,
    ) -> Result<(), Refusal> {
        let Some(id) = whom else {
            return Err(Refusal::bad_request("this action needs the id of somebody in `waiting`"));
        };
        if !self.door.has_waiting(id) {
            return Err(Refusal::nobody_waits());
        }
        if is_admitted {
            self.check_space()?;
        }
        let Some(joiner) = self.door.take(id) else { return Ok(()) };
        let target = Some(joiner.grant.user.clone());
        if is_admitted {
            self.let_in(now, joiner);
        } else {
            self.tell_refusal(&joiner.from, Err(Refusal::denied()));
        }
        self.tell_moderators_who_waits();
        self.keep(now, by, if is_admitted { "admit" } else { "deny" }, None, target, None);
        Ok(())
    }

    fn give_role(
        &mut self,
        now: Moment,
        by: &Moderator,
        whom: Option<&str>,
        value: Option<&Value>,
    ) -> Result<(), Refusal> {
        let index = self.target(by, ModerateAction::SetRole, whom)?;
        let role = role_of(value)?;
        rights::check_gives(by.standing, role)?;
        let user = self.members[index].user().map(str::to_owned);
        let target = Some(self.members[index].grant.user.clone());
        if user.as_ref().is_some_and(|user| !self.kept.set_role(user, Some(role))) {
            return Err(Refusal::too_many_kept(MAX_PEOPLE, "roles"));
        }
        match &user {
            Some(user) => self.apply_role(user, role),
            None => self.set_role_of(index, role),
        }
        let change = user.map(|user| Change::Role { user, role: Some(role) });
        self.keep(now, by, "set_role", change, target, Some(rights::name(role).to_owned()));
        Ok(())
    }

    /// Sets the role of all participants of a user.
    pub(super) fn apply_role(&mut self, user: &str, role: Role) {
        for index in 0..self.members.len() {
            if self.members[index].user() == Some(user) {
                self.set_role_of(index, role);
            }
        }
    }

    /// Sets a user's participants back to the roles of their grants, once no stored role applies.
    pub(super) fn apply_role_of_grant(&mut self, user: &str) {
        for index in 0..self.members.len() {
            if self.members[index].user() == Some(user) {
                let role = rights::highest_role(None, &self.members[index].grant, false);
                self.set_role_of(index, role);
            }
        }
    }

    fn set_role_of(&mut self, index: usize, role: Role) {
        let member = &mut self.members[index];
        let did_moderate = member.standing().moderates;
        if std::mem::replace(&mut member.public.role, role) == role {
            return;
        }
        let participant = member.public.clone();
        self.publish(Event::ParticipantChanged { participant });
        self.update_rights(index);
        self.show();
        if !did_moderate {
            self.tell_who_waits(index);
        }
    }

    pub(super) fn tell_room_changed(&mut self) {
        let room = self.summary();
        self.publish(Event::RoomChanged { room });
        self.count();
    }

    /// Has the store keep a change and its audit entry, after which the moderator receives `done`.
    pub(super) fn keep(
        &mut self,
        now: Moment,
        by: &Moderator,
        action: &'static str,
        change: Option<Change>,
        target: Option<String>,
        detail: Option<String>,
    ) {
        let entry = AuditEntry {
            at: now.utc,
            room: Some(self.config.name.clone()),
            actor: by.name.clone(),
            action: action.to_owned(),
            target,
            detail,
        };
        let keeping = Keeping { change, entry };
        self.effects.push_back(Effect::Keep { from: by.from.clone(), keeping: Box::new(keeping) });
    }
}

fn audit_name(action: ModerateAction) -> &'static str {
    match action {
        ModerateAction::Mute => "mute",
        ModerateAction::StopCamera => "stop_camera",
        _ => "stop_screen",
    }
}

fn role_of(value: Option<&Value>) -> Result<Role, Refusal> {
    let role = value.and_then(|value| serde_json::from_value(value.clone()).ok());
    match role {
        Some(role) => Ok(role),
        None => Err(Refusal::bad_request("the value must be host, speaker or listener")),
    }
}
