//! A token opens its room, and nothing else of the server's rooms is to be heard with it.

use madang_wire::{Frame, header};

use super::{connected, for_room, mint, new_token, strict};
use crate::stomp_client::json;

#[tokio::test]
async fn a_token_for_one_room_hears_nothing_of_others() {
    let (server, _dir) = strict().await;
    let mut inside = connected(&server, &mint(&new_token("in")).0).await;
    assert_eq!(inside.request("비밀", "join", r#"{"name":"안"}"#).await["type"], "joined");
    inside.chat("비밀", "우리끼리").await;
    let elsewhere = super::NewToken { scope: for_room("광장"), ..new_token("out") };
    let mut outside = connected(&server, &mint(&elsewhere).0).await;

    outside.subscribe("all", "/topic/**", &[]).await;
    outside.subscribe("chat", "/topic/rooms/비밀/chat", &[("history", "10")]).await;
    outside.subscribe("list", "/topic/rooms", &[]).await;
    let refused = outside.message_of_type("signal", "error").await;
    inside.chat("비밀", "여전히 우리끼리").await;
    // The next event arrives, so none came before it.
    assert_eq!(outside.request("광장", "join", r#"{"name":"밖"}"#).await["type"], "joined");
    let listed = outside.message("list").await;

    assert_eq!(refused["code"], "not_allowed", "{refused}");
    assert_eq!(listed["name"], "광장");
    let is_theirs = |frame: &Frame| {
        frame.header(header::DESTINATION).is_some_and(|to| to.contains("비밀"))
            || (frame.header(header::DESTINATION) == Some("/topic/rooms")
                && json(frame)["name"] == "비밀")
    };
    assert!(!outside.seen(is_theirs));
    server.shutdown().await;
}
