//! Who is in a room, who has a role there, who may not come in.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use madang_wire::request::Moderate;
use madang_wire::{Participant, Role, RoomName, Waiting};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::access::Caller;
use super::extract::{Json, Room, User, check_id};
use super::problem::Problem;
use super::visitor::{Moderator, Visitor};
use crate::rooms::room::{Admin, AdminRequest};
use crate::store;

/// The longest reason, in bytes.
const LONGEST_REASON: usize = 1_024;

/// Who is in a room at the moment.
#[derive(Serialize, ToSchema)]
pub(super) struct People {
    /// In the order in which they came.
    participants: Vec<Participant>,
    /// Those who wait to be let in; for moderators alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<Vec<Waiting>>,
}

/// The roles that a room keeps.
#[derive(Serialize, ToSchema)]
pub(super) struct Roles {
    /// In the order of the users.
    roles: Vec<RoleOf>,
}

/// The role that a room keeps for a user.
#[derive(Serialize, ToSchema)]
pub(super) struct RoleOf {
    /// The `sub` of their tokens.
    user: String,
    role: Role,
}

/// A role.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewRole {
    role: Role,
}

/// The bans of a room.
#[derive(Serialize, ToSchema)]
pub(super) struct Bans {
    /// In the order of the users. Past ones may be among them.
    bans: Vec<Ban>,
}

/// A user who may not come in.
#[derive(Serialize, ToSchema)]
pub(super) struct Ban {
    /// The `sub` of their tokens.
    user: String,
    /// The id (`jti`) of the one token that it is about; absent when it is about all of the user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// When it ends; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Who banned them.
    by: String,
    /// Since when.
    at: Timestamp,
}

/// A ban to be.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewBan {
    /// The `sub` of their tokens.
    #[schema(max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]{1,128}$")]
    user: String,
    /// When it ends; never when left out.
    #[serde(default)]
    until: Option<Timestamp>,
    #[serde(default)]
    #[schema(max_length = 256)]
    reason: Option<String>,
}

/// Who is in a room.
#[utoipa::path(
    get,
    path = "/rooms/{room}/participants",
    operation_id = "list_participants",
    tag = "people",
    params(("room" = RoomName, Path)),
    responses((status = 200, description = "Who is in it", body = People), Problem)
)]
pub(super) async fn participants(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Room(room): Room,
) -> Result<JsonBody<People>, Problem> {
    let visitor = api.visitor(&caller, &room).await?;
    visitor.check_reads()?;
    let state = api.state(&room).await?;
    let waiting = visitor.standing.moderates.then_some(state.waiting);
    Ok(JsonBody(People { participants: state.participants, waiting }))
}

/// Acts as a moderator: the same actions as over STOMP. The record of moderation names the token's user, or `api`.
#[utoipa::path(
    post,
    path = "/rooms/{room}/moderation",
    operation_id = "moderate",
    tag = "people",
    params(("room" = RoomName, Path)),
    request_body = Moderate,
    responses((status = 204, description = "It is done"), Problem)
)]
pub(super) async fn moderate(
    State(api): State<Arc<Api>>,
    Moderator { room, visitor }: Moderator,
    Json(moderate): Json<Moderate>,
) -> Result<StatusCode, Problem> {
    api.ask(&room, &visitor, AdminRequest::Moderate(moderate)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The roles that a room keeps, which win over those in tokens. For moderators.
#[utoipa::path(
    get,
    path = "/rooms/{room}/roles",
    operation_id = "list_roles",
    tag = "people",
    params(("room" = RoomName, Path)),
    responses((status = 200, description = "The roles", body = Roles), Problem)
)]
pub(super) async fn roles(
    State(api): State<Arc<Api>>,
    Moderator { room, .. }: Moderator,
) -> Result<JsonBody<Roles>, Problem> {
    let roles = api.store.roles(&room).await?.into_iter();
    Ok(JsonBody(Roles { roles: roles.map(|(user, role)| RoleOf { user, role }).collect() }))
}

/// Keeps a role for a user, from here on and for those who are in the room. For moderators; only hosts make hosts.
#[utoipa::path(
    put,
    path = "/rooms/{room}/roles/{user}",
    operation_id = "set_role",
    tag = "people",
    params(("room" = RoomName, Path), ("user" = String, Path, description = "The `sub` of their tokens", max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]{1,128}$")),
    request_body = NewRole,
    responses((status = 204, description = "It is done"), Problem)
)]
pub(super) async fn set_role(
    State(api): State<Arc<Api>>,
    Moderator { room, visitor }: Moderator,
    User(user): User,
    Json(NewRole { role }): Json<NewRole>,
) -> Result<StatusCode, Problem> {
    api.ask(&room, &visitor, AdminRequest::SetRole { user, role: Some(role) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Keeps no role for a user any more: that of their token counts again. For moderators.
#[utoipa::path(
    delete,
    path = "/rooms/{room}/roles/{user}",
    operation_id = "clear_role",
    tag = "people",
    params(("room" = RoomName, Path), ("user" = String, Path, description = "The `sub` of their tokens", max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]{1,128}$")),
    responses((status = 204, description = "It is done"), Problem)
)]
pub(super) async fn clear_role(
    State(api): State<Arc<Api>>,
    Moderator { room, visitor }: Moderator,
    User(user): User,
) -> Result<StatusCode, Problem> {
    if api.store.role_of(&room, &user).await?.is_none() {
        return Err(Problem::not_found("the room keeps no role for this user"));
    }
    api.ask(&room, &visitor, AdminRequest::SetRole { user, role: None }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who may not come in. For moderators.
#[utoipa::path(
    get,
    path = "/rooms/{room}/bans",
    operation_id = "list_bans",
    tag = "people",
    params(("room" = RoomName, Path)),
    responses((status = 200, description = "The bans", body = Bans), Problem)
)]
pub(super) async fn bans(
    State(api): State<Arc<Api>>,
    Moderator { room, .. }: Moderator,
) -> Result<JsonBody<Bans>, Problem> {
    let bans = api.store.bans(&room).await?.into_iter().map(|ban| {
        let store::Ban { user, token, until, reason, by, at } = ban;
        Ban { user, token, until, reason, by, at }
    });
    Ok(JsonBody(Bans { bans: bans.collect() }))
}

/// Keeps a user out, and removes them if they are in. For moderators.
#[utoipa::path(
    post,
    path = "/rooms/{room}/bans",
    operation_id = "ban",
    tag = "people",
    params(("room" = RoomName, Path)),
    request_body = NewBan,
    responses((status = 204, description = "It is done"), Problem)
)]
pub(super) async fn ban(
    State(api): State<Arc<Api>>,
    Moderator { room, visitor }: Moderator,
    Json(NewBan { user, until, reason }): Json<NewBan>,
) -> Result<StatusCode, Problem> {
    check_id("user", &user)?;
    if reason.as_ref().is_some_and(|reason| reason.len() > LONGEST_REASON) {
        return Err(Problem::bad_request(format!("a reason has at most {LONGEST_REASON} bytes")));
    }
    api.ask(&room, &visitor, AdminRequest::Ban { user, until, reason }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a user in again. For moderators.
#[utoipa::path(
    delete,
    path = "/rooms/{room}/bans/{user}",
    operation_id = "unban",
    tag = "people",
    params(("room" = RoomName, Path), ("user" = String, Path, description = "The `sub` of their tokens", max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]{1,128}$")),
    responses((status = 204, description = "It is done"), Problem)
)]
pub(super) async fn unban(
    State(api): State<Arc<Api>>,
    Moderator { room, visitor }: Moderator,
    User(user): User,
) -> Result<StatusCode, Problem> {
    if api.store.ban_of(&room, &user).await?.is_none() {
        return Err(Problem::not_found("this user is not banned"));
    }
    api.ask(&room, &visitor, AdminRequest::Unban { user }).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Api {
    /// Has a room do something.
    pub(super) async fn ask(
        &self,
        room: &RoomName,
        visitor: &Visitor,
        request: AdminRequest,
    ) -> Result<(), Problem> {
        let Visitor { name, standing, viewer, .. } = visitor;
        let user = viewer.as_ref().and_then(|viewer| viewer.user.clone());
        let admin = Admin { by: name.clone(), user, standing: *standing, request };
        self.hub.ask_room(room, admin).await?;
        Ok(())
    }
}
