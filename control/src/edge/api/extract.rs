//! Reads and checks the path, query and body of requests. A request with an invalid one gets a problem.
#![expect(clippy::disallowed_methods, reason = "reading a body has a deadline")]

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use madang_wire::{ErrorCode, RoomName};
use serde::de::DeserializeOwned;

use super::Api;
use super::problem::Problem;

/// Maximum length of a body, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// Maximum length of the id of a user, message or token, in characters.
const LONGEST_ID: usize = 128;

/// `{room}` in the path.
pub(super) struct Room(pub(super) RoomName);

impl<S: Send + Sync> FromRequestParts<S> for Room {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Room, Problem> {
        let name = segment(parts, state, "room").await?;
        let name = RoomName::parse(&name)
            .map_err(|error| Problem::new(ErrorCode::NoSuchRoom, error.to_string()))?;
        Ok(Room(name))
    }
}

/// `{user}` in the path.
pub(super) struct User(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<User, Problem> {
        Ok(User(id(parts, state, "user").await?))
    }
}

/// `{id}` of a message in the path.
pub(super) struct MessageId(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for MessageId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<MessageId, Problem> {
        Ok(MessageId(id(parts, state, "id").await?))
    }
}

async fn id<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str) -> Result<String, Problem> {
    let id = segment(parts, state, name).await?;
    check_id(name, &id)?;
    Ok(id)
}

/// Refuses a text that can't be an id.
pub(super) fn check_id(name: &str, id: &str) -> Result<(), Problem> {
    let length = id.chars().count();
    if (1..=LONGEST_ID).contains(&length) && !id.chars().any(char::is_control) {
        return Ok(());
    }
    let message =
        format!("{name} must have 1 to {LONGEST_ID} characters and no control characters");
    Err(Problem::bad_request(message))
}

async fn segment<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &str,
) -> Result<String, Problem> {
    let params = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Problem::bad_request("the path must be UTF-8"))?;
    let found = params.iter().find(|(key, _)| *key == name);
    found
        .map(|(_, value)| value.to_owned())
        .ok_or_else(|| Problem::not_found("there is nothing at this address"))
}

/// The query of the URL.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Query<T>, Problem> {
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        let axum::extract::Query(query) = query.map_err(|error: QueryRejection| {
            Problem::bad_request(format!("the query can't be read: {}", error.body_text()))
        })?;
        Ok(Query(query))
    }
}

/// The body, as JSON.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Api>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Json<T>, Problem> {
        if !is_json(request.headers()) {
            let message = "the body must be JSON, with content-type: application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::bad_request(message).with_status(status));
        }
        let reading = read(request.into_body());
        let Ok(bytes) = tokio::time::timeout(api.body_timeout, reading).await else {
            let message = "the body did not arrive in time";
            return Err(Problem::bad_request(message).with_status(StatusCode::REQUEST_TIMEOUT));
        };
        let bytes = bytes?;
        // serde_json accepts an array for a struct, its items for the fields in their order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::bad_request("the body must be a JSON object"));
        }
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| Problem::bad_request(format!("the body can't be read: {error}")))?;
        Ok(Json(value))
    }
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    let collected = Limited::new(body, MOST_BYTES).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let message = format!("the body must have at most {MOST_BYTES} bytes");
            return Problem::new(ErrorCode::TooLarge, message);
        }
        Problem::bad_request("the body ended early")
    })?;
    Ok(collected.to_bytes())
}

/// Whether the body is JSON. A body without a content type counts as JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return true };
    let kind = kind.to_str().unwrap_or("").split(';').next().unwrap_or("").trim();
    ["application/json", "application/merge-patch+json"]
        .iter()
        .any(|json| kind.eq_ignore_ascii_case(json))
}

/// Refuses the number of a message or an entry if it is above 2^63 - 1, the maximum of the databases.
pub(super) fn check_number(name: &str, number: Option<u64>) -> Result<(), Problem> {
    if number.is_none_or(|number| i64::try_from(number).is_ok()) {
        return Ok(());
    }
    Err(Problem::bad_request(format!("{name} must be at most 2^63 - 1")))
}

/// Returns how many items a page of a list has.
pub(super) fn page_size(asked: Option<u32>, usual: u32, most: u32) -> Result<u32, Problem> {
    match asked {
        None => Ok(usual),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(limit) => {
            Err(Problem::bad_request(format!("limit must be from 1 to {most}, not {limit}")))
        }
    }
}
