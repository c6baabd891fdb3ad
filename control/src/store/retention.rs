//! Deletes chat that is older than its room keeps it.
#![expect(clippy::disallowed_methods, reason = "the task between two sweeps waits here")]

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use madang_wire::RoomSettings;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::store::{Store, StoreError};

/// The interval between two sweeps. Messages may stay up to an hour longer than their retention period of days.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Number of rooms read at a time. The store deletes their messages in bounded steps, so that other writes are not held
/// up.
const ROOMS: u32 = 100;

/// Deletes old chat periodically until `stop` is cancelled. `days` is the retention period of rooms that set none; 0
/// keeps messages for ever.
pub(crate) async fn run(store: Store, days: u32, stop: CancellationToken) {
    loop {
        let swept = tokio::select! {
            swept = sweep(&store, days, Timestamp::now()) => swept,
            () = stop.cancelled() => return,
        };
        match swept {
            Ok(0) => {}
            Ok(messages) => debug!(messages, "old chat deleted"),
            Err(error) => warn!(%error, "could not delete old chat; trying again later"),
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Deletes the messages of all rooms that are too old at `now`. Returns how many.
async fn sweep(store: &Store, days: u32, now: Timestamp) -> Result<u64, StoreError> {
    let (mut swept, mut after) = (0, None);
    loop {
        let rooms = store.rooms(after.as_ref(), ROOMS).await?;
        let Some(last) = rooms.last() else { return Ok(swept) };
        after = Some(last.name.clone());
        for room in &rooms {
            if let Some(before) = oldest_kept(&room.settings, days, now) {
                swept += store.purge_chat(&room.name, before).await?;
            }
        }
    }
}

/// The age limit: messages sent before this time are deleted. `None` keeps all messages.
fn oldest_kept(settings: &RoomSettings, days: u32, now: Timestamp) -> Option<Timestamp> {
    let days = settings.retention_days.unwrap_or(days);
    if days == 0 {
        return None;
    }
    // The limit would lie before the earliest representable time, so there is nothing to delete.
    now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).ok()
}

#[cfg(test)]
mod tests {
    use madang_wire::RoomName;

    use super::*;
    use crate::store::{NewChatMessage, RoomRecord, StoreUrl};

    #[tokio::test]
    async fn what_is_too_old_goes_and_numbers_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let url = StoreUrl::of_file(&dir.path().join("chat.db"));
        let store = Store::open(&url).await.unwrap();
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let rooms = [("as-the-server", None), ("short", Some(1)), ("ever", Some(0))];
        for (name, retention_days) in rooms {
            let mut record = RoomRecord::new(RoomName::parse(name).unwrap(), None, now);
            record.settings.retention_days = retention_days;
            store.create_room(&record).await.unwrap();
            for (id, day) in [("old", "2026-01-01"), ("older", "2026-02-10"), ("new", "2026-02-28")]
            {
                let sent_at = format!("{day}T12:00:00Z").parse().unwrap();
                store.append_chat(&record.name, message(id, sent_at)).await.unwrap();
            }
        }

        assert_eq!(sweep(&store, 30, now).await.unwrap(), 1 + 2);

        for (name, left) in [("as-the-server", 2), ("short", 1), ("ever", 3)] {
            let room = RoomName::parse(name).unwrap();
            assert_eq!(store.last_chat(&room, 9, None).await.unwrap().len(), left, "{name}");
            let next = store.append_chat(&room, message("next", now)).await.unwrap();
            assert_eq!(next.message().seq, 4, "{name}");
        }
        assert_eq!(sweep(&store, u32::MAX, now).await.unwrap(), 0);
        store.close().await;
    }

    fn message(id: &str, sent_at: Timestamp) -> NewChatMessage {
        NewChatMessage {
            id: id.to_owned(),
            from_id: "p".to_owned(),
            from_name: "가람".to_owned(),
            from_user: None,
            text: id.to_owned(),
            to: None,
            to_user: None,
            reply_to: None,
            message_id: None,
            sent_at,
        }
    }
}
