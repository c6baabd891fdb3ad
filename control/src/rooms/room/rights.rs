//! Permissions in a room: the rules, and nothing else.
//!
//! Everything that a room allows or refuses because of somebody's identity is decided here, for participants over STOMP
//! and for callers over REST alike. Four things decide: the role that the room stores for the user, the grant of their
//! token, the room's settings, and who else is in the room.
//!
//! Somebody who wants to enter a room, or to read its chat without entering, passes these checks in this order:
//! [`check_opens`], [`check_not_banned`], then each [`Obstacle`] that [`obstacle`] finds.

use jiff::Timestamp;
use madang_wire::request::ModerateAction;
use madang_wire::{ChatMessage, Role, RoomName, RoomSettings, SourceKind};

use crate::auth::Grant;
use crate::refusal::Refusal;
use crate::store::{Ban, RoomRecord};

/// Somebody's rank in a room: their role, and whether they moderate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) role: Role,
    /// Whether they may moderate.
    pub(crate) moderates: bool,
}

impl Standing {
    /// The standing of a grant's holder in this role. A claim about moderating takes precedence over the role.
    pub(crate) fn of(role: Role, grant: &Grant) -> Standing {
        Standing { role, moderates: grant.moderate.unwrap_or(role == Role::Host) }
    }
}

/// Refuses a grant that does not open the room at all. Checked before a room is looked up, so that nobody opens a room
/// that they may not enter, and again by the room.
pub(crate) fn check_opens(grant: &Grant, room: &RoomName) -> Result<(), Refusal> {
    match grant.opens(room) {
        true => Ok(()),
        false => Err(Refusal::not_opened_by_token(room)),
    }
}

/// The highest role that somebody may have: the one that the room stores for them, otherwise the one in their token.
/// With `opens`, a guest enters an empty room of a server without authentication and becomes its host: somebody must be
/// able to moderate, and without authentication everybody may do everything.
pub(crate) fn highest_role(kept: Option<Role>, grant: &Grant, opens: bool) -> Role {
    match kept.filter(|_| !grant.is_guest).or(grant.role) {
        Some(role) => role,
        None if grant.is_guest && opens => Role::Host,
        None => Role::Speaker,
    }
}

/// Whether the first guest in an empty room may become its host. A lock and a waiting room stay in force when everybody
/// has left: a host who came from nowhere would lift them.
pub(super) fn may_have_guest_as_host(record: &RoomRecord) -> bool {
    !record.is_locked && !record.settings.waiting_room
}

/// The role of a joiner: the requested one, which must not be higher than `highest`, or else `highest`.
pub(super) fn role_of(highest: Role, asked: Option<Role>) -> Result<Role, Refusal> {
    match asked {
        Some(asked) if rank(asked) > rank(highest) => Err(Refusal::role_too_high(name(asked))),
        Some(asked) => Ok(asked),
        None => Ok(highest),
    }
}

/// The lower of two roles.
pub(super) fn lower(one: Role, other: Role) -> Role {
    if rank(one) < rank(other) { one } else { other }
}

/// Whether somebody may publish a source.
pub(super) fn may_publish(
    role: Role,
    grant: &Grant,
    settings: &RoomSettings,
    source: SourceKind,
) -> bool {
    settings.publishers.include(role) && grant.lets_publish(source)
}

/// The obstacles that keep somebody out of a room that their token opens, in the order of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Obstacle {
    Lock,
    Password,
    WaitingRoom,
}

impl Obstacle {
    const ALL: [Obstacle; 3] = [Obstacle::Lock, Obstacle::Password, Obstacle::WaitingRoom];

    /// The refusal for somebody whom this obstacle stops.
    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Obstacle::Lock => Refusal::locked(),
            Obstacle::Password => Refusal::password_required(),
            Obstacle::WaitingRoom => Refusal::waiting(),
        }
    }

    /// Whether this obstacle stops somebody; `highest` is the standing by their highest role.
    fn stops(self, record: &RoomRecord, highest: Standing, grant: &Grant) -> bool {
        match self {
            Obstacle::Lock => record.is_locked && !walks_in(highest),
            Obstacle::Password => record.password_hash.is_some() && needs_password(highest, grant),
            Obstacle::WaitingRoom => record.settings.waiting_room && !walks_in(highest),
        }
    }
}

/// The first obstacle after `passed` that stops somebody; `highest` is the standing by their highest role.
pub(crate) fn obstacle(
    passed: Option<Obstacle>,
    record: &RoomRecord,
    highest: Standing,
    grant: &Grant,
) -> Option<Obstacle> {
    let ahead = |obstacle: &Obstacle| passed.is_none_or(|passed| *obstacle > passed);
    let stops = |obstacle: &Obstacle| obstacle.stops(record, highest, grant);
    Obstacle::ALL.into_iter().filter(ahead).find(stops)
}

/// Whether somebody may pass a lock and skip the waiting room.
fn walks_in(highest: Standing) -> bool {
    highest.moderates || highest.role == Role::Host
}

/// Whether somebody needs the room's password, if it has one. Guests always do: a guest is host only by arriving first,
/// which proves nothing.
fn needs_password(highest: Standing, grant: &Grant) -> bool {
    grant.is_guest || highest.role != Role::Host
}

/// Refuses the holder of a grant that one of the bans keeps out.
pub(crate) fn check_not_banned<'a>(
    bans: impl IntoIterator<Item = &'a Ban>,
    grant: &Grant,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Some(ban) = ban_of(bans, grant, now) else {
        return Ok(());
    };
    Err(Refusal::banned(ban.until, ban.reason.as_deref()))
}

/// The first ban that keeps out the holder of this grant.
pub(super) fn ban_of<'a>(
    bans: impl IntoIterator<Item = &'a Ban>,
    grant: &Grant,
    now: Timestamp,
) -> Option<&'a Ban> {
    bans.into_iter().find(|ban| is_active(ban, now) && concerns(ban, grant))
}

/// Whether a ban covers the holder of this grant. A guest has no name that could be banned.
fn concerns(ban: &Ban, grant: &Grant) -> bool {
    let same_token = ban.token.is_none() || ban.token == grant.token_id;
    !grant.is_guest && ban.user == grant.user && same_token
}

/// Whether a ban has not expired.
pub(super) fn is_active(ban: &Ban, now: Timestamp) -> bool {
    ban.until.is_none_or(|until| until > now)
}

/// Whether a participant may read a chat message: everybody may read a public one, only author and addressee a private
/// one. The store applies the same rule in its queries; see `VISIBLE` in `store/chat.rs`.
pub(super) fn may_read(participant: Option<&str>, message: &ChatMessage) -> bool {
    let Some(to) = message.to.as_deref() else {
        return true;
    };
    participant.is_some_and(|id| id == to || id == message.from.id)
}

/// Whether somebody may delete a chat message: authors may delete their own, moderators every public one.
pub(crate) fn may_delete(is_author: bool, moderates: bool, message: &ChatMessage) -> bool {
    is_author || (moderates && message.to.is_none())
}

/// Refuses chat when it is off, except for moderators.
pub(super) fn check_chat(who: Standing, settings: &RoomSettings) -> Result<(), Refusal> {
    if settings.chat || who.moderates {
        return Ok(());
    }
    Err(Refusal::chat_off())
}

/// Refuses an action to anybody who does not moderate. Deleting a message passes, because authors may delete their own;
/// [`may_delete`] decides once the message is loaded.
pub(super) fn check_moderates(who: Standing, action: ModerateAction) -> Result<(), Refusal> {
    match action {
        ModerateAction::DeleteMessage => Ok(()),
        _ => check_moderator(who),
    }
}

/// Refuses anybody who does not moderate.
pub(crate) fn check_moderator(who: Standing) -> Result<(), Refusal> {
    if who.moderates {
        return Ok(());
    }
    Err(Refusal::moderators_only())
}

/// Whether a moderator may act on somebody: only hosts may act on hosts, and nobody may remove themself.
pub(super) fn check_acts_on(
    who: Standing,
    on: Standing,
    is_self: bool,
    action: ModerateAction,
) -> Result<(), Refusal> {
    let removes = matches!(action, ModerateAction::Kick | ModerateAction::Ban);
    if is_self && removes {
        return Err(Refusal::removes_self());
    }
    if on.role == Role::Host && who.role != Role::Host {
        return Err(Refusal::acts_on_host());
    }
    Ok(())
}

/// Whether a moderator may give somebody a role: only hosts may make somebody a host.
pub(super) fn check_gives(who: Standing, role: Role) -> Result<(), Refusal> {
    if role == Role::Host && who.role != Role::Host {
        return Err(Refusal::makes_host());
    }
    Ok(())
}

fn rank(role: Role) -> u8 {
    match role {
        Role::Listener => 0,
        Role::Speaker => 1,
        Role::Host => 2,
    }
}

/// The role's name on the wire.
pub(super) fn name(role: Role) -> &'static str {
    match role {
        Role::Host => "host",
        Role::Speaker => "speaker",
        Role::Listener => "listener",
    }
}
