//! Who reads what.

use madang::store::{Appended, ChatRecord, NewChatMessage, Viewer};

use super::{append, at, guest, ids, line, madang, open, room, seqs};

pub(super) async fn what_is_read_is_what_was_stored(url: &str) {
    let store = open(url).await;
    let message = NewChatMessage {
        from_name: "김하늘 👩‍👧".to_owned(),
        from_user: Some("하늘@example.com".to_owned()),
        text: "안녕하세요\n'; DROP TABLE chat_messages; -- \\' \" % _ ? $1 \0 끝 ".to_owned(),
        reply_to: Some("m0".to_owned()),
        to: Some("b".to_owned()),
        to_user: Some("바다 ".to_owned()),
        sent_at: "2026-01-02T03:04:05.678901Z".parse().unwrap(),
        ..line("m1")
    };

    let stored = append(&store, &madang(), message.clone()).await;

    assert_eq!(stored.text, message.text.replace('\0', "\u{FFFD}"), "PostgreSQL has no NUL");
    assert_eq!(stored.from.name, message.from_name);
    assert_eq!(stored.reply_to, message.reply_to);
    assert_eq!(stored.sent_at.to_string(), "2026-01-02T03:04:05.678Z");
    let read = store.chat_message(&madang(), "m1").await.unwrap().unwrap();
    let ChatRecord { message: read, from_user, to_user } = read;
    assert_eq!(read, stored);
    assert_eq!((from_user, to_user), (message.from_user, message.to_user));
    assert_eq!(store.last_chat(&madang(), 1, Some(&guest("b"))).await.unwrap(), [stored]);
    assert_eq!(store.chat_message(&madang(), "m2").await.unwrap(), None);
    store.close().await;
}

pub(super) async fn private_messages_are_for_their_two_ends(url: &str) {
    let store = open(url).await;
    let from_a_to_b = NewChatMessage { to: Some("b".to_owned()), ..line("m2") };
    for message in [line("m1"), from_a_to_b, line("m3")] {
        append(&store, &madang(), message).await;
    }

    for (viewer, visible) in [
        (Some(guest("a")), vec![1, 2, 3]),
        (Some(guest("b")), vec![1, 2, 3]),
        (Some(guest("c")), vec![1, 3]),
        (None, vec![1, 3]),
    ] {
        let last = store.last_chat(&madang(), 10, viewer.as_ref()).await.unwrap();
        let since = store.chat_since(&madang(), 0, 10, viewer.as_ref()).await.unwrap();
        assert_eq!(seqs(&last), visible, "{viewer:?}");
        assert_eq!(since, last, "{viewer:?}");
    }
    let last_two = store.last_chat(&madang(), 2, Some(&guest("c"))).await.unwrap();
    assert_eq!(seqs(&last_two), [1, 3], "hidden ones don't count");
    store.close().await;
}

pub(super) async fn a_user_finds_their_private_messages_as_another_participant(url: &str) {
    let store = open(url).await;
    let private = NewChatMessage {
        from_user: Some("하늘".to_owned()),
        to: Some("b".to_owned()),
        to_user: Some("바다".to_owned()),
        ..line("m1")
    };
    let to_a_guest = NewChatMessage { to: Some("c".to_owned()), ..line("m2") };
    for message in [private, to_a_guest] {
        append(&store, &madang(), message).await;
    }

    for (user, visible) in
        [(Some("하늘"), vec![1]), (Some("바다"), vec![1]), (Some("산"), vec![]), (None, vec![])]
    {
        let viewer = Viewer { participant: "z".to_owned(), user: user.map(str::to_owned) };
        let last = store.last_chat(&madang(), 10, Some(&viewer)).await.unwrap();
        assert_eq!(seqs(&last), visible, "{user:?}");
    }
    store.close().await;
}

pub(super) async fn a_deleted_message_leaves_its_place(url: &str) {
    let store = open(url).await;
    let sent = NewChatMessage { message_id: Some("c1".to_owned()), ..line("m1") };
    append(&store, &madang(), sent.clone()).await;
    append(&store, &madang(), line("m2")).await;

    let left = store.delete_chat(&madang(), "m1", at(5)).await.unwrap().unwrap();
    let again = store.delete_chat(&madang(), "m1", at(6)).await.unwrap().unwrap();

    assert_eq!((left.seq, left.text.as_str(), left.deleted), (1, "", true));
    assert_eq!(left.from.name, "하늘");
    assert_eq!(again, left);
    let all = store.last_chat(&madang(), 10, None).await.unwrap();
    assert_eq!(all[0], left);
    assert!(!all[1].deleted);
    let sent_again = store.append_chat(&madang(), sent).await.unwrap();
    assert_eq!(sent_again, Appended::Known(left), "it does not come back");
    assert_eq!(store.delete_chat(&madang(), "m3", at(5)).await.unwrap(), None);
    assert_eq!(store.delete_chat(&room("other"), "m2", at(5)).await.unwrap(), None);
    store.close().await;
}

pub(super) async fn what_is_old_goes_and_the_numbers_go_on(url: &str) {
    let store = open(url).await;
    // The clock went back once.
    for (n, ms) in [(1, 100), (2, 300), (3, 200), (4, 400)] {
        let message = NewChatMessage { sent_at: at(ms), ..line(&format!("m{n}")) };
        append(&store, &madang(), message).await;
    }
    append(&store, &room("other"), line("m1")).await;

    let some = store.purge_chat(&madang(), at(300)).await.unwrap();
    let left = store.last_chat(&madang(), 10, None).await.unwrap();
    let all = store.purge_chat(&madang(), at(1000)).await.unwrap();
    store.close().await;
    let store = open(url).await;
    let next = append(&store, &madang(), line("m5")).await;

    assert_eq!((some, all), (2, 2));
    assert_eq!(seqs(&left), [2, 4]);
    assert_eq!(next.seq, 5);
    assert_eq!(store.last_seq(&room("other")).await.unwrap(), 1);
    assert_eq!(store.last_chat(&room("other"), 10, None).await.unwrap().len(), 1);
    store.close().await;
}

pub(super) async fn pages_lead_from_the_end_to_the_beginning(url: &str) {
    let store = open(url).await;
    for n in 1..=5 {
        append(&store, &madang(), line(&format!("m{n}"))).await;
    }

    let mut pages = Vec::new();
    let mut before = u64::MAX;
    loop {
        let page = store.chat_before(&madang(), before, 2, None).await.unwrap();
        let Some(first) = page.first() else { break };
        before = first.seq;
        pages.push(ids(&page).join(" "));
    }

    assert_eq!(pages, ["m4 m5", "m2 m3", "m1"]);
    store.close().await;
}
