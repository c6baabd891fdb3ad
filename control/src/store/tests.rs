use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use madang_wire::{ChatMessage, RoomName};

use super::*;

#[tokio::test]
async fn messages_are_numbered_per_room_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;

    for n in 1..=3 {
        let stored = append(&store, "마당", line(&format!("m{n}"))).await;
        assert_eq!(stored.seq, n);
    }
    let elsewhere = append(&store, "other", line("m1")).await;

    assert_eq!(elsewhere.seq, 1);
    assert_eq!(seqs(&store.last_chat(&room("마당"), 2, None).await.unwrap()), [2, 3]);
    assert_eq!(seqs(&store.chat_since(&room("마당"), 1, 100, None).await.unwrap()), [2, 3]);
    assert_eq!(seqs(&store.chat_since(&room("마당"), 0, 2, None).await.unwrap()), [1, 2]);
    assert_eq!(seqs(&store.chat_since(&room("마당"), u64::MAX, 2, None).await.unwrap()), [0; 0]);
    assert_eq!(store.last_seq(&room("마당")).await.unwrap(), 3);
    assert_eq!(store.last_seq(&room("empty")).await.unwrap(), 0);
    assert_eq!(store.last_chat(&room("empty"), 10, None).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_read_is_what_was_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let message = NewChatMessage {
        from_name: "김하늘 👩‍👧".to_owned(),
        text: "안녕하세요\n'; DROP TABLE chat_messages; --\0 끝".to_owned(),
        reply_to: Some("m0".to_owned()),
        sent_at: "2026-01-02T03:04:05.678901Z".parse().unwrap(),
        ..line("m1")
    };

    let stored = append(&store, "마당", message.clone()).await;

    assert_eq!(stored.text, message.text.replace('\0', "\u{FFFD}"));
    assert_eq!(stored.from.name, message.from_name);
    assert_eq!(stored.reply_to, message.reply_to);
    assert_eq!(stored.sent_at.to_string(), "2026-01-02T03:04:05.678Z");
    assert_eq!(store.last_chat(&room("마당"), 1, None).await.unwrap(), [stored]);
}

#[tokio::test]
async fn concurrent_callers_leave_no_gap_and_get_different_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;

    // More than fit into the queue and into one transaction.
    let callers = (0..1500).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let stored = append(&store, "마당", line(&format!("m{n}"))).await;
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
    assert_eq!(seqs(&store.chat_since(&room("마당"), 0, 2000, None).await.unwrap()), all);
}

#[tokio::test]
async fn numbers_go_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.append_chat(&room("마당"), line("m1")).await.unwrap();
    store.close().await;

    let store = open(dir.path()).await;
    store.append_chat(&room("마당"), line("m2")).await.unwrap();
    // Without a farewell this time.
    drop(store);

    let store = open(dir.path()).await;
    let third = append(&store, "마당", line("m3")).await;
    assert_eq!(third.seq, 3);
    let ids = store.last_chat(&room("마당"), 10, None).await.unwrap();
    assert_eq!(ids.iter().map(|m| m.id.as_str()).collect::<Vec<_>>(), ["m1", "m2", "m3"]);
}

#[tokio::test]
async fn private_messages_are_for_their_two_ends() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let from_a_to_b = NewChatMessage { to: Some("b".to_owned()), ..line("m2") };
    for message in [line("m1"), from_a_to_b, line("m3")] {
        store.append_chat(&room("마당"), message).await.unwrap();
    }

    for (viewer, visible) in [
        (Some("a"), vec![1, 2, 3]),
        (Some("b"), vec![1, 2, 3]),
        (Some("c"), vec![1, 3]),
        (None, vec![1, 3]),
    ] {
        let viewer = viewer.map(|id: &str| Viewer { participant: id.to_owned(), user: None });
        let viewer = viewer.as_ref();
        let last = store.last_chat(&room("마당"), 10, viewer).await.unwrap();
        let since = store.chat_since(&room("마당"), 0, 10, viewer).await.unwrap();
        assert_eq!(seqs(&last), visible, "{viewer:?}");
        assert_eq!(since, last, "{viewer:?}");
    }
    let c = Viewer { participant: "c".to_owned(), user: None };
    let last_two = store.last_chat(&room("마당"), 2, Some(&c)).await.unwrap();
    assert_eq!(seqs(&last_two), [1, 3], "hidden ones don't count");
}

#[tokio::test]
async fn a_refused_message_takes_no_number_and_no_other_message_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.append_chat(&room("마당"), line("m1")).await.unwrap();

    let lobby = room("마당");
    let (again, next) =
        tokio::join!(store.append_chat(&lobby, line("m1")), store.append_chat(&lobby, line("m2")),);

    assert!(matches!(again, Err(StoreError::Refused(_))), "{again:?}");
    assert_eq!(next.unwrap().message().seq, 2);
}

#[tokio::test]
async fn a_closed_store_says_so_and_keeps_what_was_queued() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let kept = store.clone();
    let queued = tokio::spawn({
        let store = store.clone();
        async move { store.append_chat(&room("마당"), line("m1")).await }
    });
    let stored = queued.await.unwrap();

    store.close().await;
    let late = kept.append_chat(&room("마당"), line("m2")).await;
    let question = kept.last_seq(&room("마당")).await;

    assert!(stored.is_ok());
    assert!(matches!(late, Err(StoreError::Closed)), "{late:?}");
    assert!(matches!(question, Err(StoreError::Closed)), "{question:?}");
    assert_eq!(open(dir.path()).await.last_seq(&room("마당")).await.unwrap(), 1);
}

#[tokio::test]
async fn files_are_for_their_owner_alone_and_closing_folds_them_into_one() {
    let dir = tempfile::tempdir().unwrap();
    let modes = || {
        let entries = std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap);
        entries.map(|entry| entry.metadata().unwrap().mode() & 0o777).collect::<Vec<_>>()
    };
    let store = open(dir.path()).await;
    store.append_chat(&room("마당"), line("m1")).await.unwrap();

    let while_open = modes();
    store.close().await;

    assert_eq!(while_open, [0o600; 3], "database, log and index of the log");
    assert_eq!(modes(), [0o600]);
}

#[tokio::test]
async fn urls_that_cannot_work_are_explained() {
    for (url, expected) in [
        ("redis://localhost/madang", "must start with sqlite://"),
        ("sqlite::memory:", "in memory"),
        ("sqlite:///nowhere/to/be/found.db", "/nowhere/to/be/found.db"),
    ] {
        let error = Store::open(url).await.unwrap_err().to_string();

        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_commit_survives_the_death_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();

    let child = Command::new(program)
        .args(["--exact", "store::tests::dies_after_storing", "--nocapture"])
        .env(DIE_IN, dir.path())
        .output()
        .unwrap();

    assert_eq!(child.status.signal(), Some(9), "{child:?}");
    let store = open(dir.path()).await;
    assert_eq!(store.last_seq(&room("마당")).await.unwrap(), 20);
}

/// The child of the test above; on its own it does nothing.
#[tokio::test]
async fn dies_after_storing() {
    let Some(dir) = std::env::var_os(DIE_IN) else {
        return;
    };
    let store = open(Path::new(&dir)).await;
    for n in 1..=20 {
        store.append_chat(&room("마당"), line(&format!("m{n}"))).await.unwrap();
    }
    Command::new("kill").args(["-9", &std::process::id().to_string()]).status().unwrap();
    // The signal is on its way; nothing may be tidied up before it arrives.
    std::future::pending::<()>().await;
}

const DIE_IN: &str = "MADANG_TEST_DIE_IN";

async fn append(store: &Store, name: &str, message: NewChatMessage) -> ChatMessage {
    match store.append_chat(&room(name), message).await.unwrap() {
        Appended::Stored(message) => message,
        Appended::Known(message) => panic!("stored before: {message:?}"),
    }
}

async fn open(dir: &Path) -> Store {
    Store::open(&format!("sqlite://{}", dir.join("madang.db").display())).await.unwrap()
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn line(id: &str) -> NewChatMessage {
    NewChatMessage {
        id: id.to_owned(),
        from_id: "a".to_owned(),
        from_name: "하늘".to_owned(),
        from_user: None,
        text: "안녕".to_owned(),
        to: None,
        to_user: None,
        reply_to: None,
        message_id: None,
        sent_at: Timestamp::UNIX_EPOCH,
    }
}

fn seqs(messages: &[ChatMessage]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}
