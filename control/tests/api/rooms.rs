//! Rooms as wholes.

use serde_json::json;

use super::rest::start_with;
use super::stomp_client::Client;

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
