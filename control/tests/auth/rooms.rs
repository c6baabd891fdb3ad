//! A token opens its room, and nothing else of the server's rooms is to be heard with it.

use madang::auth::DestinationsClaim;
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

#[tokio::test]
async fn a_token_for_one_room_opens_the_topics_and_queues_that_it_names() {
    let (server, _dir) = strict().await;
    let for_team = || super::NewToken { scope: for_room("팀"), ..new_token("하나") };
    let claim = DestinationsClaim {
        subscribe: vec!["/topic/shop/**".to_owned()],
        send: vec!["/queue/orders".to_owned()],
    };
    let named = super::NewToken { destinations: Some(claim), ..for_team() };
    let mut all = connected(&server, &mint(&new_token("all")).0).await;
    all.subscribe("orders", "/queue/orders", &[]).await;
    all.subscribe("team", "/topic/chat/room/팀", &[]).await;
    let mut plain = connected(&server, &mint(&for_team()).0).await;
    let mut granted = connected(&server, &mint(&named).0).await;

    for (client, refused) in [
        (&mut plain, vec!["/topic/**", "/topic/shop/a", "/queue/orders", "/topic/chat/room/other"]),
        (&mut granted, vec!["/topic/**", "/queue/orders"]),
    ] {
        for to in refused {
            client.subscribe("refused", to, &[]).await;
            let error = client.message_of_type("signal", "error").await;
            assert_eq!(error["code"], "not_allowed", "{to}: {error}");
        }
        for to in ["/user/all/queue/x", "/topic/shop/a"] {
            client.send(to, &[], "{}").await;
            let error = client.message_of_type("signal", "error").await;
            assert_eq!(error["code"], "not_allowed", "{to}: {error}");
        }
    }
    plain.send("/queue/orders", &[], "\"refused\"").await;
    plain.message_of_type("signal", "error").await;
    granted.send("/queue/orders", &[], "\"an order\"").await;
    plain.send("/pub/chat", &[], r#"{"chatRoomId":"other"}"#).await;
    plain.message_of_type("signal", "error").await;
    plain.send("/pub/chat", &[], r#"{"chatRoomId":"팀"}"#).await;
    granted.subscribe("shop", "/topic/shop/*", &[]).await;
    all.send("/topic/shop/a", &[], "\"open\"").await;

    assert_eq!(all.message("orders").await, "an order");
    assert_eq!(all.message("team").await["chatRoomId"], "팀");
    assert_eq!(granted.message("shop").await, "open");
    server.shutdown().await;
}
