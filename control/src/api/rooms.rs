//! Rooms as wholes.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use madang_wire::{RoomName, RoomSummary};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::access::Caller;
use super::extract::{Query, page_size};
use super::problem::Problem;
use crate::auth::Scope;

/// Rooms on a page of the list.
const USUAL_PAGE: u32 = 100;
const MOST_PER_PAGE: u32 = 1_000;

/// Rooms, in the order of their names.
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
    /// Only rooms after this one, in the order of names.
    after: Option<RoomName>,
    /// How many at most, from 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// The open rooms. Without authentication everybody may see the open ones, as in the lobby.
#[utoipa::path(
    get,
    path = "/rooms",
    tag = "rooms",
    params(RoomsQuery),
    security((), ("bearer" = [])),
    responses((status = 200, body = RoomPage), Problem)
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
    let mut rooms = api.hub.open_rooms();
    rooms.retain(|room| may_see(&caller, room));
    rooms.retain(|room| query.after.as_ref().is_none_or(|after| room.name > *after));
    rooms.sort_by(|one, other| one.name.cmp(&other.name));
    let limit = limit as usize;
    let has_more = rooms.len() > limit;
    rooms.truncate(limit);
    let next = rooms.last().filter(|_| has_more).map(|room| room.name.clone());
    Ok(JsonBody(RoomPage { rooms, next }))
}

/// A token for one room tells nothing about others.
fn may_see(caller: &Caller, room: &RoomSummary) -> bool {
    match caller {
        Caller::Operator | Caller::Nobody => true,
        Caller::User(grant) => match &grant.scope {
            Scope::Every => true,
            Scope::One(name) => *name == room.name,
        },
    }
}
