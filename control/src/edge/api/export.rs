//! A room's whole chat as JSON lines.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderName, header};
use futures_util::stream::{self, Stream};
use madang_wire::{ChatMessage, ErrorCode, RoomName};
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

use super::problem::Problem;
use super::visitor::Moderator;
use super::{Api, link};
use crate::store::Store;

/// Maximum number of exports at a time. A further one gets 503 with `Retry-After`.
pub(super) const AT_A_TIME: usize = 16;

/// How many messages are read at a time. An export holds no more in memory, however slowly its client reads.
const PAGE: u32 = 100;

/// The `Retry-After` of a refused export, in seconds.
const AGAIN_AFTER: u64 = 5;

/// Exports the chat of a room as JSON lines.
///
/// There is one message per line, in the order of `seq`. Private messages are left out. A response that is cut off
/// is not the whole chat. For moderators.
#[utoipa::path(
    get,
    path = "/rooms/{room}/export",
    operation_id = "export_messages",
    tag = "messages",
    params(("room" = RoomName, Path)),
    responses(
        (
            status = 200,
            content_type = "application/jsonl",
            body = String,
            description = "One message (ChatMessage) per line"
        ),
        Problem,
    )
)]
pub(super) async fn export(
    State(api): State<Arc<Api>>,
    Moderator { room, .. }: Moderator,
) -> Result<([(HeaderName, String); 2], Body), Problem> {
    let Ok(place) = Arc::clone(&api.exports).try_acquire_owned() else {
        let message = "too many exports are in progress";
        return Err(Problem::new(ErrorCode::Overloaded, message).retry_after(AGAIN_AFTER));
    };
    // Messages written during the export are left out, since they could keep it from ending.
    let last = api.store.last_seq(&room).await?;
    let name = link::encoded(room.as_str());
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename*=UTF-8''{name}.jsonl")),
    ];
    let export = Export {
        store: api.store.clone(),
        room,
        seq: 0,
        last,
        page: VecDeque::new(),
        _place: place,
    };
    Ok((headers, Body::from_stream(export.into_stream())))
}

/// An export in progress.
struct Export {
    store: Store,
    room: RoomName,
    /// `seq` of the last message that was read.
    seq: u64,
    /// `seq` of the last message to export.
    last: u64,
    /// Messages that were read and not yet sent; at most [`PAGE`].
    page: VecDeque<ChatMessage>,
    _place: OwnedSemaphorePermit,
}

impl Export {
    /// Streams line by line. Reads the next page once the client has taken the one before.
    fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> {
        stream::try_unfold(self, |mut export| async move {
            let message = export.next().await.map_err(|error| {
                warn!(%error, "an export ended early");
                io::Error::other(error)
            })?;
            Ok(message.map(|message| (line(&message), export)))
        })
    }

    async fn next(&mut self) -> Result<Option<ChatMessage>, crate::store::StoreError> {
        if self.page.is_empty() && self.seq < self.last {
            let page = self.store.chat_since(&self.room, self.seq, PAGE, None).await?;
            self.seq = page.last().map_or(self.last, |message| message.seq);
            self.page.extend(page.into_iter().filter(|message| message.seq <= self.last));
        }
        Ok(self.page.pop_front())
    }
}

fn line(message: &ChatMessage) -> Bytes {
    let mut line = Vec::from(message.to_json());
    line.push(b'\n');
    line.into()
}
