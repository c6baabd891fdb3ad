//! What a database server can be: away, somebody else's, far.

use std::time::Duration;

use jiff::Timestamp;
use madang::store::{NewChatMessage, Store, StoreError};

use crate::database::{Database, Kind};
use crate::stories::{append, line, madang, open, seqs};

/// Longer than the store takes to find out.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn writes_fail_while_the_database_is_away_and_work_again(database: &mut Database) {
    let store = open(&database.fresh().await).await;
    append(&store, &madang(), line("m1")).await;
    assert_eq!(store.trouble(), None);

    database.stop();
    let lost = store.append_chat(&madang(), line("lost")).await;
    let later = store.append_chat(&madang(), line("later")).await;
    let trouble = store.trouble();
    let question = store.last_seq(&madang()).await;

    assert!(matches!(lost, Err(StoreError::Failed(_) | StoreError::Away(_))), "{lost:?}");
    assert!(matches!(later, Err(StoreError::Away(_))), "{later:?}");
    assert!(question.is_err());
    assert!(trouble.is_some_and(|reason| reason.starts_with("the database is unreachable")));

    database.start_again().await;
    is_back(&store).await;
    append(&store, &madang(), line("m2")).await;
    let all = store.last_chat(&madang(), 10, None).await.unwrap();
    assert_eq!(seqs(&all), [1, 2]);
    store.close().await;
}

pub(crate) async fn a_password_is_not_told(database: &Database) {
    let url = database.fresh().await.replace("right-password", "wrong-password");

    let error = Store::open(&url.parse().unwrap()).await.unwrap_err().to_string();

    assert!(error.contains("madang:***@127.0.0.1"), "{error}");
    assert!(!error.contains("wrong-password"), "{error}");
}

pub(crate) async fn tls_is_used_when_the_url_asks(database: &Database) {
    let url = database.fresh().await;

    let store = open(&format!("{url}{}", database.tls())).await;
    append(&store, &madang(), line("m1")).await;
    let unknown = Store::open(&format!("{url}?sslmode=verify-full").parse().unwrap()).await;

    assert_eq!(store.last_seq(&madang()).await.unwrap(), 1);
    assert!(unknown.is_err(), "nobody that we trust has signed the certificate");
    store.close().await;
}

/// How fast it is, to be read, not judged.
pub(crate) async fn costs(database: &Database, kind: Kind) {
    let store = open(&database.fresh().await).await;
    for senders in [1, 10, 100] {
        let began = Timestamp::now();
        let each = if senders == 100 { 100 } else { 2_000 / senders };
        let tasks = (0..senders).map(|sender| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..each {
                    let id = format!("{senders}-{sender}-{n}");
                    let message_id = Some(id.clone());
                    append(&store, &madang(), NewChatMessage { message_id, ..line(&id) }).await;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let took = Timestamp::now().duration_since(began);
        let rate = f64::from(senders * each) / took.as_secs_f64();
        println!("{kind:?}: {senders} senders store {rate:.0} messages a second");
    }
    store.close().await;
}

async fn is_back(store: &Store) {
    let back = async {
        while store.trouble().is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("the store finds the database again");
}
