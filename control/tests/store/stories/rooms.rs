//! Rooms as they are remembered.

use madang::store::{Ban, RoomRecord};
use madang_wire::{Publishers, Role, RoomSettings};

use super::{append, at, line, madang, open, room, run_sql};

pub(super) async fn a_room_is_remembered_as_it_was_saved(url: &str) {
    let store = open(url).await;
    let opened = store.open_room(&madang(), Some("하늘"), at(1_500)).await.unwrap();
    append(&store, &madang(), line("m1")).await;
    let saved = RoomRecord {
        settings: RoomSettings {
            max_participants: Some(7),
            publishers: Publishers::Hosts,
            waiting_room: true,
            chat: false,
            recording_allowed: false,
            retention_days: Some(30),
        },
        is_locked: true,
        password_hash: Some("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned()),
        ..opened.clone()
    };

    store.save_room(&saved).await.unwrap();
    store.close().await;
    let store = open(url).await;

    assert_eq!(opened, RoomRecord::new(madang(), Some("하늘".to_owned()), at(1_500)));
    let remembered = store.room(&madang()).await.unwrap().unwrap();
    assert_eq!(remembered, RoomRecord { last_seq: 1, ..saved });
    let again = store.open_room(&madang(), Some("바다"), at(9_000)).await.unwrap();
    assert_eq!(again, remembered, "it was opened before");
    store.save_room(&RoomRecord::new(room("unknown"), None, at(1))).await.unwrap();
    assert_eq!(store.room(&room("unknown")).await.unwrap(), None);
    store.close().await;
}

pub(super) async fn a_room_is_made_once(url: &str) {
    let store = open(url).await;
    let wanted = RoomRecord { is_locked: true, ..RoomRecord::new(madang(), None, at(1)) };
    let (lobby, other) = (madang(), RoomRecord::new(madang(), None, at(2)));

    let made = store.create_room(&wanted).await.unwrap();
    let (again, opened) =
        tokio::join!(store.create_room(&other), store.open_room(&lobby, None, at(3)));

    assert!(made);
    assert!(!again.unwrap());
    assert_eq!(opened.unwrap(), wanted);
    store.close().await;
}

pub(super) async fn rooms_are_listed_by_name(url: &str) {
    let store = open(url).await;
    for name in ["b", "마당", "A", "a", "_", "가", "a-1"] {
        store.open_room(&room(name), None, at(1)).await.unwrap();
    }

    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = store.rooms(after.as_ref(), 3).await.unwrap();
        names.extend(page.iter().map(|room| room.name.to_string()));
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
    }

    assert_eq!(names, ["A", "_", "a", "a-1", "b", "가", "마당"]);
    store.close().await;
}

pub(super) async fn a_deleted_room_begins_anew(url: &str) {
    let store = open(url).await;
    for name in ["마당", "other"] {
        let name = room(name);
        store.open_room(&name, Some("하늘"), at(1)).await.unwrap();
        append(&store, &name, line("m1")).await;
        store.set_role(&name, "하늘", Role::Host).await.unwrap();
        store.ban(&name, &ban("바다")).await.unwrap();
    }

    let was_there = store.delete_room(&madang()).await.unwrap();
    let was_there_still = store.delete_room(&madang()).await.unwrap();

    assert!(was_there && !was_there_still);
    assert_eq!(store.room(&madang()).await.unwrap(), None);
    assert_eq!(store.last_chat(&madang(), 10, None).await.unwrap(), []);
    assert_eq!(store.roles(&madang()).await.unwrap(), []);
    assert_eq!(store.bans(&madang()).await.unwrap(), []);
    assert_eq!(append(&store, &madang(), line("m1")).await.seq, 1);
    assert_eq!(store.last_chat(&room("other"), 10, None).await.unwrap().len(), 1);
    assert_eq!(store.roles(&room("other")).await.unwrap().len(), 1);
    assert_eq!(store.bans(&room("other")).await.unwrap().len(), 1);
    store.close().await;
}

pub(super) async fn settings_that_nobody_can_read_have_their_defaults(url: &str) {
    let store = open(url).await;
    for name in ["later", "broken"] {
        store.open_room(&room(name), None, at(1)).await.unwrap();
    }
    let later = r#"{"waiting_room":true,"publishers":"elders","colour":"red"}"#;
    for (name, settings) in [("later", later), ("broken", "{")] {
        run_sql(url, format!("UPDATE rooms SET settings = '{settings}' WHERE name = '{name}'"))
            .await;
    }

    let later = store.room(&room("later")).await.unwrap().unwrap();
    let broken = store.room(&room("broken")).await.unwrap().unwrap();

    let expected = RoomSettings { waiting_room: true, ..RoomSettings::default() };
    assert_eq!(later.settings, expected, "what can be read counts");
    assert_eq!(broken.settings, RoomSettings::default());
    store.close().await;
}

fn ban(user: &str) -> Ban {
    Ban {
        user: user.to_owned(),
        token: None,
        until: None,
        reason: None,
        by: "하늘".to_owned(),
        at: at(1),
    }
}
