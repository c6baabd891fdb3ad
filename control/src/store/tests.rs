//! Tests of behaviour specific to SQLite. `tests/store/stories` tests what all databases have in common.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use madang_wire::RoomName;

use super::trouble::Shortage;
use super::*;
use crate::store::StoreError;

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
async fn a_file_that_cannot_be_opened_is_named() {
    let error =
        Store::open(&"sqlite:///nowhere/to/be/found.db".parse().unwrap()).await.unwrap_err();

    assert!(error.to_string().contains("/nowhere/to/be/found.db"), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_named_and_the_store_works_again_once_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), "PRAGMA max_page_count = 64").await;
    let long = |n: u32| NewChatMessage { text: "x".repeat(8_000), ..line(&format!("m{n}")) };

    let mut stored = 0;
    let refused = loop {
        match store.append_chat(&room("마당"), long(stored)).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    let trouble = store.trouble();
    // The connection that was opened in place of the failed one has no maximum, as if space had been made.
    let next = store.append_chat(&room("마당"), long(stored)).await;

    assert!(stored > 0);
    assert!(matches!(refused, StoreError::Full), "{refused}");
    assert_eq!(trouble.as_deref(), Some("the disk of the database is full"));
    assert!(next.is_ok(), "{next:?}");
    assert_eq!(store.last_seq(&room("마당")).await.unwrap(), u64::from(stored) + 1);
    is_back(&store).await;
    assert_eq!(store.stats(), StoreStats { failed_changes: 1, ..StoreStats::default() });
}

#[tokio::test]
async fn a_store_that_nobody_writes_to_notices_that_it_can_be_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), "PRAGMA query_only = on").await;

    let refused = store.append_chat(&room("마당"), line("m1")).await;
    let trouble = store.trouble();

    assert!(matches!(refused, Err(StoreError::Failing(_))), "{refused:?}");
    assert!(trouble.is_some_and(|reason| reason.starts_with("the database can't be written")));
    is_back(&store).await;
}

#[tokio::test]
async fn chat_is_refused_while_the_disk_is_almost_full_and_all_else_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let mut address = address(dir.path());
    let mut connection = address.connect().await.unwrap();
    address.migrate(&mut connection).await.unwrap();
    // Nothing is found out about this file, so what the test says remains.
    address.file = Some("/nowhere".into());
    let store = start(address, connection, 1);

    store.trouble.set_free(1, Some(Shortage { free: 1, keep: 2 }));
    let chat = store.append_chat(&room("마당"), line("m2")).await;
    let other = store.revoke_token("t1", Timestamp::MAX).await;
    let trouble = store.trouble();

    assert!(matches!(chat, Err(StoreError::AlmostFull)), "{chat:?}");
    assert!(other.is_ok(), "{other:?}");
    assert!(trouble.is_some_and(|reason| reason.contains("limits.store_free_bytes")));
    assert_eq!(store.stats().free_bytes, 1);
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

/// The child process of the test above; on its own it does nothing.
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
    // The signal is on its way. Nothing may be cleaned up before it arrives.
    std::future::pending::<()>().await;
}

const DIE_IN: &str = "MADANG_TEST_DIE_IN";

async fn open(dir: &Path) -> Store {
    Store::open(&StoreUrl::of_file(&dir.join("madang.db"))).await.unwrap()
}

/// A store whose first connection for writing has had this statement.
async fn open_with(dir: &Path, statement: &'static str) -> Store {
    open(dir).await.close().await;
    let address = address(dir);
    let mut connection = address.connect().await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    start(address, connection, 0)
}

fn address(dir: &Path) -> Address {
    Address::find(&StoreUrl::of_file(&dir.join("madang.db"))).unwrap()
}

fn start(address: Address, connection: sqlx::AnyConnection, free: u64) -> Store {
    let readers = Readers::new(&address);
    let link = Link::new(address, connection, free);
    Store { trouble: link.watch(), writer: Writer::start(link), readers }
}

async fn is_back(store: &Store) {
    let back = async {
        while store.trouble().is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), back).await.expect("the store works again");
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
