//! Requests to a room over REST. A room is the only writer of its stored state, so these requests go through the room
//! whether or not somebody is in it.

use jiff::Timestamp;
use madang_wire::request::{Moderate, ModerateAction};
use madang_wire::{LeaveReason, Participant, Role, Waiting};
use serde_json::{Map, Value};

use super::kept::{Change, MAX_PEOPLE};
use super::member::Member;
use super::moderation::Moderator;
use super::rights::{self, Standing};
use super::{Effect, Room};
use crate::moment::Moment;
use crate::refusal::Refusal;
use crate::store::{Ban, RoomRecord};

/// A request over REST.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The caller's name, for the audit log.
    pub(crate) by: String,
    /// The calling user; `None` for an operator.
    pub(crate) user: Option<String>,
    pub(crate) standing: Standing,
    pub(crate) request: AdminRequest,
}

impl Admin {
    /// A request of an operator, who may do everything. `by` is the name for the audit log.
    pub fn operator(by: &str, request: AdminRequest) -> Admin {
        let standing = Standing { role: Role::Host, moderates: true };
        Admin { by: by.to_owned(), user: None, standing, request }
    }
}

/// The requests that a room takes over REST.
#[derive(Clone, Debug)]
pub enum AdminRequest {
    /// Return the room's state and who is in it.
    State,
    /// Change the room's configuration.
    Configure(Configure),
    /// Moderate.
    Moderate(Moderate),
    /// Store a role for a user, or remove the stored one.
    SetRole {
        /// The user who gets the role.
        user: String,
        /// `None`: the role in the user's token applies again.
        role: Option<Role>,
    },
    /// Ban a user.
    Ban {
        /// The user to ban.
        user: String,
        /// `None`: permanently.
        until: Option<Timestamp>,
        /// The reason, for people.
        reason: Option<String>,
    },
    /// Lift a user's ban.
    Unban {
        /// The banned user.
        user: String,
    },
    /// End the room and delete everything stored about it.
    Delete,
}

/// Changes to a room's configuration; `None` leaves a part as it is.
#[derive(Clone, Debug, Default)]
pub struct Configure {
    /// The settings that change; see [`RoomSettings::patched`](madang_wire::RoomSettings::patched).
    pub settings: Option<Map<String, Value>>,
    /// Whether only hosts and moderators may enter.
    pub is_locked: Option<bool>,
    /// A hash from [`Hub::hash_password`](crate::hub::Hub::hash_password); `Some(None)` removes the password.
    pub password_hash: Option<Option<String>>,
}

/// A room's answer to a request over REST.
#[derive(Clone, Debug, PartialEq)]
pub enum AdminReply {
    /// The answer to [`AdminRequest::State`].
    State(Box<RoomState>),
    /// The request is carried out and stored.
    Done,
}

/// A room as operators see it.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomState {
    /// The stored record, with an up-to-date `last_seq`.
    pub record: RoomRecord,
    /// In join order.
    pub participants: Vec<Participant>,
    /// In order of arrival.
    pub waiting: Vec<Waiting>,
    /// Stored roles, sorted by user.
    pub roles: Vec<(String, Role)>,
    /// May include bans that have expired.
    pub bans: Vec<Ban>,
}

impl Room {
    /// Handles a request over REST. Changes to store become effects without a recipient; send the returned reply only
    /// after they are carried out.
    pub(crate) fn handle_admin(
        &mut self,
        now: Moment,
        admin: Admin,
    ) -> Result<AdminReply, Refusal> {
        let Admin { by, user, standing, request } = admin;
        let by = Moderator { name: by, participant: None, user, standing, from: None };
        match request {
            AdminRequest::State => return Ok(AdminReply::State(Box::new(self.state()))),
            AdminRequest::Configure(configure) => self.configure(now, &by, configure)?,
            AdminRequest::Moderate(moderate) => self.moderate(now, &by, moderate)?,
            AdminRequest::SetRole { user, role } => self.keep_role(now, &by, user, role)?,
            AdminRequest::Ban { user, until, reason } => {
                self.ban_user(now, &by, user, until, reason)?;
            }
            AdminRequest::Unban { user } => {
                self.kept.bans.retain(|ban| ban.user != user);
                let change = Some(Change::Unban { user: user.clone() });
                self.keep(now, &by, "unban", change, Some(user), None);
            }
            AdminRequest::Delete => {
                self.empty("the room was deleted");
                self.effects.push_back(Effect::DeleteRoom);
                self.keep(now, &by, "delete_room", None, None, None);
            }
        }
        self.tell_news(now.instant);
        Ok(AdminReply::Done)
    }

    fn state(&self) -> RoomState {
        let mut roles: Vec<_> =
            self.kept.roles.iter().map(|(user, role)| (user.clone(), *role)).collect();
        roles.sort_by(|(one, _), (other, _)| one.cmp(other));
        RoomState {
            record: RoomRecord { last_seq: self.chat_seq, ..self.kept.record.clone() },
            participants: self.members.iter().map(|member| member.public.clone()).collect(),
            waiting: self.door.list(),
            roles,
            bans: self.kept.bans.clone(),
        }
    }

    fn configure(
        &mut self,
        now: Moment,
        by: &Moderator,
        configure: Configure,
    ) -> Result<(), Refusal> {
        let Configure { settings, is_locked, password_hash } = configure;
        let record = &mut self.kept.record;
        let detail = details(settings.is_some(), is_locked, password_hash.as_ref());
        if let Some(patch) = settings {
            let patched = record.settings.patched(&patch);
            record.settings = patched.map_err(Refusal::bad_request)?;
        }
        record.is_locked = is_locked.unwrap_or(record.is_locked);
        if let Some(hash) = password_hash {
            record.password_hash = hash;
        }
        let record = record.clone();
        self.keep(now, by, "configure", Some(Change::Record(record)), None, Some(detail));
        self.tell_room_changed();
        for index in 0..self.members.len() {
            self.update_rights(index);
        }
        self.show();
        self.open_waiting_room(now);
        Ok(())
    }

    /// Once the waiting room is off, admits everyone who waits, up to the room's limit, and refuses the rest.
    fn open_waiting_room(&mut self, now: Moment) {
        if self.kept.record.settings.waiting_room {
            return;
        }
        while self.check_space().is_ok()
            && let Some(joiner) = self.door.take_first()
        {
            self.let_in(now, joiner);
        }
        if let Err(full) = self.check_space() {
            while let Some(joiner) = self.door.take_first() {
                self.tell_refusal(&joiner.from, Err(full.clone()));
            }
        }
    }

    /// Checks whether the caller may act on a user: the rule for participants, applied to what the room knows of the
    /// user.
    fn check_user(
        &self,
        by: &Moderator,
        user: &str,
        action: ModerateAction,
    ) -> Result<(), Refusal> {
        let is_self = by.is_user(user);
        let is_here_as_host =
            |member: &Member| member.user() == Some(user) && member.public.role == Role::Host;
        let is_host = self.kept.roles.get(user) == Some(&Role::Host)
            || self.members.iter().any(is_here_as_host);
        let role = if is_host { Role::Host } else { Role::Speaker };
        let user = Standing { role, moderates: is_host };
        rights::check_acts_on(by.standing, user, is_self, action)
    }

    fn keep_role(
        &mut self,
        now: Moment,
        by: &Moderator,
        user: String,
        role: Option<Role>,
    ) -> Result<(), Refusal> {
        self.check_user(by, &user, ModerateAction::SetRole)?;
        if let Some(role) = role {
            rights::check_gives(by.standing, role)?;
        }
        if !self.kept.set_role(&user, role) {
            return Err(Refusal::too_many_kept(MAX_PEOPLE, "roles"));
        }
        match role {
            Some(role) => self.apply_role(&user, role),
            None => self.apply_role_of_grant(&user),
        }
        let detail = role.map(|role| rights::name(role).to_owned());
        let change = Some(Change::Role { user: user.clone(), role });
        self.keep(now, by, "set_role", change, Some(user), detail);
        Ok(())
    }

    fn ban_user(
        &mut self,
        now: Moment,
        by: &Moderator,
        user: String,
        until: Option<Timestamp>,
        reason: Option<String>,
    ) -> Result<(), Refusal> {
        self.check_user(by, &user, ModerateAction::Ban)?;
        let detail = reason.clone();
        let ban = Ban {
            user: user.clone(),
            token: None,
            until,
            reason,
            by: by.name.clone(),
            at: now.utc,
        };
        let Some(ban) = self.kept.add_ban(ban, now.utc) else {
            return Err(Refusal::too_many_kept(MAX_PEOPLE, "bans"));
        };
        self.expel_banned(now, LeaveReason::Banned);
        self.keep(now, by, "ban", Some(Change::Ban(ban)), Some(user), detail);
        Ok(())
    }
}

/// The audit log's detail for a configuration change: which parts changed, without secrets.
fn details(
    has_settings: bool,
    is_locked: Option<bool>,
    password: Option<&Option<String>>,
) -> String {
    let parts = [
        has_settings.then_some("settings"),
        is_locked.map(|is_locked| if is_locked { "locked" } else { "unlocked" }),
        password.map(|hash| if hash.is_some() { "password" } else { "no password" }),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
