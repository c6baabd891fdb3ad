//! Numbers without gaps, and messages once.

use madang::store::{Appended, NewChatMessage, StoreError};

use super::{append, ids, line, madang, open, room, seqs};

pub(super) async fn messages_are_numbered_per_room_in_order(url: &str) {
    let store = open(url).await;

    for n in 1..=3 {
        assert_eq!(append(&store, &madang(), line(&format!("m{n}"))).await.seq, n);
    }
    let elsewhere = append(&store, &room("other"), line("m1")).await;

    assert_eq!(elsewhere.seq, 1);
    assert_eq!(seqs(&store.last_chat(&madang(), 2, None).await.unwrap()), [2, 3]);
    assert_eq!(seqs(&store.chat_since(&madang(), 1, 100, None).await.unwrap()), [2, 3]);
    assert_eq!(seqs(&store.chat_since(&madang(), 0, 2, None).await.unwrap()), [1, 2]);
    assert_eq!(seqs(&store.chat_since(&madang(), u64::MAX, 2, None).await.unwrap()), [0; 0]);
    assert_eq!(store.last_seq(&madang()).await.unwrap(), 3);
    assert_eq!(store.last_seq(&room("empty")).await.unwrap(), 0);
    assert_eq!(store.last_chat(&room("empty"), 10, None).await.unwrap(), []);
    store.close().await;
}

pub(super) async fn concurrent_callers_leave_no_gap_and_get_different_numbers(url: &str) {
    let store = open(url).await;

    // More than fit into the queue and into one transaction.
    let callers = (0..1500).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let stored = append(&store, &madang(), line(&format!("m{n}"))).await;
            assert_eq!(stored.id, format!("m{n}"), "each caller gets its own message");
            stored.seq
        })
    });
    let mut given = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        given.push(caller.await.unwrap());
    }

    given.sort_unstable();
    let all: Vec<u64> = (1..=1500).collect();
    assert_eq!(given, all);
    assert_eq!(seqs(&store.chat_since(&madang(), 0, 2000, None).await.unwrap()), all);
    store.close().await;
}

pub(super) async fn numbers_go_on_after_a_restart(url: &str) {
    let store = open(url).await;
    append(&store, &madang(), line("m1")).await;
    store.close().await;

    let store = open(url).await;
    append(&store, &madang(), line("m2")).await;
    // Without a farewell this time.
    drop(store);

    let store = open(url).await;
    let third = append(&store, &madang(), line("m3")).await;
    assert_eq!(third.seq, 3);
    let all = store.last_chat(&madang(), 10, None).await.unwrap();
    assert_eq!(ids(&all), ["m1", "m2", "m3"]);
    store.close().await;
}

pub(super) async fn a_refused_message_takes_no_number_and_no_other_message_with_it(url: &str) {
    let store = open(url).await;
    append(&store, &madang(), line("m1")).await;
    let lobby = madang();
    let too_long = NewChatMessage { message_id: Some("x".repeat(300)), ..line("m3") };

    let (again, long, next) = tokio::join!(
        store.append_chat(&lobby, line("m1")),
        store.append_chat(&lobby, too_long),
        store.append_chat(&lobby, line("m2")),
    );

    assert!(matches!(again, Err(StoreError::Refused(_))), "{again:?}");
    assert!(matches!(long, Err(StoreError::Refused(_))), "{long:?}");
    assert_eq!(next.unwrap().message().seq, 2);
    assert_eq!(ids(&store.last_chat(&lobby, 10, None).await.unwrap()), ["m1", "m2"]);
    store.close().await;
}

pub(super) async fn two_servers_on_one_database_leave_no_gap(url: &str) {
    let stores = [open(url).await, open(url).await];

    let senders = (0..8).map(|sender| {
        let store = stores[sender % 2].clone();
        tokio::spawn(async move {
            for n in 0..50 {
                append(&store, &madang(), line(&format!("{sender}-{n}"))).await;
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }

    let all = stores[0].chat_since(&madang(), 0, 1000, None).await.unwrap();
    assert_eq!(seqs(&all), (1..=400).collect::<Vec<u64>>());
    for store in stores {
        store.close().await;
    }
}

pub(super) async fn a_message_sent_again_is_stored_once(url: &str) {
    let lobby = madang();
    let sent = |id: &str, text: &str| NewChatMessage {
        from_user: Some("하늘@example.com".to_owned()),
        message_id: Some("client-1".to_owned()),
        text: text.to_owned(),
        ..line(id)
    };
    let store = open(url).await;

    let (first, at_once) = tokio::join!(
        store.append_chat(&lobby, sent("m1", "안녕")),
        store.append_chat(&lobby, sent("m2", "again")),
    );
    store.close().await;
    let store = open(url).await;
    let another_day =
        NewChatMessage { from_id: "another participant".to_owned(), ..sent("m3", "and again") };
    let after_restart = store.append_chat(&lobby, another_day).await.unwrap();
    let next = append(&store, &lobby, line("m4")).await;

    let (first, at_once) = (first.unwrap(), at_once.unwrap());
    let Appended::Stored(stored) = &first else { panic!("{first:?}") };
    assert_eq!((stored.seq, stored.id.as_str(), stored.text.as_str()), (1, "m1", "안녕"));
    assert_eq!(at_once, Appended::Known(stored.clone()));
    assert_eq!(after_restart, Appended::Known(stored.clone()));
    assert_eq!(next.seq, 2);
    store.close().await;
}

pub(super) async fn authors_and_rooms_have_their_own_message_ids(url: &str) {
    let store = open(url).await;
    let sent = |id: &str, from_id: &str, from_user: Option<&str>| NewChatMessage {
        from_id: from_id.to_owned(),
        from_user: from_user.map(str::to_owned),
        message_id: Some("1".to_owned()),
        ..line(id)
    };

    let mut given = Vec::new();
    for (name, message) in [
        ("마당", sent("m1", "a", None)),
        ("마당", sent("m2", "b", None)),
        ("마당", sent("m3", "c", Some("a"))),
        ("마당", sent("m4", "d", Some("a "))),
        ("마당", sent("m5", "d", Some("A"))),
        ("other", sent("m1", "a", None)),
    ] {
        given.push(append(&store, &room(name), message).await.seq);
    }

    assert_eq!(given, [1, 2, 3, 4, 5, 1]);
    store.close().await;
}
