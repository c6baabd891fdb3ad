//! Revoked tokens, the record of moderation, webhook calls.

use madang::store::{AuditEntry, Delivery, NewDelivery};

use super::{at, madang, open, room};

pub(super) async fn revoked_tokens_are_forgotten_when_they_expire(url: &str) {
    let store = open(url).await;
    for (id, until) in [("a", 1_000), ("b", 2_000), ("B", 2_000), ("a", 3_000)] {
        store.revoke_token(id, at(until)).await.unwrap();
    }

    let early = store.revocations(at(1_999)).await.unwrap();
    let late = store.revocations(at(2_000)).await.unwrap();
    let forgotten = store.forget_revocations(at(2_000)).await.unwrap();

    let a = ("a".to_owned(), at(3_000));
    assert_eq!(early, [("B".to_owned(), at(2_000)), a.clone(), ("b".to_owned(), at(2_000))]);
    assert_eq!(late, std::slice::from_ref(&a));
    assert_eq!(forgotten, 2);
    assert_eq!(store.revocations(at(0)).await.unwrap(), [a]);
    store.close().await;
}

pub(super) async fn moderation_is_remembered_per_room(url: &str) {
    let store = open(url).await;
    let kick = AuditEntry {
        at: at(5),
        room: Some(madang()),
        actor: "하늘".to_owned(),
        action: "kick".to_owned(),
        target: Some("바다".to_owned()),
        detail: Some("{\"reason\":\"소음\"}".to_owned()),
    };
    let lock = AuditEntry { action: "lock".to_owned(), target: None, detail: None, ..kick.clone() };
    let elsewhere = AuditEntry { room: Some(room("other")), ..lock.clone() };
    let token = AuditEntry { room: None, action: "revoke".to_owned(), ..lock.clone() };
    for entry in [&kick, &elsewhere, &lock, &token] {
        store.record_audit(entry).await.unwrap();
    }

    let of_room = store.audit(Some(&madang()), None, 10).await.unwrap();
    let of_all = store.audit(None, None, 2).await.unwrap();
    let rest = store.audit(None, Some(of_all[1].0), 10).await.unwrap();

    let entries = |page: Vec<(u64, AuditEntry)>| page.into_iter().map(|(_, entry)| entry);
    assert_eq!(entries(of_room).collect::<Vec<_>>(), [lock.clone(), kick.clone()]);
    let all: Vec<_> = entries(of_all).chain(entries(rest)).collect();
    assert_eq!(all, [token, lock, elsewhere, kick]);
    store.close().await;
}

pub(super) async fn webhook_calls_wait_until_they_are_delivered(url: &str) {
    let store = open(url).await;
    let (hook, other) = ("https://example.com/hook?a=b", "https://example.com/훅");
    let call = |url: &str, body: &str| NewDelivery {
        url: url.to_owned(),
        body: body.to_owned(),
        at: at(100),
    };
    let calls = [call(hook, "1"), call(other, "2"), call(hook, "3"), call(hook, "4")];
    let given_up = store.queue_webhooks(&calls).await.unwrap();
    store.close().await;
    let store = open(url).await;

    let waiting = store.waiting_webhooks(hook, 10).await.unwrap();
    let first = store.waiting_webhooks(hook, 1).await.unwrap();
    store.webhook_delivered(waiting[1].id).await.unwrap();
    store.webhook_failed(waiting[0].id, 3, at(300)).await.unwrap();
    let left = store.waiting_webhooks(hook, 10).await.unwrap();
    let pending = store.pending_webhooks().await.unwrap();
    let forgotten = store.keep_webhooks_of(&[other.to_owned(), "x".to_owned()]).await.unwrap();

    assert_eq!((given_up, pending, forgotten), (0, 3, 2));
    assert_eq!(bodies(&waiting), ["1", "3", "4"]);
    assert_eq!(first, waiting[..1]);
    assert_eq!((waiting[0].attempts, waiting[0].at), (0, at(100)));
    assert_eq!(bodies(&left), ["1", "4"]);
    assert_eq!((left[0].attempts, left[0].at), (3, at(300)));
    assert_eq!(bodies(&store.waiting_webhooks(other, 10).await.unwrap()), ["2"]);
    assert_eq!(store.keep_webhooks_of(&[]).await.unwrap(), 1);
    assert_eq!(store.pending_webhooks().await.unwrap(), 0);
    store.close().await;
}

fn bodies(calls: &[Delivery]) -> Vec<&str> {
    calls.iter().map(|call| call.body.as_str()).collect()
}
