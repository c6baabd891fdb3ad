//! The stored chat over REST.

use madang::Server;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::rest::{Answer, Rest, start_with};
use super::stomp_client::Client;

/// Messages of a page, as (seq, text).
fn seqs(answer: &Answer) -> Vec<(u64, String)> {
    let messages = answer.is(200).body["messages"].as_array().unwrap().iter();
    let pair = |message: &Value| {
        (message["seq"].as_u64().unwrap(), message["text"].as_str().unwrap().to_owned())
    };
    messages.map(pair).collect()
}

/// A room `team` with two users and `count` messages of Ann's in it: "message 1" …
struct Chat {
    server: Server,
    _dir: TempDir,
    rest: Rest,
    ann: (Rest, Client),
    bob: (Rest, Client),
    /// Bob's participant.
    bob_id: String,
}

async fn chat(count: u32) -> Chat {
    let (server, _dir, rest) = start_with(|settings| {
        settings.auth.required = true;
        settings.limits.messages_per_second = 0;
    })
    .await;
    rest.post("/rooms", json!({ "name": "team" })).await.is(201);
    let ann = rest.user("ann", "team", "speaker").await;
    let bob = rest.user("bob", "team", "speaker").await;
    let client = Client::connect_with(&server, ann.credential()).await;
    let (mut in_room, _) = client.into_room("team", "Ann").await;
    let client = Client::connect_with(&server, bob.credential()).await;
    let (bobs, joined) = client.into_room("team", "Bob").await;
    for n in 1..=count {
        in_room.chat("team", &format!("message {n}")).await;
    }
    let bob_id = joined["participant"]["id"].as_str().unwrap().to_owned();
    Chat { server, _dir, rest, ann: (ann, in_room), bob: (bob, bobs), bob_id }
}

#[tokio::test]
async fn the_chat_is_paged_back_and_forth() {
    let Chat { server, _dir, rest, ann, .. } = chat(5).await;

    let last = ann.0.get("/rooms/team/messages?limit=2").await;
    let before = rest.get(last.body["prev"].as_str().unwrap()).await;
    let first = rest.get(before.body["prev"].as_str().unwrap()).await;
    let forth = rest.get(first.body["next"].as_str().unwrap()).await;
    let all = rest.get("/rooms/team/messages?after=0").await;

    let texts = |answer: &Answer| seqs(answer).into_iter().map(|(seq, _)| seq).collect::<Vec<_>>();
    assert_eq!(seqs(&last), [(4, "message 4".to_owned()), (5, "message 5".to_owned())]);
    assert_eq!(last.body.get("next"), None);
    assert_eq!(last.header("link"), "</api/v1/rooms/team/messages?before=4&limit=2>; rel=\"prev\"");
    assert_eq!(texts(&before), [2, 3]);
    assert_eq!(texts(&first), [1]);
    assert_eq!(first.body.get("prev"), None);
    assert_eq!(texts(&forth), [2, 3]);
    assert_eq!(texts(&all), [1, 2, 3, 4, 5]);
    for wrong in [
        "before=1&after=1",
        "limit=0",
        "limit=501",
        "before=x",
        "after=-1",
        "after=9223372036854775808",
    ] {
        let answer = rest.get(&format!("/rooms/team/messages?{wrong}")).await;
        answer.is_problem(400, "bad_request");
    }
    rest.get("/rooms/none/messages").await.is_problem(404, "no_such_room");
    server.shutdown().await;
}

#[tokio::test]
async fn private_messages_are_for_their_two_ends() {
    let Chat { server, _dir, rest, ann, mut bob, bob_id, .. } = chat(1).await;
    let (ann, mut in_room) = ann;
    let body = json!({ "text": "secret", "to": bob_id }).to_string();
    in_room.send("/app/rooms/team/chat", &[("receipt", "r")], &body).await;
    in_room.receipt("r").await;
    bob.1.chat("team", "hello").await;
    let host = rest.user("cho", "team", "host").await;

    let count = |answer: Answer| seqs(&answer).len();
    for (reader, messages, found) in [(&ann, 3, 1), (&bob.0, 3, 1), (&host, 2, 0), (&rest, 2, 0)] {
        assert_eq!(count(reader.get("/rooms/team/messages").await), messages);
        assert_eq!(count(reader.get("/rooms/team/messages/search?q=secret").await), found);
    }
    let export = host.get("/rooms/team/export").await;
    assert!(!export.text.contains("secret"), "{}", export.text);
    server.shutdown().await;
}

#[tokio::test]
async fn the_chat_is_searched() {
    let Chat { server, _dir, rest, mut ann, .. } = chat(3).await;
    ann.1.chat("team", "회의는 세 시에 시작합니다").await;

    let korean = rest.get("/rooms/team/messages/search?q=%ED%9A%8C%EC%9D%98").await;
    let page = rest.get("/rooms/team/messages/search?q=MESSAGE&limit=2").await;
    let next = rest.get(page.body["next"].as_str().unwrap()).await;

    assert_eq!(seqs(&korean)[0].0, 4);
    assert_eq!(seqs(&page).iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(seqs(&next), [(1, "message 1".to_owned())]);
    assert!(page.header("link").ends_with("rel=\"next\""));
    for wrong in ["", "?q=", "?q=%20", "?q=a&limit=x"] {
        let answer = rest.get(&format!("/rooms/team/messages/search{wrong}")).await;
        answer.is_problem(400, "bad_request");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn authors_and_moderators_delete_messages() {
    let Chat { server, _dir, rest, ann, mut bob, .. } = chat(2).await;
    bob.1.subscribe("events", "/topic/rooms/team/events", &[]).await;
    let page = rest.get("/rooms/team/messages").await;
    let path = |n: usize| {
        format!("/rooms/team/messages/{}", page.body["messages"][n]["id"].as_str().unwrap())
    };

    bob.0.delete(&path(0)).await.is_problem(404, "not_found");
    ann.0.delete(&path(0)).await.is(204);
    let deleted = bob.1.message_of_type("events", "message_deleted").await;
    rest.delete(&path(1)).await.is(204);
    rest.delete(&path(1)).await.is_problem(404, "not_found");
    rest.delete("/rooms/team/messages/nothing").await.is_problem(404, "not_found");

    assert_eq!(deleted["seq"], 1);
    let left = rest.get("/rooms/team/messages").await;
    assert_eq!(seqs(&left), [(1, String::new()), (2, String::new())]);
    assert_eq!(left.body["messages"][0]["deleted"], true);
    server.shutdown().await;
}

#[tokio::test]
async fn the_export_has_every_message_on_a_line() {
    let Chat { server, _dir, rest, ann, .. } = chat(250).await;

    let export = rest.get("/rooms/team/export").await;

    assert_eq!(export.is(200).header("content-type"), "application/jsonl; charset=utf-8");
    assert_eq!(export.header("content-disposition"), "attachment; filename*=UTF-8''team.jsonl");
    let lines: Vec<Value> =
        export.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seqs: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=250).collect::<Vec<_>>());
    assert_eq!(
        (&lines[0]["text"], &lines[0]["from"]["name"]),
        (&json!("message 1"), &json!("Ann"))
    );
    ann.0.get("/rooms/team/export").await.is_problem(403, "not_allowed");
    rest.get("/rooms/none/export").await.is_problem(404, "no_such_room");
    server.shutdown().await;
}

#[tokio::test]
async fn what_one_would_have_to_pass_to_come_in_counts_for_reading_too() {
    let Chat { server, _dir, rest, ann, .. } = chat(1).await;
    let host = rest.user("cho", "team", "host").await;
    let set = |patch: Value| rest.patch("/rooms/team", patch);

    set(json!({ "password": "open sesame" })).await.is(200);
    ann.0.get("/rooms/team/messages").await.is_problem(403, "wrong_password");
    host.get("/rooms/team/messages").await.is(200);
    set(json!({ "password": null, "locked": true })).await.is(200);
    ann.0.get("/rooms/team/messages").await.is_problem(409, "room_locked");
    set(json!({ "locked": false, "settings": { "waiting_room": true } })).await.is(200);
    ann.0.get("/rooms/team/messages/search?q=a").await.is_problem(409, "waiting");
    set(json!({ "settings": { "waiting_room": false } })).await.is(200);
    ann.0.get("/rooms/team/messages").await.is(200);
    server.shutdown().await;
}
