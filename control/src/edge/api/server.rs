//! The state of the server.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::access::Caller;
use super::problem::Problem;
use super::{Api, admission};

/// The state of the server at the moment.
#[derive(Serialize, ToSchema)]
pub(super) struct ServerState {
    /// Its version.
    #[schema(value_type = String, example = "0.1.0")]
    version: &'static str,
    /// Time since the start, in seconds.
    uptime_seconds: u64,
    /// Whether it accepts no more work because it is shutting down.
    draining: bool,
    /// Open rooms.
    rooms: u64,
    /// Participants in all rooms.
    participants: u64,
    /// Connected clients.
    sessions: u64,
    /// Chat messages stored since the start.
    chat_messages: u64,
}

/// Shows the state of the server.
///
/// Needs an API key.
#[utoipa::path(
    get,
    path = "/server",
    operation_id = "show_server",
    tag = "server",
    responses((status = 200, description = "The state of the server", body = ServerState), Problem)
)]
pub(super) async fn server(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<Json<ServerState>, Problem> {
    caller.check_operator()?;
    let stats = api.hub.stats();
    Ok(Json(ServerState {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: admission::uptime(&api).as_secs(),
        draining: api.draining.is_cancelled(),
        rooms: stats.rooms,
        participants: stats.participants,
        sessions: stats.sessions,
        chat_messages: stats.chat_stored,
    }))
}
