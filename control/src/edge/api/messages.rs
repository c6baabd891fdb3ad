//! The stored chat: paging, search, deletion.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use madang_wire::request::{Moderate, ModerateAction};
use madang_wire::{ChatMessage, RoomName};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::extract::{MessageId, Query, Room, check_number, page_size};
use super::problem::Problem;
use super::visitor::Visitor;
use super::{Api, link};
use crate::rooms::room::{AdminRequest, rights};

const USUAL_PAGE: u32 = 50;
const MOST_PER_PAGE: u32 = 500;

/// Maximum length of a search text, in characters.
const LONGEST_SEARCH: usize = 200;

/// A page of a room's messages.
#[derive(Serialize, ToSchema)]
pub(super) struct MessagePage {
    /// In the order of `seq`. A deleted message has no text and `deleted: true`.
    messages: Vec<ChatMessage>,
    /// URL of the page with older messages, if there may be any.
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<String>,
    /// URL of the page with newer messages, if there may be any.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A page of the messages that match a search.
#[derive(Serialize, ToSchema)]
pub(super) struct Found {
    /// The latest first.
    messages: Vec<ChatMessage>,
    /// URL of the page with older matches, if there may be any.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MessagesQuery {
    /// Only messages before this `seq`: the last ones.
    before: Option<u64>,
    /// Only messages after this `seq`: the first ones.
    after: Option<u64>,
    /// How many at most, from 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchQuery {
    /// Words to search for. A message matches if it contains each of them, as a word or as the start or end of a word.
    /// Case is ignored.
    #[param(min_length = 1, max_length = 200)]
    q: String,
    /// Only messages before this `seq`.
    before: Option<u64>,
    /// How many at most, from 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
}

/// Lists the stored chat.
///
/// Without `before` and `after`, returns the last page. The user of a token also gets their own private messages.
#[utoipa::path(
    get,
    path = "/rooms/{room}/messages",
    operation_id = "list_messages",
    tag = "messages",
    params(("room" = RoomName, Path), MessagesQuery),
    responses(
        (
            status = 200,
            description = "A page of messages",
            body = MessagePage,
            headers(("link" = String, description = "The pages `prev` and `next` (RFC 8288)"))
        ),
        Problem,
    )
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Room(room): Room,
    Query(query): Query<MessagesQuery>,
) -> Result<(HeaderMap, JsonBody<MessagePage>), Problem> {
    let limit = page_size(query.limit, USUAL_PAGE, MOST_PER_PAGE)?;
    check_number("before", query.before)?;
    check_number("after", query.after)?;
    let viewer = api.reader(&caller, &room).await?.viewer;
    let messages = match (query.before, query.after) {
        (None, None) => api.store.last_chat(&room, limit, viewer.as_ref()).await?,
        (Some(seq), None) => api.store.chat_before(&room, seq, limit, viewer.as_ref()).await?,
        (None, Some(seq)) => api.store.chat_since(&room, seq, limit, viewer.as_ref()).await?,
        (Some(_), Some(_)) => {
            return Err(Problem::bad_request("before and after can't be used together"));
        }
    };
    let is_full = messages.len() == limit as usize;
    let (has_older, has_newer) = match query.after {
        None => (is_full, query.before.is_some()),
        Some(after) => (after > 0, is_full),
    };
    let page = |name: &str, seq: Option<u64>| {
        seq.map(|seq| format!("{}/messages?{name}={seq}&limit={limit}", link::room(&room)))
    };
    let first = messages.first().map(|message| message.seq);
    let last = messages.last().map(|message| message.seq);
    let prev = page("before", first.filter(|_| has_older));
    let next = page("after", last.filter(|_| has_newer));
    let links = link::header(prev.as_deref(), next.as_deref());
    let headers = links.map(|links| (header::LINK, links)).into_iter().collect();
    Ok((headers, JsonBody(MessagePage { messages, prev, next })))
}

/// Searches the stored chat.
#[utoipa::path(
    get,
    path = "/rooms/{room}/messages/search",
    operation_id = "search_messages",
    tag = "messages",
    params(("room" = RoomName, Path), SearchQuery),
    responses(
        (
            status = 200,
            description = "A page of matching messages",
            body = Found,
            headers(("link" = String, description = "The page `next` (RFC 8288)"))
        ),
        Problem,
    )
)]
pub(super) async fn search(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Room(room): Room,
    Query(SearchQuery { q, before, limit }): Query<SearchQuery>,
) -> Result<(HeaderMap, JsonBody<Found>), Problem> {
    let limit = page_size(limit, USUAL_PAGE, MOST_PER_PAGE)?;
    if q.trim().is_empty() || q.chars().count() > LONGEST_SEARCH {
        let message = format!("q must have from 1 to {LONGEST_SEARCH} characters");
        return Err(Problem::bad_request(message));
    }
    check_number("before", before)?;
    let viewer = api.reader(&caller, &room).await?.viewer;
    let messages = api.store.search_chat(&room, &q, before, limit, viewer.as_ref()).await?;
    let last = messages.last().filter(|_| messages.len() == limit as usize);
    let next = last.map(|message| {
        let (room, q, seq) = (link::room(&room), link::encoded(&q), message.seq);
        format!("{room}/messages/search?q={q}&before={seq}&limit={limit}")
    });
    let headers = link::header(None, next.as_deref()).map(|links| (header::LINK, links));
    Ok((headers.into_iter().collect(), JsonBody(Found { messages, next })))
}

/// Deletes a message.
///
/// Removes its text; the message stays in the list with `deleted: true`. For its author and for moderators.
#[utoipa::path(
    delete,
    path = "/rooms/{room}/messages/{id}",
    operation_id = "delete_message",
    tag = "messages",
    params(
        ("room" = RoomName, Path),
        (
            "id" = String,
            Path,
            description = "The `id` of the message",
            max_length = 128,
            pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]{1,128}$"
        )
    ),
    responses((status = 204, description = "The message is deleted"), Problem)
)]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Room(room): Room,
    MessageId(id): MessageId,
) -> Result<StatusCode, Problem> {
    let visitor = api.visitor(&caller, &room).await?;
    // The room decides. This check only gives 404 for a message that does not exist or is not the caller's to delete.
    let found = api.store.chat_message(&room, &id).await?.filter(|record| {
        let is_author = record.from_user.as_ref().is_some_and(|user| visitor.is(user));
        rights::may_delete(is_author, visitor.standing.moderates, &record.message)
    });
    if found.is_none_or(|record| record.message.deleted) {
        return Err(Problem::not_found("there is no such message, or you may not delete it"));
    }
    let delete = Moderate {
        action: ModerateAction::DeleteMessage,
        participant: None,
        value: Some(id.into()),
    };
    api.ask(&room, &visitor, AdminRequest::Moderate(delete)).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Api {
    /// Returns a caller who may read what participants read.
    pub(super) async fn reader(
        &self,
        caller: &Caller,
        room: &RoomName,
    ) -> Result<Visitor, Problem> {
        let visitor = self.visitor(caller, room).await?;
        visitor.check_reads()?;
        Ok(visitor)
    }
}
