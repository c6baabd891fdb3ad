//! Opening a room. Its stored state is loaded first; if that fails, the room does not open.

use madang_wire::{ErrorCode, Request, RoomName, Signal};
use tokio_util::sync::CancellationToken;

use super::{Tools, now};
use crate::refusal::Refusal;
use crate::rooms::letter::Letter;
use crate::rooms::room::{Asked, Kept, Reader, Room, RoomConfig};
use crate::store::{RoomRecord, StoreError};

/// Opens a room for its first letter. A join creates a room that does not exist, if `joins_create` allows it.
pub(super) async fn open(
    config: &RoomConfig,
    tools: &Tools,
    letter: &Letter,
) -> Result<Room, Refusal> {
    match load(config, tools, letter).await {
        Ok(Some(kept)) => Ok(Room::new(config.clone(), kept, rand::make_rng())),
        Ok(None) => Err(Refusal::no_such_room(&config.name)),
        Err(error) => {
            error.log("could not load a room from the store; refusing to open it");
            Err(Refusal::room_not_loaded(&error))
        }
    }
}

async fn load(
    config: &RoomConfig,
    tools: &Tools,
    letter: &Letter,
) -> Result<Option<Kept>, StoreError> {
    let (store, name, now) = (&tools.store, &config.name, now().utc);
    let record: Option<RoomRecord> = match creator(letter, name).filter(|_| config.joins_create) {
        Some(created_by) => Some(store.open_room(name, created_by, now).await?),
        None => store.room(name).await?,
    };
    let Some(record) = record else { return Ok(None) };
    let roles = store.roles(name).await?.into_iter().collect();
    let mut bans = store.bans(name).await?;
    bans.retain(|ban| ban.until.is_none_or(|until| until > now));
    Ok(Some(Kept { record, roles, bans }))
}

/// The user who creates the room, if this letter does: `Some(None)` is a guest, who is not recorded; `None` creates no room.
fn creator<'a>(letter: &'a Letter, room: &RoomName) -> Option<Option<&'a str>> {
    let Letter::Request { asked, .. } = letter else { return None };
    let Asked { grant, resume: None, request: Request::Join(_), .. } = asked else { return None };
    let user = (!grant.is_guest).then_some(grant.user.as_str());
    grant.opens(room).then_some(user)
}

/// Answers a letter that no room takes.
pub(super) fn refuse(tools: &Tools, letter: Letter, refusal: &Refusal) {
    match letter {
        Letter::Request { asked, .. } => {
            let Refusal { code, message } = refusal.clone();
            tools.signals.send(&asked.from, &Signal::Error { code, message });
        }
        Letter::Gone { .. } => {}
        Letter::Who { reply, .. } => {
            let reader = match refusal.code {
                ErrorCode::NoSuchRoom => Ok(Reader::Public),
                _ => Err(refusal.clone()),
            };
            // The receiver may have stopped waiting.
            let _ = reply.send(reader);
        }
        Letter::Admin { reply, .. } => {
            // The receiver may have stopped waiting.
            let _ = reply.send(Err(refusal.clone()));
        }
    }
}

/// The refusal for letters that arrive after a room has closed.
pub(super) fn is_gone(name: &RoomName, stop: &CancellationToken) -> Refusal {
    if stop.is_cancelled() {
        return Refusal::draining();
    }
    Refusal::room_just_closed(name)
}
