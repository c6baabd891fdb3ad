//! Rooms as wholes.

use serde_json::json;

use super::rest::{start, start_with};
use super::stomp_client::Client;

const ROOM: &str = "/rooms/%EB%A7%88%EB%8B%B9";

#[tokio::test]
async fn a_room_is_created_shown_and_deleted() {
    let (server, _dir, rest) = start().await;

    let created = rest
        .post(
            "/rooms",
            json!({ "name": "마당", "settings": { "waiting_room": true }, "locked": true }),
        )
        .await;
    let shown = rest.get(ROOM).await;
    let again = rest.post("/rooms", json!({ "name": "마당" })).await;
    let deleted = rest.delete(ROOM).await;

    created.is(201);
    assert_eq!(created.header("location"), format!("/api/v1{ROOM}"));
    assert_eq!(created.body, shown.body);
    let room = &shown.body;
    assert_eq!((&room["name"], &room["locked"]), (&json!("마당"), &json!(true)));
    assert_eq!((&room["participants"], &room["has_password"]), (&json!(0), &json!(false)));
    assert_eq!(room["settings"]["waiting_room"], true);
    assert_eq!(room["settings"]["chat"], true);
    again.is_problem(409, "conflict");
    deleted.is(204);
    rest.get(ROOM).await.is_problem(404, "no_such_room");
    rest.delete(ROOM).await.is_problem(404, "no_such_room");
    server.shutdown().await;
}

#[tokio::test]
async fn what_can_be_no_room_is_not_created() {
    let (server, _dir, rest) = start().await;

    for room in [
        json!({}),
        json!({ "name": "a b" }),
        json!({ "name": "" }),
        json!({ "name": "team", "settings": { "caht": true } }),
        json!({ "name": "team", "settings": { "max_participants": 0 } }),
        json!({ "name": "team", "settings": { "publishers": "everybody" } }),
        json!({ "name": "team", "locked": "yes" }),
        json!({ "name": "team", "password": "" }),
    ] {
        rest.post("/rooms", room).await.is_problem(400, "bad_request");
    }
    let long = json!({ "name": "team", "password": "a".repeat(5000) });
    rest.post("/rooms", long).await.is_problem(413, "too_large");
    rest.get("/rooms/a%2Fb").await.is_problem(404, "no_such_room");
    rest.get("/rooms/team").await.is_problem(404, "no_such_room");
    server.shutdown().await;
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let (server, _dir, rest) = start().await;
    rest.post("/rooms", json!({ "name": "team", "password": "open sesame" })).await.is(201);
    let patch = |patch| rest.patch("/rooms/team", patch);

    let settings = patch(json!({ "settings": { "chat": false, "max_participants": 3 } })).await;
    let locked = patch(json!({ "locked": true, "settings": { "max_participants": null } })).await;
    let opened = patch(json!({ "password": null })).await;
    let nothing = patch(json!({})).await;

    assert_eq!(settings.is(200).body["settings"]["max_participants"], 3);
    assert_eq!(settings.body["has_password"], true);
    assert_eq!(locked.is(200).body["settings"]["max_participants"], json!(null));
    assert_eq!(
        (&locked.body["settings"]["chat"], &locked.body["locked"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(opened.is(200).body["has_password"], false);
    assert_eq!(nothing.is(200).body, opened.body);
    patch(json!({ "settings": { "caht": true } })).await.is_problem(400, "bad_request");
    assert_eq!(rest.get("/rooms/team").await.body, opened.body);
    server.shutdown().await;
}

#[tokio::test]
async fn a_room_opens_and_closes_to_those_in_it_at_once() {
    let (server, _dir, rest) = start_with(|_| {}).await;
    let (mut ann, _) = Client::join(&server, "team", "Ann").await;
    ann.subscribe("events", "/topic/rooms/team/events", &[]).await;

    rest.patch("/rooms/team", json!({ "locked": true })).await.is(200);
    let changed = ann.message_of_type("events", "room_changed").await;
    rest.delete("/rooms/team").await.is(204);
    let ended = ann.message_of_type("events", "room_ended").await;

    assert_eq!(changed["room"]["locked"], true);
    assert_eq!(ended["reason"], "the room was deleted");
    rest.get("/rooms/team").await.is_problem(404, "no_such_room");
    server.shutdown().await;
}

#[tokio::test]
async fn tokens_open_their_own_rooms_alone() {
    let (server, _dir, rest) = start().await;
    rest.post("/rooms", json!({ "name": "team" })).await.is(201);
    let host = rest.user("ann", "team", "host").await;
    let speaker = rest.user("bob", "team", "speaker").await;
    let stranger = rest.user("eve", "other", "host").await;

    host.get("/rooms/team").await.is(200);
    host.patch("/rooms/team", json!({ "locked": true })).await.is(200);
    speaker.get("/rooms/team").await.is(200);
    speaker.patch("/rooms/team", json!({ "locked": false })).await.is_problem(403, "not_allowed");
    stranger.get("/rooms/team").await.is_problem(403, "not_allowed");
    stranger.get("/rooms/none").await.is_problem(403, "not_allowed");
    host.delete("/rooms/team").await.is_problem(403, "not_allowed");
    rest.without().get("/rooms/team").await.is_problem(401, "not_authenticated");
    server.shutdown().await;
}

#[tokio::test]
async fn a_claim_about_moderating_wins_over_the_role() {
    let (server, _dir, rest) = start().await;
    rest.post("/rooms", json!({ "name": "team" })).await.is(201);
    let minted = |body| rest.post("/tokens", body);
    let yes = minted(json!({ "user": "a", "room": "team", "moderate": true })).await;
    let no =
        minted(json!({ "user": "b", "room": "team", "role": "host", "moderate": false })).await;
    let lock = |token: &serde_json::Value| {
        let user = rest.with(token["token"].as_str().unwrap());
        async move { user.patch("/rooms/team", json!({ "locked": true })).await }
    };

    lock(&yes.body).await.is(200);
    lock(&no.body).await.is_problem(403, "not_allowed");
    server.shutdown().await;
}

#[tokio::test]
async fn all_rooms_are_listed_page_by_page() {
    let (server, _dir, rest) = start_with(|_| {}).await;
    for name in ["a", "b", "c"] {
        rest.post("/rooms", json!({ "name": name })).await.is(201);
    }
    let (_ann, _) = Client::join(&server, "b", "Ann").await;

    let first = rest.get("/rooms?all=true&limit=2").await;
    let last = rest.get("/rooms?all=true&limit=2&after=b").await;
    let open = rest.get("/rooms").await;

    let rooms = |answer: &super::rest::Answer| {
        let rooms = answer.body["rooms"].as_array().unwrap().clone();
        let room = |room: serde_json::Value| (room["name"].clone(), room["participants"].clone());
        rooms.into_iter().map(room).collect::<Vec<_>>()
    };
    assert_eq!(rooms(&first), [(json!("a"), json!(0)), (json!("b"), json!(1))]);
    assert_eq!(first.body["next"], "b");
    assert_eq!(rooms(&last), [(json!("c"), json!(0))]);
    assert_eq!(last.body.get("next"), None);
    assert_eq!(rooms(&open), [(json!("b"), json!(1))]);
    rest.without().get("/rooms?all=true").await.is_problem(401, "not_authenticated");
    server.shutdown().await;
}

#[tokio::test]
async fn the_lobby_is_public_as_long_as_authentication_is_off() {
    let (server, _dir, rest) = start_with(|_| {}).await;
    let (_ann, _) = Client::join(&server, "마당", "Ann").await;
    let (_bob, _) = Client::join(&server, "team", "Bob").await;

    let all = rest.without().get("/rooms").await;
    let first = rest.without().get("/rooms?limit=1").await;
    let second = rest.without().get("/rooms?limit=1&after=team").await;

    all.is(200);
    assert_eq!(all.body["rooms"][1]["name"], "마당", "{}", all.text);
    assert_eq!(all.body["rooms"][1]["participants"], 1);
    assert_eq!(
        (&first.body["rooms"][0]["name"], &first.body["next"]),
        (&json!("team"), &json!("team"))
    );
    assert_eq!(second.body["rooms"][0]["name"], "마당");
    assert!(second.body.get("next").is_none(), "{}", second.text);
    server.shutdown().await;
}

#[tokio::test]
async fn a_tokens_user_sees_the_rooms_that_it_opens() {
    let (server, _dir, rest) = start_with(|_| {}).await;
    let (_ann, _) = Client::join(&server, "마당", "Ann").await;
    let (_bob, _) = Client::join(&server, "team", "Bob").await;

    let seen = rest.user("cho", "마당", "listener").await.get("/rooms").await;

    assert_eq!(seen.body["rooms"].as_array().unwrap().len(), 1, "{}", seen.text);
    assert_eq!(seen.body["rooms"][0]["name"], "마당");
    server.shutdown().await;
}
