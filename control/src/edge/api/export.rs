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

/// Exports at a time; one more is told to come again.
pub(super) const AT_A_TIME: usize = 16;

/// Messages that are read in one go. An export holds no more of them, however slowly its client reads.
const PAGE: u32 = 100;

/// Seconds after which somebody who was one too many may try again.
const AGAIN_AFTER: u64 = 5;

/// The whole chat of a room, a message a line, in the order of `seq`; without what is private. For moderators. An answer
/// that breaks off is not whole.
#[utoipa::path(
    get,
    path = "/rooms/{room}/export",
    operation_id = "export_messages",
    tag = "messages",
    params(("room" = RoomName, Path)),
    responses(
        (status = 200, content_type = "application/jsonl", body = String, description = "A message (ChatMessage) a line"),
        Problem,
    )
)]
pub(super) async fn export(
    State(api): State<Arc<Api>>,
    Moderator { room, .. }: Moderator,
) -> Result<([(HeaderName, String); 2], Body), Problem> {
    let Ok(place) = Arc::clone(&api.exports).try_acquire_owned() else {
        let message = "too many exports are under way";
        return Err(Problem::new(ErrorCode::Overloaded, message).retry_after(AGAIN_AFTER));
    };
    // What is written meanwhile would keep an export from ending.
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

/// An export under way.
struct Export {
    store: Store,
    room: RoomName,
    /// Of the last message that was read.
    seq: u64,
    /// Of the last message that is wanted.
    last: u64,
    /// Read and not yet sent; at most [`PAGE`].
    page: VecDeque<ChatMessage>,
    _place: OwnedSemaphorePermit,
}

impl Export {
    /// Line by line. The next page is read when the client has taken the one before.
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
