//! Making tokens and taking them back.

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
use crate::auth::{AuthError, Minted, NewToken, Scope};

/// How long a token is good for, unless it says so, in seconds.
const USUAL_TTL: u64 = 2 * 60 * 60;

/// A token to be.
#[derive(Deserialize, ToSchema)]
pub(super) struct TokenRequest {
    /// Whose it is.
    #[schema(min_length = 1, max_length = 128)]
    user: String,
    /// What others see, when the user does not choose a name.
    #[serde(default)]
    name: Option<String>,
    /// The room that it opens, or `*` for all.
    #[schema(example = "마당")]
    room: String,
    /// The highest role that it gives; without it the room decides.
    #[serde(default)]
    role: Option<Role>,
    /// What its user may publish, within their role; without it, all of it.
    #[serde(default)]
    publish: Option<Vec<SourceKind>>,
    /// Whether its user may moderate; without it, by their role.
    #[serde(default)]
    moderate: Option<bool>,
    /// How long it is good for, in seconds; two hours when left out, ten years at most.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 315_360_000, default = 7200)]
    ttl_seconds: Option<u64>,
}

/// A token.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenView {
    /// The token itself (JWT).
    token: Secret,
    /// Its `jti`, by which it can be revoked.
    id: String,
    /// When it ends.
    expires_at: Timestamp,
}

/// Which token to take back: either the token itself, or its `id`.
#[derive(Deserialize, ToSchema)]
pub(super) struct Revocation {
    /// The token.
    #[serde(default)]
    token: Option<Secret>,
    /// Its id (`jti`).
    #[serde(default)]
    id: Option<String>,
    /// With `id`: when the token ends, so that the server knows how long to remember it; ten years when left out.
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

/// Makes a token. Needs an API key.
#[utoipa::path(
    post,
    path = "/tokens",
    operation_id = "mint_token",
    tag = "tokens",
    request_body = TokenRequest,
    responses(
        (status = 201, description = "The token", body = TokenView),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Tokens come from another issuer"),
        Problem,
    )
)]
pub(super) async fn mint(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(request): Json<TokenRequest>,
) -> Result<(StatusCode, JsonBody<TokenView>), Problem> {
    caller.check_operator()?;
    let TokenRequest { user, name, room, role, publish, moderate, ttl_seconds } = request;
    let Some(minter) = api.auth.minter() else {
        let message = "tokens come from another issuer: this server has public keys alone";
        return Err(Problem::conflict(message));
    };
    let scope = match room.as_str() {
        "*" => Scope::Every,
        name => Scope::One(RoomName::parse(name).map_err(|error| {
            Problem::bad_request(format!("room must be a name, or * for all: {error}"))
        })?),
    };
    let ttl = Duration::from_secs(ttl_seconds.unwrap_or(USUAL_TTL));
    let new = NewToken { user, name, scope, role, publish, moderate, ttl };
    let now = admission::now();
    let Minted { token, id, expires_at } = minter.mint(&new, now).map_err(Problem::bad_request)?;
    // The verifier knows what makes a token worth nothing, as a user without a name.
    api.auth
        .verify(token.expose(), now)
        .map_err(|error| Problem::bad_request(format!("that would be no good token: {error}")))?;
    Ok((StatusCode::CREATED, JsonBody(TokenView { token, id, expires_at })))
}

/// Takes a token back: it is refused, and those who use it are out, at once. Needs an API key.
#[utoipa::path(
    post,
    path = "/tokens/revoke",
    operation_id = "revoke_token",
    tag = "tokens",
    request_body = Revocation,
    responses((status = 204, description = "It is done"), Problem)
)]
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(revocation): Json<Revocation>,
) -> Result<StatusCode, Problem> {
    caller.check_operator()?;
    let now = admission::now();
    let Some((id, until)) = meant(&api, revocation, now).await? else {
        // It has ended by itself, or was taken back before.
        return Ok(StatusCode::NO_CONTENT);
    };
    api.hub.revoke(&id, until, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The id of the token that is meant, and its end where that is known; None when there is nothing left to do.
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
                        let message = "this token has no id (jti), by which it could be revoked";
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
