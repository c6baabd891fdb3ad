//! From older schemas to the present one.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, Connection, SqlSafeStr};

use super::{append, at, ids, line, madang, open, room, run_sql, seqs};

pub(super) async fn a_database_of_the_first_version_is_brought_up_to_date(url: &str) {
    make_first_version(url).await;
    let values = [
        "'마당', 1, 'm1', 'a', '하늘', 'Hello 안녕', NULL, NULL, 1000",
        "'마당', 2, 'm2', 'b', '바다', '비밀', 'a', 'm1', 2000",
        "'other', 7, 'm1', 'a', '하늘', '', NULL, NULL, 3000",
    ];
    for values in values {
        let insert = "INSERT INTO chat_messages (room, seq, id, from_id, from_name, text, to_id, reply_to, sent_at)";
        run_sql(url, format!("{insert} VALUES ({values})")).await;
    }

    let store = open(url).await;

    let all = store.last_chat(&madang(), 10, Some(&super::guest("a"))).await.unwrap();
    assert_eq!(ids(&all), ["m1", "m2"]);
    assert_eq!((all[0].text.as_str(), all[0].deleted), ("Hello 안녕", false));
    let found = store.search_chat(&madang(), "hello 안녕", None, 10, None).await.unwrap();
    assert_eq!(seqs(&found), [1]);
    let record = store.room(&madang()).await.unwrap().unwrap();
    assert_eq!((record.last_seq, record.created_at), (2, at(1_000)));
    assert_eq!(append(&store, &madang(), line("m3")).await.seq, 3);
    assert_eq!(append(&store, &room("other"), line("m2")).await.seq, 8);
    store.close().await;
}

pub(super) async fn a_store_opens_again_and_again(url: &str) {
    // At the same time, as two servers do that are started together.
    let [left, right] = [0, 1].map(|_| {
        let url = url.to_owned();
        tokio::spawn(async move { open(&url).await })
    });
    let (left, right) = (left.await.unwrap(), right.await.unwrap());
    append(&left, &madang(), line("m1")).await;
    left.close().await;
    right.close().await;

    let store = open(url).await;

    assert_eq!(store.last_seq(&madang()).await.unwrap(), 1);
    store.close().await;
}

async fn make_first_version(url: &str) {
    sqlx::any::install_default_drivers();
    let (url, sql) = match url.split(':').next() {
        Some("sqlite") => {
            let url = format!("{url}?mode=rwc");
            (url, include_str!("../../../migrations/sqlite/0001_chat.sql"))
        }
        Some("postgres") => {
            (url.to_owned(), include_str!("../../../migrations/postgres/0001_chat.sql"))
        }
        _ => (url.to_owned(), include_str!("../../../migrations/mysql/0001_chat.sql")),
    };
    let kind = MigrationType::Simple;
    let first = Migration::new(1, "chat".into(), kind, sql.into_sql_str(), false);
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    Migrator::with_migrations(vec![first]).run(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
