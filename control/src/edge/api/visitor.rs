//! What somebody is to a room.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use madang_wire::{ErrorCode, Role, RoomName};

use super::access::Caller;
use super::extract::Room;
use super::problem::Problem;
use super::{Api, admission};
use crate::auth::Grant;
use crate::rooms::room::Standing;
use crate::rooms::room::rights::{self, Obstacle};
use crate::store::{RoomRecord, Viewer};

/// What the operator is called in the record of moderation.
pub(super) const OPERATOR: &str = "api";

/// Somebody before a room that is there, and open to them.
pub(super) struct Visitor {
    /// For the record of moderation.
    pub(super) name: String,
    pub(super) standing: Standing,
    /// Who they are to the chat; None for the operator, to whom private messages are not shown.
    pub(super) viewer: Option<Viewer>,
    /// Why they could not just walk in, if that is so.
    hindrance: Option<Obstacle>,
}

impl Visitor {
    /// Refuses whoever may not read what participants read. A room's password, lock and waiting room count here too: those
    /// who would have to pass them are asked to come in and read there.
    pub(super) fn check_reads(&self) -> Result<(), Problem> {
        self.hindrance.map_or(Ok(()), |obstacle| Err(obstacle.refusal().into()))
    }

    /// Whether they are this user.
    pub(super) fn is(&self, user: &str) -> bool {
        self.viewer.as_ref().is_some_and(|viewer| viewer.user.as_deref() == Some(user))
    }
}

/// Somebody who may moderate the `{room}` of the path. Everybody else is refused before the body is read.
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
    /// What somebody is to a room.
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
            let message = format!("there is no room {room}");
            return Err(Problem::new(ErrorCode::NoSuchRoom, message));
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
        // Participants have ids of their own; what was private to one is found by its user.
        let viewer = Viewer { participant: String::new(), user: Some(user.clone()) };
        Ok(Visitor {
            name: user.clone(),
            standing,
            viewer: Some(viewer),
            hindrance: rights::obstacle(None, record, standing, grant),
        })
    }
}
