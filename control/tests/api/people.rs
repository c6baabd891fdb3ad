//! Who is in a room, what moderators do, roles and bans.

use serde_json::{Value, json};

use super::rest::{Rest, start, start_with};
use super::stomp_client::Client;

#[tokio::test]
async fn those_in_a_room_are_shown() {
    let (server, _dir, rest) = start_with(|_| {}).await;
    let (_ann, joined) = Client::join(&server, "team", "Ann").await;
    rest.patch("/rooms/team", json!({ "settings": { "waiting_room": true } })).await.is(200);
    let mut bob = Client::connect(&server).await;
    let waits = bob.request("team", "join", r#"{"name":"Bob"}"#).await;

    let all = rest.get("/rooms/team/participants").await;
    let speaker = rest.user("cho", "team", "speaker").await.get("/rooms/team/participants").await;

    assert_eq!(waits["code"], "waiting");
    assert_eq!(all.is(200).body["participants"], json!([joined["participant"]]));
    assert_eq!(all.body["waiting"][0]["name"], "Bob");
    speaker.is_problem(409, "waiting");
    server.shutdown().await;
}

#[tokio::test]
async fn a_speakers_token_shows_who_is_in_and_not_who_waits() {
    let (server, _dir, rest) = start().await;
    rest.post("/rooms", json!({ "name": "team" })).await.is(201);
    let speaker = rest.user("bob", "team", "speaker").await;

    let shown = speaker.get("/rooms/team/participants").await;

    assert_eq!(shown.is(200).body, json!({ "participants": [] }));
    server.shutdown().await;
}

#[tokio::test]
async fn moderation_works_as_over_stomp() {
    let (server, _dir, rest) = start_with(|_| {}).await;
    let (mut ann, joined) = Client::join(&server, "team", "Ann").await;
    let id = joined["participant"]["id"].as_str().unwrap();
    ann.subscribe("events", "/topic/rooms/team/events", &[]).await;
    let act = |body: Value| rest.post("/rooms/team/moderation", body);

    act(json!({ "action": "mute", "participant": id })).await.is(204);
    let muted = ann.message_of_type("events", "participant_changed").await;
    act(json!({ "action": "lock" })).await.is(204);
    act(json!({ "action": "mute", "participant": "nobody" }))
        .await
        .is_problem(404, "no_such_participant");
    act(json!({ "action": "mute" })).await.is_problem(400, "bad_request");
    act(json!({ "action": "dance" })).await.is_problem(400, "bad_request");
    act(json!({ "action": "kick", "participant": id, "value": "too loud" })).await.is(204);
    let kicked = ann.message_of_type("signal", "kicked").await;

    assert_eq!(muted["participant"]["muted"], true);
    assert_eq!(kicked["reason"], "too loud");
    assert_eq!(rest.get("/rooms/team/participants").await.body["participants"], json!([]));
    server.shutdown().await;
}

#[tokio::test]
async fn tokens_moderate_with_their_own_rights() {
    let (server, _dir, rest) = start().await;
    rest.post("/rooms", json!({ "name": "team" })).await.is(201);
    let host = rest.user("ann", "team", "host").await;
    let speaker = rest.user("bob", "team", "speaker").await;
    let body = json!({ "user": "cho", "room": "team", "moderate": true });
    let minted = rest.post("/tokens", body).await;
    let moderator = rest.with(minted.body["token"].as_str().unwrap());
    let in_room = Client::connect_with(&server, host.credential()).await;
    let (_in_room, joined) = in_room.into_room("team", "Ann").await;
    let mute = json!({ "action": "mute", "participant": joined["participant"]["id"] });
    let act = |rest: &Rest| {
        let (rest, mute) = (rest.clone(), mute.clone());
        async move { rest.post("/rooms/team/moderation", mute).await }
    };

    act(&speaker).await.is_problem(403, "not_allowed");
    // Who is no host acts on no host.
    act(&moderator).await.is_problem(403, "not_allowed");
    moderator
        .post("/rooms/team/bans", json!({ "user": "ann" }))
        .await
        .is_problem(403, "not_allowed");
    let role = json!({ "role": "host" });
    moderator.put("/rooms/team/roles/dan", role.clone()).await.is_problem(403, "not_allowed");
    host.put("/rooms/team/roles/dan", role).await.is(204);
    moderator.delete("/rooms/team/roles/dan").await.is_problem(403, "not_allowed");
    act(&host).await.is(204);
    server.shutdown().await;
}

#[tokio::test]
async fn a_kept_role_wins_over_the_tokens() {
    let (server, _dir, rest) = start().await;
    rest.post("/rooms", json!({ "name": "team" })).await.is(201);
    let ann = rest.user("ann", "team", "listener").await;
    let user = "%EC%95%84%EB%9E%8C%40example.org";

    rest.put("/rooms/team/roles/ann", json!({ "role": "host" })).await.is(204);
    rest.put(&format!("/rooms/team/roles/{user}"), json!({ "role": "speaker" })).await.is(204);
    let roles = ann.get("/rooms/team/roles").await;
    let client = Client::connect_with(&server, ann.credential()).await;
    let (_client, joined) = client.into_room("team", "Ann").await;
    rest.delete("/rooms/team/roles/ann").await.is(204);
    let again = rest.delete("/rooms/team/roles/ann").await;

    let expected = json!([
        { "user": "ann", "role": "host" }, { "user": "아람@example.org", "role": "speaker" },
    ]);
    assert_eq!(roles.is(200).body["roles"], expected);
    assert_eq!(joined["participant"]["role"], "host");
    again.is_problem(404, "not_found");
    ann.get("/rooms/team/roles").await.is_problem(403, "not_allowed");
    rest.put("/rooms/team/roles/ann", json!({ "role": "king" }))
        .await
        .is_problem(400, "bad_request");
    let long = "u".repeat(129);
    let role = json!({ "role": "host" });
    rest.put(&format!("/rooms/team/roles/{long}"), role).await.is_problem(400, "bad_request");
    server.shutdown().await;
}

#[tokio::test]
async fn a_ban_removes_a_user_and_keeps_them_out_until_it_is_lifted() {
    let (server, _dir, rest) = start().await;
    rest.post("/rooms", json!({ "name": "team" })).await.is(201);
    let ann = rest.user("ann", "team", "speaker").await;
    let client = Client::connect_with(&server, ann.credential()).await;
    let (mut client, _) = client.into_room("team", "Ann").await;

    let ban = json!({ "user": "ann", "reason": "spam", "until": "2099-01-01T00:00:00Z" });
    rest.post("/rooms/team/bans", ban).await.is(204);
    client.message_of_type("signal", "kicked").await;
    let refused = client.request("team", "join", r#"{"name":"Ann"}"#).await;
    let bans = rest.get("/rooms/team/bans").await;
    let reading = ann.get("/rooms/team/messages").await;
    rest.delete("/rooms/team/bans/ann").await.is(204);
    let joined = client.request("team", "join", r#"{"name":"Ann"}"#).await;

    assert_eq!(refused["code"], "not_allowed");
    let shown = &bans.is(200).body["bans"][0];
    assert_eq!((&shown["user"], &shown["reason"]), (&json!("ann"), &json!("spam")));
    assert_eq!((&shown["until"], &shown["by"]), (&json!("2099-01-01T00:00:00Z"), &json!("api")));
    reading.is_problem(403, "not_allowed");
    assert_eq!(joined["type"], "joined", "{joined}");
    rest.delete("/rooms/team/bans/ann").await.is_problem(404, "not_found");
    for wrong in [json!({}), json!({ "user": "" }), json!({ "user": "a", "until": "soon" })] {
        rest.post("/rooms/team/bans", wrong).await.is_problem(400, "bad_request");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn the_record_of_moderation_tells_who_did_what() {
    let (server, _dir, rest) = start().await;
    rest.post("/rooms", json!({ "name": "team" })).await.is(201);
    let host = rest.user("ann", "team", "host").await;
    host.patch("/rooms/team", json!({ "locked": true })).await.is(200);
    rest.post("/rooms/team/bans", json!({ "user": "eve", "reason": "spam" })).await.is(204);

    let page = host.get("/rooms/team/audit?limit=2").await;
    let next = page.is(200).body["next"].as_u64().unwrap();
    let rest_of_it = host.get(&format!("/rooms/team/audit?before={next}")).await;

    let entries = &page.body["entries"];
    assert_eq!((&entries[0]["actor"], &entries[0]["action"]), (&json!("api"), &json!("ban")));
    assert_eq!((&entries[0]["target"], &entries[0]["detail"]), (&json!("eve"), &json!("spam")));
    assert_eq!((&entries[1]["actor"], &entries[1]["detail"]), (&json!("ann"), &json!("locked")));
    assert_eq!(rest_of_it.body["entries"][0]["action"], "create_room");
    assert_eq!(rest_of_it.body.get("next"), None);
    let speaker = rest.user("bob", "team", "speaker").await;
    speaker.get("/rooms/team/audit").await.is_problem(403, "not_allowed");
    rest.get("/rooms/team/audit?limit=9999").await.is_problem(400, "bad_request");
    server.shutdown().await;
}
