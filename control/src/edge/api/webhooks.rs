//! The state of webhook calls.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::access::Caller;
use super::problem::Problem;
use crate::webhooks::{Failure, TargetRecord};

/// The state of webhook calls. Counters start with the server.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhooksView {
    /// Calls that wait to be made.
    pending: u64,
    /// Calls that were answered with success.
    delivered: u64,
    /// Failed attempts; each call is tried again.
    failed: u64,
    /// Calls that are not tried again: they failed for a day, or newer calls displaced them.
    given_up: u64,
    /// Events that no call reports, because too many came at once.
    lost: u64,
    /// One per configured URL.
    urls: Vec<Target>,
}

/// The state of the calls to one URL.
#[derive(Serialize, ToSchema)]
pub(super) struct Target {
    url: String,
    delivered: u64,
    failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_delivered_at: Option<Timestamp>,
    /// When the failed call is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_try_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<LastError>,
}

/// Why a call failed.
#[derive(Serialize, ToSchema)]
pub(super) struct LastError {
    at: Timestamp,
    reason: String,
    /// How often the call had failed by then.
    attempts: u32,
}

/// Shows the state of webhook calls.
///
/// Needs an API key.
#[utoipa::path(
    get,
    path = "/webhooks",
    operation_id = "show_webhooks",
    tag = "server",
    responses((status = 200, description = "The state of webhook calls", body = WebhooksView), Problem)
)]
pub(super) async fn webhooks(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<JsonBody<WebhooksView>, Problem> {
    caller.check_operator()?;
    let stats = api.webhooks.stats();
    Ok(JsonBody(WebhooksView {
        pending: stats.pending,
        delivered: stats.delivered,
        failed: stats.failed,
        given_up: stats.given_up,
        lost: stats.lost,
        urls: api.webhooks.targets().into_iter().map(target).collect(),
    }))
}

fn target(record: TargetRecord) -> Target {
    let TargetRecord { url, delivered, failed, last_delivered_at, last_error, next_try_at } =
        record;
    let last_error =
        last_error.map(|Failure { at, reason, attempts }| LastError { at, reason, attempts });
    Target { url, delivered, failed, last_delivered_at, next_try_at, last_error }
}
