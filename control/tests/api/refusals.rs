//! REST and STOMP refuse alike: with the same code, the same text, and the first of several reasons in the same order.

use madang::Server;
use serde_json::{Value, json};

use super::rest::{Answer, Rest, start};
use super::stomp_client::Client;

/// Why somebody was refused: code and text. `None`: they were not.
type Refused = Option<(String, String)>;

#[tokio::test]
async fn at_the_door_of_a_room() {
    let (server, _dir, rest) = start().await;
    let mut refused = 0;
    for bits in 0..16_u8 {
        let room = format!("room-{bits}");
        let [is_banned, is_locked, has_password, waits] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
        let password = if has_password { json!("sesame") } else { Value::Null };
        let settings = json!({ "settings": { "waiting_room": waits }, "locked": is_locked, "password": password });
        rest.post("/rooms", json!({ "name": room })).await.is(201);
        rest.patch(&format!("/rooms/{room}"), settings).await.is(200);
        for role in ["listener", "speaker", "host"] {
            if is_banned {
                let ban =
                    json!({ "user": role, "reason": "rude", "until": "2100-01-01T00:00:00Z" });
                rest.post(&format!("/rooms/{room}/bans"), ban).await.is(204);
            }
            let user = rest.user(role, &room, role).await;

            let by_rest = of_answer(&user.get(&format!("/rooms/{room}/messages")).await);
            let by_stomp =
                of_reply(&ask(&server, &user, &room, "join", json!({ "name": role })).await);

            assert_eq!(
                by_rest, by_stomp,
                "{role} at banned {is_banned}, locked {is_locked}, password {has_password}, waiting {waits}"
            );
            refused += u32::from(by_rest.is_some());
        }
    }
    // Hosts are kept out by bans alone; the others by each of the four.
    assert_eq!(refused, 8 + 2 * 15);
    server.shutdown().await;
}

#[tokio::test]
async fn when_a_token_is_for_another_room() {
    let (server, _dir, rest) = start().await;
    rest.post("/rooms", json!({ "name": "team" })).await.is(201);
    let user = rest.user("bob", "elsewhere", "host").await;

    let by_rest = of_answer(&user.get("/rooms/team/messages").await);
    let by_stomp = of_reply(&ask(&server, &user, "team", "join", json!({ "name": "Bob" })).await);

    assert_eq!(by_rest, by_stomp);
    assert_eq!(by_rest.unwrap().0, "not_allowed");
    server.shutdown().await;
}

#[tokio::test]
async fn when_they_moderate() {
    let (server, _dir, rest) = start().await;
    rest.post("/rooms", json!({ "name": "team" })).await.is(201);
    let host = rest.user("ann", "team", "host").await;
    let (_host, joined) = enter(&server, &host, "Ann").await;
    let moderator = json!({ "user": "cho", "name": "Cho", "room": "team", "role": "speaker", "moderate": true });
    let moderator = rest.post("/tokens", moderator).await;
    let moderator = rest.with(moderator.is(201).body["token"].as_str().unwrap());
    let speaker = rest.user("bob", "team", "speaker").await;
    let (mut moderators, own) = enter(&server, &moderator, "Cho").await;
    let (mut speakers, other) = enter(&server, &speaker, "Bob").await;
    let [host_id, own_id, other_id] =
        [&joined, &own, &other].map(|it| it["participant"]["id"].clone());
    let deeds = [
        json!({ "action": "mute", "participant": host_id }),
        json!({ "action": "kick", "participant": host_id }),
        json!({ "action": "ban", "participant": host_id }),
        json!({ "action": "set_role", "participant": host_id, "value": "speaker" }),
        json!({ "action": "kick", "participant": own_id }),
        json!({ "action": "ban", "participant": own_id }),
        json!({ "action": "set_role", "participant": other_id, "value": "host" }),
        json!({ "action": "set_role", "participant": other_id, "value": "king" }),
        json!({ "action": "mute", "participant": "nobody" }),
        json!({ "action": "mute" }),
        json!({ "action": "mute", "participant": other_id, "value": "yes" }),
        json!({ "action": "admit" }),
        json!({ "action": "admit", "value": "nobody" }),
        json!({ "action": "ban", "participant": other_id, "value": "2001-01-01T00:00:00Z" }),
        json!({ "action": "kick", "participant": other_id, "value": 7 }),
        json!({ "action": "delete_message" }),
    ];
    for deed in deeds {
        let by_rest = of_answer(&moderator.post("/rooms/team/moderation", deed.clone()).await);
        let by_stomp = of_reply(&moderators.request("team", "moderate", &deed.to_string()).await);

        assert_eq!(by_rest, by_stomp, "{deed}");
        assert!(by_rest.is_some(), "{deed}");
    }
    let own_ban = of_answer(&moderator.post("/rooms/team/bans", json!({ "user": "cho" })).await);
    assert_eq!(own_ban.unwrap().0, "not_allowed");
    for action in ["mute", "kick", "ban", "lock", "end_room", "set_role", "admit"] {
        let deed = json!({ "action": action, "participant": own_id });

        let by_rest = of_answer(&speaker.post("/rooms/team/moderation", deed.clone()).await);
        let by_stomp = of_reply(&speakers.request("team", "moderate", &deed.to_string()).await);

        assert_eq!(by_rest, by_stomp, "{deed}");
        assert_eq!(by_rest.unwrap().0, "not_allowed", "{deed}");
    }
    server.shutdown().await;
}

async fn enter(server: &Server, user: &Rest, name: &str) -> (Client, Value) {
    Client::connect_with(server, user.credential()).await.into_room("team", name).await
}

async fn ask(server: &Server, user: &Rest, room: &str, action: &str, body: Value) -> Value {
    let mut client = Client::connect_with(server, user.credential()).await;
    client.request(room, action, &body.to_string()).await
}

fn of_answer(answer: &Answer) -> Refused {
    let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
    (answer.status >= 400).then(|| (text("code"), text("detail")))
}

fn of_reply(reply: &Value) -> Refused {
    let text = |name: &str| reply[name].as_str().unwrap().to_owned();
    (reply["type"] == "error").then(|| (text("code"), text("message")))
}
