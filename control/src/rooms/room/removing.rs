//! Removing people: kick, ban, and ending the room.

use std::sync::Arc;

use jiff::Timestamp;
use madang_wire::request::ModerateAction;
use madang_wire::{Event, LeaveReason, Signal};
use serde_json::Value;

use super::Room;
use super::kept::{Change, MAX_PEOPLE};
use super::moderation::Moderator;
use crate::auth::Grant;
use crate::moment::Moment;
use crate::refusal::Refusal;
use crate::store::Ban;

/// The longest reason that a moderator may give, in characters.
const MAX_REASON_CHARS: usize = 256;

impl Room {
    pub(super) fn kick(
        &mut self,
        now: Moment,
        by: &Moderator,
        whom: Option<&str>,
        value: Option<&Value>,
    ) -> Result<(), Refusal> {
        let index = self.target(by, ModerateAction::Kick, whom)?;
        let reason = reason_of(value)?;
        let grant = Arc::clone(&self.members[index].grant);
        let text = reason.clone().unwrap_or_else(|| "a moderator removed you".to_owned());
        self.expel(index, LeaveReason::Kicked, &text);
        let ban = Ban {
            user: grant.user.clone(),
            token: grant.token_id.clone(),
            until: grant.expires_at,
            reason: reason.clone(),
            by: by.name.clone(),
            at: now.utc,
        };
        self.shut_out(now, by, "kick", &grant, ban, LeaveReason::Kicked, reason)
    }

    pub(super) fn ban(
        &mut self,
        now: Moment,
        by: &Moderator,
        whom: Option<&str>,
        value: Option<&Value>,
    ) -> Result<(), Refusal> {
        let index = self.target(by, ModerateAction::Ban, whom)?;
        let until = until_of(value, now.utc)?;
        let grant = Arc::clone(&self.members[index].grant);
        self.expel(index, LeaveReason::Banned, "a moderator banned you");
        let ban = Ban {
            user: grant.user.clone(),
            token: None,
            until,
            reason: None,
            by: by.name.clone(),
            at: now.utc,
        };
        let detail = until.map(|until| format!("until {until}"));
        self.shut_out(now, by, "ban", &grant, ban, LeaveReason::Banned, detail)
    }

    /// Keeps somebody out after a kick or ban: their token, or their user, no longer opens the room.
    #[expect(clippy::too_many_arguments, reason = "kick and ban differ in each of them")]
    fn shut_out(
        &mut self,
        now: Moment,
        by: &Moderator,
        action: &'static str,
        grant: &Grant,
        ban: Ban,
        reason: LeaveReason,
        detail: Option<String>,
    ) -> Result<(), Refusal> {
        let target = Some(grant.user.clone());
        if grant.is_guest {
            // Each connection is a new guest, so there is nobody to ban; `expel` has turned the session away.
            self.keep(now, by, action, None, target, detail);
            return Ok(());
        }
        let kept = self.kept.add_ban(ban, now.utc);
        self.expel_banned(now, reason);
        let Some(ban) = kept else {
            return Err(Refusal::removed_but_not_banned(MAX_PEOPLE));
        };
        self.keep(now, by, action, Some(Change::Ban(ban)), target, detail);
        Ok(())
    }

    /// Removes everybody whom a ban covers. The same user may be here more than once, or be waiting to enter.
    pub(super) fn expel_banned(&mut self, now: Moment, reason: LeaveReason) {
        let kept = &self.kept;
        let is_banned = |grant: &Grant| kept.ban_of(grant, now.utc).is_some();
        let refused = self.door.take_out(|joiner| is_banned(&joiner.grant));
        while let Some(index) =
            self.members.iter().position(|m| self.kept.ban_of(&m.grant, now.utc).is_some())
        {
            self.expel(index, reason, "a moderator removed you");
        }
        if !refused.is_empty() {
            self.tell_moderators_who_waits();
        }
        for joiner in refused {
            self.tell_refusal(&joiner.from, Err(Refusal::banned(None, None)));
        }
    }

    /// Removes a participant, media first, and sends `kicked` to their session.
    pub(super) fn expel(&mut self, index: usize, reason: LeaveReason, text: &str) {
        let session = self.members[index].session();
        let is_guest = self.members[index].grant.is_guest;
        self.remove_member(index, reason);
        let Some(session) = session else { return };
        if is_guest && reason != LeaveReason::RoomEnded {
            self.door.turn_away(session);
        }
        self.reply(&session.into(), Signal::Kicked { reason: text.to_owned() });
    }

    pub(super) fn end(
        &mut self,
        now: Moment,
        by: &Moderator,
        value: Option<&Value>,
    ) -> Result<(), Refusal> {
        let reason = reason_of(value)?;
        let text = reason.clone().unwrap_or_else(|| "a moderator closed the room".to_owned());
        self.empty(&text);
        self.keep(now, by, "end_room", None, None, reason);
        Ok(())
    }

    /// Removes everybody from the room and from its door.
    pub(super) fn empty(&mut self, reason: &str) {
        self.publish(Event::RoomEnded { reason: reason.to_owned() });
        for joiner in self.door.take_out(|_| true) {
            self.tell_refusal(&joiner.from, Err(Refusal::room_ended(reason)));
        }
        while let Some(index) = self.members.len().checked_sub(1) {
            self.expel(index, LeaveReason::RoomEnded, reason);
        }
    }
}

fn reason_of(value: Option<&Value>) -> Result<Option<String>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= MAX_REASON_CHARS => {
            Ok(Some(text.clone()).filter(|text| !text.is_empty()))
        }
        Some(Value::String(_)) => {
            Err(Refusal::too_long("the reason", MAX_REASON_CHARS, "characters"))
        }
        Some(_) => Err(Refusal::bad_request("the value must be the reason as a string")),
    }
}

fn until_of(value: Option<&Value>, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
    let until = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse::<Timestamp>().ok(),
        Some(_) => None,
    };
    match until.filter(|until| *until > now) {
        Some(until) => Ok(Some(until)),
        None => Err(Refusal::bad_request(
            "the value must be a time in the future, like 2030-01-31T12:00:00Z",
        )),
    }
}
