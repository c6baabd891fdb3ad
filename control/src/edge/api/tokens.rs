//! Minting and revoking tokens.

use std::sync::Arc;
use std::time::Duration;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use madang_wire::{Role, RoomName, Secret, SourceKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::Caller;
use super::extract::{Json, check_id};
use super::problem::Problem;
use super::{Api, admission};
use crate::auth::{AuthError, DestinationsClaim, Minted, NewToken, Scope};

/// Default lifetime of a token, in seconds.
const USUAL_TTL: u64 = 2 * 60 * 60;

/// The token to mint.
#[derive(Deserialize, ToSchema)]
pub(super) struct TokenRequest {
    /// The user to whom the token belongs.
    #[schema(min_length = 1, max_length = 128)]
    user: String,
    /// Display name, if the user does not choose one.
    #[serde(default)]
    name: Option<String>,
    /// The room that the token admits to, or `*` for every room.
    #[schema(example = "마당")]
    room: String,
    /// The highest role of the user. If left out, the room decides.
    #[serde(default)]
    role: Option<Role>,
    /// The sources that the user may publish, within their role. If left out, all that the role allows.
    #[serde(default)]
    publish: Option<Vec<SourceKind>>,
    /// Whether the user may moderate. If left out, the role decides.
    #[serde(default)]
    moderate: Option<bool>,
    /// The topics and queues outside rooms that the user may use. If left out: all with a token for every room, else only
    /// `/topic/chat/room/{room}`.
    #[serde(default)]
    destinations: Option<DestinationsClaim>,
    /// Time until the token expires, in seconds, at most ten years. Default: two hours.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 315_360_000, default = 7200)]
    ttl_seconds: Option<u64>,
}

/// A minted token.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenView {
    /// The token itself (JWT).
    token: Secret,
    /// Its `jti`, by which it can be revoked.
    id: String,
    /// When the token expires.
    expires_at: Timestamp,
}

/// The token to revoke: either the token itself, or its `id`.
#[derive(Deserialize, ToSchema)]
pub(super) struct Revocation {
    /// The token.
    #[serde(default)]
    token: Option<Secret>,
    /// Its id (`jti`).
    #[serde(default)]
    id: Option<String>,
    /// With `id`: when the token expires. The server remembers the revocation until then. Default: ten years.
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

/// Mints a token.
///
/// Needs an API key.
#[utoipa::path(
    post,
    path = "/tokens",
    operation_id = "mint_token",
    tag = "tokens",
    request_body = TokenRequest,
    responses(
        (status = 201, description = "The token", body = TokenView),
        (
            status = 409,
            body = Problem,
            content_type = "application/problem+json",
            description = "Tokens come from another issuer: the server has no secret to sign with"
        ),
        Problem,
    )
)]
pub(super) async fn mint(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(request): Json<TokenRequest>,
) -> Result<(StatusCode, JsonBody<TokenView>), Problem> {
    caller.check_operator()?;
    let TokenRequest { user, name, room, role, publish, moderate, destinations, ttl_seconds } =
        request;
    let Some(minter) = api.auth.minter() else {
        let message = "tokens come from another issuer: this server has no secret to sign with";
        return Err(Problem::conflict(message));
    };
    let scope = match room.as_str() {
        "*" => Scope::Every,
        name => Scope::One(RoomName::parse(name).map_err(|error| {
            Problem::bad_request(format!(
                "room must be the name of a room, or * for every room: {error}"
            ))
        })?),
    };
    let ttl = Duration::from_secs(ttl_seconds.unwrap_or(USUAL_TTL));
    let new = NewToken { user, name, scope, role, publish, moderate, destinations, ttl };
    let now = admission::now();
    let Minted { token, id, expires_at } = minter.mint(&new, now).map_err(Problem::bad_request)?;
    // The verifier knows all rules for tokens, for example that the user must not be empty.
    api.auth.verify(token.expose(), now).map_err(|error| {
        Problem::bad_request(format!("the server would reject this token: {error}"))
    })?;
    Ok((StatusCode::CREATED, JsonBody(TokenView { token, id, expires_at })))
}

/// Revokes a token.
///
/// From this moment on, the server rejects the token, and the sessions that use it end. Needs an API key.
#[utoipa::path(
    post,
    path = "/tokens/revoke",
    operation_id = "revoke_token",
    tag = "tokens",
    request_body = Revocation,
    responses((status = 204, description = "The token is revoked"), Problem)
)]
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(revocation): Json<Revocation>,
) -> Result<StatusCode, Problem> {
    caller.check_operator()?;
    let now = admission::now();
    let Some((id, until)) = meant(&api, revocation, now).await? else {
        // The token has expired, or was revoked before.
        return Ok(StatusCode::NO_CONTENT);
    };
    api.hub.revoke(&id, until, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the id of the token to revoke, and its expiry if that is known. `None` means that there is nothing to do.
async fn meant(
    api: &Api,
    revocation: Revocation,
    now: Timestamp,
) -> Result<Option<(String, Option<Timestamp>)>, Problem> {
    match revocation {
        Revocation { token: Some(token), id: None, .. } => {
            match api.auth.authenticate(token.expose()).await {
                Ok(grant) => {
                    let Some(id) = grant.token_id else {
                        let message = "this token can't be revoked, because it has no id (jti)";
                        return Err(Problem::bad_request(message));
                    };
                    Ok(Some((id, grant.expires_at)))
                }
                Err(AuthError::Expired { .. } | AuthError::Revoked) => Ok(None),
                Err(error) => Err(Problem::bad_request(error.to_string())),
            }
        }
        Revocation { token: None, id: Some(id), expires_at } => {
            check_id("id", &id)?;
            let has_ended = expires_at.is_some_and(|at| at <= now);
            Ok((!has_ended).then_some((id, expires_at)))
        }
        _ => Err(Problem::bad_request("give either token or id")),
    }
}
