//! Rooms: listing, creating, changing and deleting them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use jiff::Timestamp;
use madang_wire::{ErrorCode, RoomName, RoomSettings, RoomSummary, Secret};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::extract::{Json, Query, Room, page_size};
use super::problem::Problem;
use super::visitor::{Moderator, OPERATOR};
use super::{Api, admission, link};
use crate::auth::Scope;
use crate::rooms::room::{Admin, AdminReply, AdminRequest, Configure, RoomState};
use crate::store::{AuditEntry, RoomRecord};

/// Default number of rooms on a page of the list.
const USUAL_PAGE: u32 = 100;
const MOST_PER_PAGE: u32 = 1_000;

/// A room.
#[derive(Serialize, ToSchema)]
pub(super) struct RoomView {
    name: RoomName,
    /// Number of participants at the moment.
    participants: u32,
    /// Number of people in the waiting room.
    waiting: u32,
    /// When it was created.
    created_at: Timestamp,
    /// The user who created it; absent if a guest did, or if it was created over REST.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    /// Whether the room is locked: only hosts and moderators can join.
    locked: bool,
    /// Whether participants need a password to join.
    has_password: bool,
    settings: RoomSettings,
    /// `seq` of the last chat message; 0 if there was none.
    chat_seq: u64,
}

/// A page of rooms, sorted by name.
#[derive(Serialize, ToSchema)]
pub(super) struct RoomPage {
    rooms: Vec<RoomSummary>,
    /// `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<RoomName>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RoomsQuery {
    /// Only rooms that come after this one in the order of names.
    after: Option<RoomName>,
    /// Maximum number of rooms, from 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Whether to list also rooms without participants. Needs an API key.
    #[serde(default)]
    all: bool,
}

/// The room to create.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewRoom {
    name: RoomName,
    /// Settings that are left out have their defaults.
    #[serde(default)]
    settings: Option<Map<String, Value>>,
    /// Whether the room is locked: only hosts and moderators can join.
    #[serde(default)]
    locked: bool,
    /// The password that participants need to join.
    #[serde(default)]
    #[schema(write_only)]
    password: Option<Secret>,
}

/// The changes to a room. Fields that are left out stay as they are.
#[derive(Deserialize, ToSchema)]
pub(super) struct RoomPatch {
    /// The settings to change (RFC 7396): `null` resets a setting to its default.
    #[serde(default)]
    #[schema(value_type = Option<RoomSettings>)]
    settings: Option<Map<String, Value>>,
    #[serde(default)]
    locked: Option<bool>,
    /// The new password; `null` removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, write_only)]
    password: Option<Option<Secret>>,
}

/// Lists the open rooms, or all rooms with `all`.
///
/// With a token for one room, lists only that room. If authentication is off, everybody may list the open rooms, as in
/// the lobby.
#[utoipa::path(
    get,
    path = "/rooms",
    operation_id = "list_rooms",
    tag = "rooms",
    params(RoomsQuery),
    security((), ("bearer" = [])),
    responses((status = 200, description = "A page of rooms", body = RoomPage), Problem)
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<RoomsQuery>,
) -> Result<JsonBody<RoomPage>, Problem> {
    let limit = page_size(query.limit, USUAL_PAGE, MOST_PER_PAGE)?;
    if matches!(caller, Caller::Nobody) && api.auth.is_required() {
        return Err(Problem::not_authenticated("this needs an API key or a token"));
    }
    let mut rooms = if query.all {
        caller.check_operator()?;
        all_rooms(&api, query.after.as_ref(), limit).await?
    } else {
        let mut open = api.hub.open_rooms();
        open.retain(|room| may_see(&caller, room));
        open.retain(|room| query.after.as_ref().is_none_or(|after| room.name > *after));
        open.sort_by(|one, other| one.name.cmp(&other.name));
        open
    };
    let limit = limit as usize;
    let has_more = rooms.len() > limit;
    rooms.truncate(limit);
    let next = rooms.last().filter(|_| has_more).map(|room| room.name.clone());
    Ok(JsonBody(RoomPage { rooms, next }))
}

/// Returns up to one room more than a page has, which shows whether there is another page.
async fn all_rooms(
    api: &Api,
    after: Option<&RoomName>,
    limit: u32,
) -> Result<Vec<RoomSummary>, Problem> {
    let records = api.store.rooms(after, limit + 1).await?;
    let open = api.hub.open_rooms().into_iter();
    let mut open: HashMap<RoomName, RoomSummary> =
        open.map(|room| (room.name.clone(), room)).collect();
    let summary = |record: RoomRecord| {
        open.remove(&record.name).unwrap_or(RoomSummary {
            name: record.name,
            participants: 0,
            created_at: record.created_at,
            locked: record.is_locked,
        })
    };
    Ok(records.into_iter().map(summary).collect())
}

/// Whether the caller may know of a room. A token for one room does not show others.
fn may_see(caller: &Caller, room: &RoomSummary) -> bool {
    match caller {
        Caller::Operator | Caller::Nobody => true,
        Caller::User(grant) => match &grant.scope {
            Scope::Every => true,
            Scope::One(name) => *name == room.name,
        },
    }
}

/// Creates a room.
///
/// Needs an API key.
#[utoipa::path(
    post,
    path = "/rooms",
    operation_id = "create_room",
    tag = "rooms",
    request_body = NewRoom,
    responses(
        (
            status = 201,
            description = "The new room",
            body = RoomView,
            headers(("location" = String, description = "The path of the room"))
        ),
        (
            status = 409,
            body = Problem,
            content_type = "application/problem+json",
            description = "A room with this name exists"
        ),
        Problem,
    )
)]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(new): Json<NewRoom>,
) -> Result<(StatusCode, [(HeaderName, String); 1], JsonBody<RoomView>), Problem> {
    caller.check_operator()?;
    let NewRoom { name, settings, locked, password } = new;
    let settings = RoomSettings::default()
        .patched(&settings.unwrap_or_default())
        .map_err(Problem::bad_request)?;
    let password_hash = match password {
        Some(password) => Some(hash(&api, password).await?),
        None => None,
    };
    let now = admission::now();
    let record = RoomRecord {
        settings,
        is_locked: locked,
        password_hash,
        ..RoomRecord::new(name, None, now)
    };
    if !api.store.create_room(&record).await? {
        return Err(Problem::conflict(format!("a room named {} exists already", record.name)));
    }
    let entry = AuditEntry {
        at: now,
        room: Some(record.name.clone()),
        actor: OPERATOR.to_owned(),
        action: "create_room".to_owned(),
        target: None,
        detail: None,
    };
    api.store.record_audit(&entry).await?;
    let location = [(header::LOCATION, link::room(&record.name))];
    Ok((StatusCode::CREATED, location, JsonBody(view(api.state(&record.name).await?))))
}

/// Shows a room.
#[utoipa::path(
    get,
    path = "/rooms/{room}",
    operation_id = "show_room",
    tag = "rooms",
    params(("room" = RoomName, Path)),
    responses((status = 200, description = "The room", body = RoomView), Problem)
)]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Room(room): Room,
) -> Result<JsonBody<RoomView>, Problem> {
    api.visitor(&caller, &room).await?;
    Ok(JsonBody(view(api.state(&room).await?)))
}

/// Changes a room's settings, lock or password.
///
/// For moderators.
#[utoipa::path(
    patch,
    path = "/rooms/{room}",
    operation_id = "change_room",
    tag = "rooms",
    params(("room" = RoomName, Path)),
    request_body = RoomPatch,
    responses((status = 200, description = "The changed room", body = RoomView), Problem)
)]
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Moderator { room, visitor }: Moderator,
    Json(patch): Json<RoomPatch>,
) -> Result<JsonBody<RoomView>, Problem> {
    let RoomPatch { settings, locked, password } = patch;
    let password_hash = match password {
        Some(Some(password)) => Some(Some(hash(&api, password).await?)),
        Some(None) => Some(None),
        None => None,
    };
    if settings.is_some() || locked.is_some() || password_hash.is_some() {
        let configure = Configure { settings, is_locked: locked, password_hash };
        api.ask(&room, &visitor, AdminRequest::Configure(configure)).await?;
    }
    Ok(JsonBody(view(api.state(&room).await?)))
}

/// Deletes a room.
///
/// Ends the room and deletes all its data: chat, roles, bans. Needs an API key.
#[utoipa::path(
    delete,
    path = "/rooms/{room}",
    operation_id = "delete_room",
    tag = "rooms",
    params(("room" = RoomName, Path)),
    responses((status = 204, description = "The room is deleted"), Problem)
)]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Room(room): Room,
) -> Result<StatusCode, Problem> {
    caller.check_operator()?;
    let visitor = api.visitor(&caller, &room).await?;
    api.ask(&room, &visitor, AdminRequest::Delete).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Api {
    /// Returns the state of a room at the moment.
    pub(super) async fn state(&self, room: &RoomName) -> Result<RoomState, Problem> {
        let admin = Admin::operator(OPERATOR, AdminRequest::State);
        match self.hub.ask_room(room, admin).await? {
            AdminReply::State(state) => Ok(*state),
            AdminReply::Done => {
                Err(Problem::new(ErrorCode::Internal, "the room did not return its state"))
            }
        }
    }
}

fn view(state: RoomState) -> RoomView {
    let RoomState { record, participants, waiting, .. } = state;
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    RoomView {
        name: record.name,
        participants: count(participants.len()),
        waiting: count(waiting.len()),
        created_at: record.created_at,
        created_by: record.created_by,
        locked: record.is_locked,
        has_password: record.password_hash.is_some(),
        settings: record.settings,
        chat_seq: record.last_seq,
    }
}

async fn hash(api: &Api, password: Secret) -> Result<String, Problem> {
    if password.expose().is_empty() {
        return Err(Problem::bad_request("the password must not be empty"));
    }
    Ok(api.hub.hash_password(password).await?)
}

/// Distinguishes `null` from an absent field.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Secret>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
