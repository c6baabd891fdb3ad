//! The rights of a caller in a room.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use madang_wire::{Role, RoomName};

use super::access::Caller;
use super::extract::Room;
use super::problem::Problem;
use super::{Api, admission};
use crate::auth::Grant;
use crate::refusal::Refusal;
use crate::rooms::room::Standing;
use crate::rooms::room::rights::{self, Obstacle};
use crate::store::{RoomRecord, Viewer};

/// The name of the operator in the audit log.
pub(super) const OPERATOR: &str = "api";

/// A caller who has access to a room that exists.
pub(super) struct Visitor {
    /// The name in the audit log.
    pub(super) name: String,
    pub(super) standing: Standing,
    /// The reader of the chat; `None` for the operator, who gets no private messages.
    pub(super) viewer: Option<Viewer>,
    /// The obstacle that keeps the caller from joining the room at once, if any.
    hindrance: Option<Obstacle>,
}

impl Visitor {
    /// Refuses a caller who may not read what participants read. This includes callers who can't join without passing
    /// the room's lock, password or waiting room: they have to join to read.
    pub(super) fn check_reads(&self) -> Result<(), Problem> {
        self.hindrance.map_or(Ok(()), |obstacle| Err(obstacle.refusal().into()))
    }

    /// Whether the caller is this user.
    pub(super) fn is(&self, user: &str) -> bool {
        self.viewer.as_ref().is_some_and(|viewer| viewer.user.as_deref() == Some(user))
    }
}

/// A caller who may moderate the `{room}` in the path. Others are refused before the body is read.
pub(super) struct Moderator {
    pub(super) room: RoomName,
    pub(super) visitor: Visitor,
}

impl FromRequestParts<Arc<Api>> for Moderator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Moderator, Problem> {
        let caller = Caller::from_request_parts(parts, api).await?;
        let Room(room) = Room::from_request_parts(parts, api).await?;
        let visitor = api.visitor(&caller, &room).await?;
        rights::check_moderator(visitor.standing)?;
        Ok(Moderator { room, visitor })
    }
}

impl Api {
    /// Returns the rights of a caller in a room, or refuses a caller without access to it.
    pub(super) async fn visitor(
        &self,
        caller: &Caller,
        room: &RoomName,
    ) -> Result<Visitor, Problem> {
        let grant = match caller {
            Caller::Operator => None,
            Caller::User(grant) => Some(grant),
            Caller::Nobody => {
                return Err(Problem::not_authenticated("this needs an API key or a token"));
            }
        };
        if let Some(grant) = grant {
            rights::check_opens(grant, room)?;
        }
        let Some(record) = self.store.room(room).await? else {
            return Err(Refusal::no_such_room(room).into());
        };
        match grant {
            None => Ok(Visitor {
                name: OPERATOR.to_owned(),
                standing: Standing { role: Role::Host, moderates: true },
                viewer: None,
                hindrance: None,
            }),
            Some(grant) => self.user_at(grant, &record).await,
        }
    }

    async fn user_at(&self, grant: &Grant, record: &RoomRecord) -> Result<Visitor, Problem> {
        let (room, user) = (&record.name, &grant.user);
        let ban = self.store.ban_of(room, user).await?;
        rights::check_not_banned(&ban, grant, admission::now())?;
        let kept = self.store.role_of(room, user).await?;
        let standing = Standing::of(rights::highest_role(kept, grant, false), grant);
        // The caller is no participant, so their private messages are found by the user.
        let viewer = Viewer { participant: String::new(), user: Some(user.clone()) };
        Ok(Visitor {
            name: user.clone(),
            standing,
            viewer: Some(viewer),
            hindrance: rights::obstacle(None, record, standing, grant),
        })
    }
}
