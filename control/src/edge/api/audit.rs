//! The audit log of a room.

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

/// A page of the audit log.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditPage {
    /// The latest first.
    entries: Vec<Entry>,
    /// `before` of the next page, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// An action of a moderator or an operator.
#[derive(Serialize, ToSchema)]
pub(super) struct Entry {
    /// The number of the entry. Numbers rise, with gaps.
    id: u64,
    at: Timestamp,
    /// The actor: a user, or `api` for the holder of an API key.
    actor: String,
    #[schema(example = "kick")]
    action: String,
    /// The target of the action, such as a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// Details of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Only entries before the one with this `id`.
    before: Option<u64>,
    /// Maximum number of entries, from 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// Lists the audit log of a room.
///
/// For moderators.
#[utoipa::path(
    get,
    path = "/rooms/{room}/audit",
    operation_id = "list_audit",
    tag = "people",
    params(("room" = RoomName, Path), AuditQuery),
    responses((status = 200, description = "A page of entries", body = AuditPage), Problem)
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
