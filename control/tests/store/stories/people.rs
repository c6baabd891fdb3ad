//! Roles and bans.

use madang::store::{Ban, MOST_PEOPLE, StoreError};
use madang_wire::Role;

use super::{at, madang, open, room, run_sql};

pub(super) async fn a_role_is_kept_until_it_is_cleared(url: &str) {
    let store = open(url).await;
    store.set_role(&madang(), "하늘", Role::Speaker).await.unwrap();
    store.set_role(&madang(), "바다", Role::Listener).await.unwrap();
    store.set_role(&room("other"), "하늘", Role::Listener).await.unwrap();

    store.set_role(&madang(), "하늘", Role::Host).await.unwrap();
    let both = store.roles(&madang()).await.unwrap();
    let cleared = store.clear_role(&madang(), "바다").await.unwrap();
    let cleared_again = store.clear_role(&madang(), "바다").await.unwrap();

    assert_eq!(both, [("바다".to_owned(), Role::Listener), ("하늘".to_owned(), Role::Host)]);
    assert!(cleared && !cleared_again);
    assert_eq!(store.role_of(&madang(), "하늘").await.unwrap(), Some(Role::Host));
    assert_eq!(store.role_of(&madang(), "바다").await.unwrap(), None);
    assert_eq!(store.roles(&madang()).await.unwrap(), [("하늘".to_owned(), Role::Host)]);
    assert_eq!(store.roles(&room("other")).await.unwrap().len(), 1);
    store.close().await;
}

pub(super) async fn names_are_compared_exactly(url: &str) {
    let store = open(url).await;
    let names = ["Alice", "alice", "alice ", "\u{1112}\u{1161}", "ß", "ss", "하"];

    for name in names {
        store.set_role(&madang(), name, Role::Speaker).await.unwrap();
        store.set_role(&room("Lobby"), name, Role::Speaker).await.unwrap();
    }

    let mut kept: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    kept.sort();
    let roles = store.roles(&madang()).await.unwrap();
    assert_eq!(roles.into_iter().map(|(user, _)| user).collect::<Vec<_>>(), kept);
    assert_eq!(store.roles(&room("lobby")).await.unwrap(), []);
    assert!(!store.clear_role(&madang(), "ALICE").await.unwrap());
    assert_eq!(store.role_of(&madang(), "ALICE").await.unwrap(), None);
    store.close().await;
}

pub(super) async fn a_ban_is_kept_until_it_is_lifted(url: &str) {
    let store = open(url).await;
    let for_ever = ban("하늘");
    let for_a_while = Ban {
        token: Some("jti-1".to_owned()),
        until: Some(at(86_400_000)),
        reason: Some("여러 번 말했는데도".to_owned()),
        ..ban("바다")
    };
    store.ban(&madang(), &for_ever).await.unwrap();
    store.ban(&madang(), &ban("바다")).await.unwrap();

    store.ban(&madang(), &for_a_while).await.unwrap();
    let both = store.bans(&madang()).await.unwrap();
    let lifted = store.unban(&madang(), "하늘").await.unwrap();
    let lifted_again = store.unban(&madang(), "하늘").await.unwrap();

    assert_eq!(both, [for_a_while.clone(), for_ever]);
    assert!(lifted && !lifted_again);
    assert_eq!(store.ban_of(&madang(), "바다").await.unwrap().as_ref(), Some(&for_a_while));
    assert_eq!(store.ban_of(&madang(), "하늘").await.unwrap(), None);
    assert_eq!(store.bans(&madang()).await.unwrap(), [for_a_while]);
    assert_eq!(store.bans(&room("other")).await.unwrap(), []);
    store.close().await;
}

pub(super) async fn there_is_a_most_of_people(url: &str) {
    let store = open(url).await;
    let rows: Vec<_> = (0..MOST_PEOPLE).map(|n| format!("('마당', 'u{n}', 'speaker')")).collect();
    run_sql(url, format!("INSERT INTO roles (room, user_id, role) VALUES {}", rows.join(",")))
        .await;
    let rows: Vec<_> = (0..MOST_PEOPLE).map(|n| format!("('마당', 'u{n}', 'h', 0)")).collect();
    let insert = "INSERT INTO bans (room, user_id, made_by, made_at) VALUES";
    run_sql(url, format!("{insert} {}", rows.join(","))).await;

    let one_more = store.set_role(&madang(), "하늘", Role::Host).await;
    let one_more_ban = store.ban(&madang(), &ban("하늘")).await;
    let known = store.set_role(&madang(), "u7", Role::Host).await;
    let elsewhere = store.set_role(&room("other"), "하늘", Role::Host).await;

    assert!(matches!(one_more, Err(StoreError::Refused(_))), "{one_more:?}");
    assert!(matches!(one_more_ban, Err(StoreError::Refused(_))), "{one_more_ban:?}");
    assert!(known.is_ok() && elsewhere.is_ok());
    let roles = store.roles(&madang()).await.unwrap();
    assert_eq!(roles.len(), MOST_PEOPLE as usize);
    assert!(roles.contains(&("u7".to_owned(), Role::Host)));
    store.close().await;
}

fn ban(user: &str) -> Ban {
    Ban {
        user: user.to_owned(),
        token: None,
        until: None,
        reason: None,
        by: "host".to_owned(),
        at: at(1_234),
    }
}
