//! Who may do what in a room: the rules, and nothing else.
//!
//! Everything that a room allows or refuses by who somebody is goes through here. Four things decide: the role that
//! the room keeps for a user, what their token grants, how the room is set, and who else is in it.

use madang_wire::request::ModerateAction;
use madang_wire::{ErrorCode, Role, RoomName, RoomSettings, SourceKind};

use crate::auth::Grant;
use crate::refusal::{Refusal, refuse};

/// What somebody is to others in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) role: Role,
    /// Whether they may moderate.
    pub(crate) moderates: bool,
}

impl Standing {
    /// Of whoever holds the grant in this role: a claim about moderating wins over the role.
    pub(crate) fn of(role: Role, grant: &Grant) -> Standing {
        Standing { role, moderates: grant.moderate.unwrap_or(role == Role::Host) }
    }
}

/// Whether a grant opens the room at all. Asked before a room is looked for, so that nobody opens one who must not enter,
/// and by the room.
pub(crate) fn check_opens(grant: &Grant, room: &RoomName) -> Result<(), Refusal> {
    match grant.opens(room) {
        true => Ok(()),
        false => refuse(ErrorCode::NotAllowed, format!("your token does not open the room {room}")),
    }
}

/// The highest role that somebody may have: the one that the room keeps for them, or else the one that their token
/// names. `opens` says that a guest comes into an empty room of a server without authentication: they are its host,
/// because somebody must be able to moderate, and there everybody may do everything.
pub(crate) fn highest_role(kept: Option<Role>, grant: &Grant, opens: bool) -> Role {
    match kept.filter(|_| !grant.is_guest).or(grant.role) {
        Some(role) => role,
        None if grant.is_guest && opens => Role::Host,
        None => Role::Speaker,
    }
}

/// The role of one who joins: less than the highest may be asked for, never more.
pub(super) fn role_of(highest: Role, asked: Option<Role>) -> Result<Role, Refusal> {
    match asked {
        Some(asked) if rank(asked) > rank(highest) => {
            let message = format!("you may not be {} here", name(asked));
            refuse(ErrorCode::NotAllowed, message)
        }
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

/// Whether a lock or a waiting room lets somebody pass whose standing by their highest role is this.
pub(crate) fn walks_in(highest: Standing) -> bool {
    highest.moderates || highest.role == Role::Host
}

/// Whether somebody needs the room's password, if it has one. Guests always do: being a host by coming first is
/// nothing that they have shown.
pub(crate) fn needs_password(highest: Standing, grant: &Grant) -> bool {
    grant.is_guest || highest.role != Role::Host
}

/// Chat may be off for all but moderators.
pub(super) fn check_chat(who: Standing, settings: &RoomSettings) -> Result<(), Refusal> {
    if settings.chat || who.moderates {
        return Ok(());
    }
    refuse(ErrorCode::NotAllowed, "the chat of this room is off")
}

/// Whether somebody may moderate at all. Authors may delete what they wrote; that is decided with the message in hand.
pub(super) fn check_moderates(who: Standing, action: ModerateAction) -> Result<(), Refusal> {
    if who.moderates || action == ModerateAction::DeleteMessage {
        return Ok(());
    }
    refuse(ErrorCode::NotAllowed, "only hosts and moderators of this room may do that")
}

/// Whether a moderator may do something to somebody: a moderator who is not a host does nothing to hosts, and nobody
/// removes themself.
pub(super) fn check_acts_on(
    who: Standing,
    on: Standing,
    is_self: bool,
    action: ModerateAction,
) -> Result<(), Refusal> {
    let removes = matches!(action, ModerateAction::Kick | ModerateAction::Ban);
    if is_self && removes {
        return refuse(ErrorCode::NotAllowed, "nobody removes themself; leave instead");
    }
    if on.role == Role::Host && who.role != Role::Host {
        return refuse(ErrorCode::NotAllowed, "only hosts act on hosts");
    }
    Ok(())
}

/// Whether a moderator may give somebody a role: only hosts make hosts.
pub(super) fn check_gives(who: Standing, role: Role) -> Result<(), Refusal> {
    if role == Role::Host && who.role != Role::Host {
        return refuse(ErrorCode::NotAllowed, "only hosts make hosts");
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

/// As in the messages.
pub(super) fn name(role: Role) -> &'static str {
    match role {
        Role::Host => "host",
        Role::Speaker => "speaker",
        Role::Listener => "listener",
    }
}
