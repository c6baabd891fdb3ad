//! Who did what as a moderator.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use jiff::Timestamp;
use madang_wire::RoomName;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{Query, check_number, page_size};
use super::problem::Problem;
use super::visitor::Moderator;
use crate::store::AuditEntry;

const USUAL_PAGE: u32 = 100;
const MOST_PER_PAGE: u32 = 1_000;

/// Some entries of the record of moderation.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditPage {
    /// The latest first.
    entries: Vec<Entry>,
    /// `before` of the next page, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// Something that somebody did.
#[derive(Serialize, ToSchema)]
pub(super) struct Entry {
    /// Its number: rises, with gaps.
    id: u64,
    at: Timestamp,
    /// Who did it: a user, or `api` for the holder of an API key.
    actor: String,
    #[schema(example = "kick")]
    action: String,
    /// To whom or what.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Only entries before this one.
    before: Option<u64>,
    /// How many at most, from 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// The record of moderation of a room. For moderators.
#[utoipa::path(
    get,
    path = "/rooms/{room}/audit",
    operation_id = "list_audit",
    tag = "people",
    params(("room" = RoomName, Path), AuditQuery),
    responses((status = 200, description = "Some entries", body = AuditPage), Problem)
)]
pub(super) async fn audit(
    State(api): State<Arc<Api>>,
    Moderator { room, .. }: Moderator,
    Query(AuditQuery { before, limit }): Query<AuditQuery>,
) -> Result<JsonBody<AuditPage>, Problem> {
    let limit = page_size(limit, USUAL_PAGE, MOST_PER_PAGE)?;
    check_number("before", before)?;
    let found = api.store.audit(Some(&room), before, limit).await?;
    let is_full = found.len() == limit as usize;
    let next = found.last().filter(|_| is_full).map(|(id, _)| *id);
    let entry = |(id, entry)| {
        let AuditEntry { at, actor, action, target, detail, .. } = entry;
        Entry { id, at, actor, action, target, detail }
    };
    Ok(JsonBody(AuditPage { entries: found.into_iter().map(entry).collect(), next }))
}
