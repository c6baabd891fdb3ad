//! The people of a room: participants, moderation, roles and bans.

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

/// Maximum length of the reason for a ban, in bytes.
const LONGEST_REASON: usize = 1_024;

/// The people in a room at the moment.
#[derive(Serialize, ToSchema)]
pub(super) struct People {
    /// In the order in which they joined.
    participants: Vec<Participant>,
    /// The people in the waiting room; only moderators get them.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<Vec<Waiting>>,
}

/// The roles stored in a room.
#[derive(Serialize, ToSchema)]
pub(super) struct Roles {
    /// Sorted by user.
    roles: Vec<RoleOf>,
}

/// The role stored for a user.
#[derive(Serialize, ToSchema)]
pub(super) struct RoleOf {
    /// The `sub` of their tokens.
    user: String,
    role: Role,
}

/// The role to store.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewRole {
    role: Role,
}

/// The bans of a room.
#[derive(Serialize, ToSchema)]
pub(super) struct Bans {
    /// Sorted by user. May contain bans that have ended.
    bans: Vec<Ban>,
}

/// A banned user.
#[derive(Serialize, ToSchema)]
pub(super) struct Ban {
    /// The `sub` of their tokens.
    user: String,
    /// The id (`jti`) of the banned token; absent if all tokens of the user are banned.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// When the ban ends; absent if it never ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The moderator who banned the user.
    by: String,
    /// When the user was banned.
    at: Timestamp,
}

/// The ban to make.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewBan {
    /// The `sub` of their tokens.
    #[schema(max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]{1,128}$")]
    user: String,
    /// When the ban ends. If left out, it never ends.
    #[serde(default)]
    until: Option<Timestamp>,
    #[serde(default)]
    #[schema(max_length = 256)]
    reason: Option<String>,
}

/// Lists the people in a room.
#[utoipa::path(
    get,
    path = "/rooms/{room}/participants",
    operation_id = "list_participants",
    tag = "people",
    params(("room" = RoomName, Path)),
    responses((status = 200, description = "The people in the room", body = People), Problem)
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

/// Carries out an action of a moderator.
///
/// The actions are those of STOMP. The audit log names the token's user, or `api` for an API key.
#[utoipa::path(
    post,
    path = "/rooms/{room}/moderation",
    operation_id = "moderate",
    tag = "people",
    params(("room" = RoomName, Path)),
    request_body = Moderate,
    responses((status = 204, description = "The action was carried out"), Problem)
)]
pub(super) async fn moderate(
    State(api): State<Arc<Api>>,
    Moderator { room, visitor }: Moderator,
    Json(moderate): Json<Moderate>,
) -> Result<StatusCode, Problem> {
    api.ask(&room, &visitor, AdminRequest::Moderate(moderate)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the roles stored in a room.
///
/// A stored role takes precedence over the one in a token. For moderators.
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

/// Stores a role for a user.
///
/// The role also applies to the user's participants who are in the room. For moderators; only hosts
/// can make others host.
#[utoipa::path(
    put,
    path = "/rooms/{room}/roles/{user}",
    operation_id = "set_role",
    tag = "people",
    params(
        ("room" = RoomName, Path),
        (
            "user" = String,
            Path,
            description = "The `sub` of their tokens",
            max_length = 128,
            pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]{1,128}$"
        )
    ),
    request_body = NewRole,
    responses((status = 204, description = "The role is stored"), Problem)
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

/// Removes the role stored for a user.
///
/// The role in the user's token applies again. For moderators.
#[utoipa::path(
    delete,
    path = "/rooms/{room}/roles/{user}",
    operation_id = "clear_role",
    tag = "people",
    params(
        ("room" = RoomName, Path),
        (
            "user" = String,
            Path,
            description = "The `sub` of their tokens",
            max_length = 128,
            pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]{1,128}$"
        )
    ),
    responses((status = 204, description = "The role is removed"), Problem)
)]
pub(super) async fn clear_role(
    State(api): State<Arc<Api>>,
    Moderator { room, visitor }: Moderator,
    User(user): User,
) -> Result<StatusCode, Problem> {
    if api.store.role_of(&room, &user).await?.is_none() {
        return Err(Problem::not_found("the room has no role stored for this user"));
    }
    api.ask(&room, &visitor, AdminRequest::SetRole { user, role: None }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the bans of a room.
///
/// For moderators.
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

/// Bans a user from a room.
///
/// Removes the user's participants from the room and refuses further ones. For moderators.
#[utoipa::path(
    post,
    path = "/rooms/{room}/bans",
    operation_id = "ban",
    tag = "people",
    params(("room" = RoomName, Path)),
    request_body = NewBan,
    responses((status = 204, description = "The user is banned"), Problem)
)]
pub(super) async fn ban(
    State(api): State<Arc<Api>>,
    Moderator { room, visitor }: Moderator,
    Json(NewBan { user, until, reason }): Json<NewBan>,
) -> Result<StatusCode, Problem> {
    check_id("user", &user)?;
    if reason.as_ref().is_some_and(|reason| reason.len() > LONGEST_REASON) {
        return Err(Problem::bad_request(format!(
            "reason must have at most {LONGEST_REASON} bytes"
        )));
    }
    api.ask(&room, &visitor, AdminRequest::Ban { user, until, reason }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lifts the bans of a user.
///
/// For moderators.
#[utoipa::path(
    delete,
    path = "/rooms/{room}/bans/{user}",
    operation_id = "unban",
    tag = "people",
    params(
        ("room" = RoomName, Path),
        (
            "user" = String,
            Path,
            description = "The `sub` of their tokens",
            max_length = 128,
            pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]{1,128}$"
        )
    ),
    responses((status = 204, description = "The user is not banned any more"), Problem)
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
    /// Sends a request to a room and waits until the room has carried it out.
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
