//! Rooms on a whole server: presence, chat, refusals.

mod stomp_client;

use std::time::Duration;

use madang::Server;
use madang_wire::header;
use serde_json::{Value, json};

use stomp_client::{Client, settings, start};

const ROOM: &str = "우리-회의실_1";

#[tokio::test]
async fn who_joins_learns_who_is_there() {
    let (server, _dir) = start().await;
    let (_a, first) = Client::join(&server, ROOM, "가람").await;
    let (_b, second) = Client::join(&server, ROOM, "나래").await;

    assert_eq!(first["participant"]["name"], "가람");
    assert_eq!(first["chat_seq"], 0);
    assert_eq!(first["participant"]["role"], "host", "somebody must be able to moderate");
    assert_eq!(second["participant"]["role"], "speaker");
    let names: Vec<_> =
        second["participants"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert_eq!(names, ["가람", "나래"]);
    server.shutdown().await;
}

#[tokio::test]
async fn ice_servers_are_told_before_joining() {
    let (server, _dir) = start().await;
    let mut client = Client::connect(&server).await;

    client.send("/app/ice_servers", &[(header::CORRELATION_ID, "c-1")], "").await;

    let reply = client.wait_for(|frame| frame.header(header::CORRELATION_ID) == Some("c-1")).await;
    assert_eq!(reply.header(header::DESTINATION), Some("/user/queue/signal"));
    // This server has no TURN.
    let expected = json!({"type": "ice_servers", "ice_servers": [], "ttl": 600});
    assert_eq!(stomp_client::json(&reply), expected);
    server.shutdown().await;
}

#[tokio::test]
async fn presence_is_told() {
    let (server, _dir) = start().await;
    let (mut a, _) = Client::join(&server, ROOM, "a").await;
    a.subscribe("events", &format!("/topic/rooms/{ROOM}/events"), &[]).await;

    let (mut b, joined) = Client::join(&server, ROOM, "b").await;
    let id = &joined["participant"]["id"];
    b.send(&format!("/app/rooms/{ROOM}/state"), &[], r#"{"muted":true,"hand_raised":true}"#).await;
    b.send(&format!("/app/rooms/{ROOM}/react"), &[], r#"{"emoji":"👏"}"#).await;
    let left = b.request(ROOM, "leave", "{}").await;

    let event = a.message("events").await;
    assert_eq!((&event["type"], &event["participant"]["id"]), (&json!("participant_joined"), id));
    let event = a.message("events").await;
    assert_eq!(event["type"], "participant_changed");
    assert_eq!(event["participant"]["muted"], true);
    let event = a.message("events").await;
    assert_eq!(event, json!({"type": "reaction", "participant": id, "emoji": "👏"}));
    let event = a.message("events").await;
    assert_eq!((&event["type"], &event["reason"]), (&json!("participant_left"), &json!("left")));
    assert_eq!(left, json!({"type": "left"}));
    server.shutdown().await;
}

#[tokio::test]
async fn chat_is_delivered_in_order_and_numbered_without_gaps() {
    let (server, _dir) = start().await;
    let (mut a, _) = Client::join(&server, ROOM, "a").await;
    let (mut b, _) = Client::join(&server, ROOM, "b").await;
    let chat = format!("/topic/rooms/{ROOM}/chat");
    a.subscribe("chat", &chat, &[]).await;

    for n in 0..20 {
        let sender = if n % 2 == 0 { &mut a } else { &mut b };
        let body = json!({ "text": format!("안녕 {n}") }).to_string();
        sender.send(&format!("/app/rooms/{ROOM}/chat"), &[], &body).await;
    }

    for seq in 1..=20 {
        let frame = a.wait_for(|frame| frame.header(header::SUBSCRIPTION) == Some("chat")).await;
        let message = stomp_client::json(&frame);
        assert_eq!(message["seq"], seq);
        assert_eq!(frame.header(header::SEQ), Some(&*seq.to_string()));
        assert_eq!(frame.header(header::MESSAGE_ID), message["id"].as_str());
    }
    server.shutdown().await;
}

#[tokio::test]
async fn chat_with_a_receipt_survives_a_restart() {
    let (server, dir) = start().await;
    let (mut a, _) = Client::join(&server, ROOM, "a").await;
    a.chat(ROOM, "첫째").await;
    a.chat(ROOM, "둘째").await;
    server.shutdown().await;

    let server = Server::start(settings(&dir)).await.unwrap();
    let (mut b, joined) = Client::join(&server, ROOM, "b").await;
    b.subscribe("chat", &format!("/topic/rooms/{ROOM}/chat"), &[("history", "10")]).await;

    assert_eq!(joined["chat_seq"], 2);
    assert_eq!(texts(&mut b, 2).await, ["첫째", "둘째"]);
    b.chat(ROOM, "셋째").await;
    let third = b.message("chat").await;
    assert_eq!((&third["seq"], &third["text"]), (&json!(3), &json!("셋째")));
    server.shutdown().await;
}

#[tokio::test]
async fn history_and_since_replay_before_live_messages() {
    let (server, _dir) = start().await;
    let (mut a, _) = Client::join(&server, ROOM, "a").await;
    for n in 1..=5 {
        a.chat(ROOM, &n.to_string()).await;
    }
    let chat = format!("/topic/rooms/{ROOM}/chat");
    let mut last = Client::connect(&server).await;
    last.subscribe("chat", &chat, &[("history", "2")]).await;
    let mut since = Client::connect(&server).await;
    since.subscribe("chat", &chat, &[("since", "2")]).await;
    // A message stored while a history is read may be among its last messages, so the sixth is sent after the read.
    assert_eq!(texts(&mut last, 2).await, ["4", "5"]);
    assert_eq!(texts(&mut since, 3).await, ["3", "4", "5"]);

    a.chat(ROOM, "6").await;

    assert_eq!(texts(&mut last, 1).await, ["6"]);
    assert_eq!(texts(&mut since, 1).await, ["6"]);
    server.shutdown().await;
}

#[tokio::test]
async fn a_replay_among_live_messages_has_no_gap_and_no_repetition() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.messages_per_second = 0;
    let server = Server::start(settings).await.unwrap();
    let (mut a, _) = Client::join(&server, ROOM, "a").await;
    let chat = format!("/topic/rooms/{ROOM}/chat");
    let mut readers = Vec::new();
    for n in 0..300 {
        let body = json!({ "text": n.to_string() }).to_string();
        a.send(&format!("/app/rooms/{ROOM}/chat"), &[], &body).await;
        if n % 60 == 30 {
            let mut reader = Client::connect(&server).await;
            reader.subscribe("chat", &chat, &[("since", "0")]).await;
            readers.push(reader);
        }
    }
    for reader in &mut readers {
        for seq in 1..=300 {
            assert_eq!(reader.message("chat").await["seq"], seq);
        }
    }
    server.shutdown().await;
}

#[tokio::test]
async fn who_comes_late_is_told_ten_thousand_messages_in_order() {
    const MESSAGES: u64 = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.messages_per_second = 0;
    let server = Server::start(settings).await.unwrap();
    let (mut writer, _) = Client::join(&server, ROOM, "먼저 온 이").await;
    for n in 1..=MESSAGES {
        // A client that writes faster than the room accepts is refused; the receipts set the pace.
        match n % 500 {
            0 => writer.chat(ROOM, &n.to_string()).await,
            _ => {
                let body = json!({ "text": n.to_string() }).to_string();
                writer.send(&format!("/app/rooms/{ROOM}/chat"), &[], &body).await;
            }
        }
    }

    let (mut late, _) = Client::join(&server, ROOM, "늦게 온 이").await;
    late.subscribe("chat", &format!("/topic/rooms/{ROOM}/chat"), &[("since", "0")]).await;

    for n in 1..=MESSAGES {
        let message = late.message("chat").await;
        assert_eq!((&message["seq"], &message["text"]), (&json!(n), &json!(n.to_string())));
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_private_message_is_for_its_two_ends() {
    let (server, _dir) = start().await;
    let (mut a, _) = Client::join(&server, ROOM, "a").await;
    let (mut b, joined) = Client::join(&server, ROOM, "b").await;
    let (mut c, _) = Client::join(&server, ROOM, "c").await;
    let chat = format!("/topic/rooms/{ROOM}/chat");
    for client in [&mut a, &mut b, &mut c] {
        client.subscribe("chat", &chat, &[]).await;
    }

    let body = json!({ "text": "secret", "to": joined["participant"]["id"] }).to_string();
    a.send(&format!("/app/rooms/{ROOM}/chat"), &[], &body).await;
    a.chat(ROOM, "public").await;

    assert_eq!(texts(&mut a, 2).await, ["secret", "public"]);
    assert_eq!(texts(&mut b, 2).await, ["secret", "public"]);
    assert_eq!(texts(&mut c, 1).await, ["public"]);
    c.subscribe("again", &chat, &[("history", "10")]).await;
    assert_eq!(c.message("again").await["text"], "public");
    server.shutdown().await;
}

#[tokio::test]
async fn offers_above_the_rate_are_refused_and_say_so() {
    let (server, _dir) = start().await;
    let (mut client, _) = Client::join(&server, ROOM, "a").await;
    let garbage = json!({ "sdp": "v=0" }).to_string();
    let mut codes = Vec::new();
    for _ in 0..8 {
        let error = client.request(ROOM, "offer", &garbage).await;
        codes.push(error["code"].as_str().unwrap().to_owned());
        if error["code"] == "rate_limited" {
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("2 offers per second"), "{message}");
        }
    }

    assert_eq!(codes[..6], ["bad_sdp"; 6], "a few in a row are usual at the start");
    assert!(codes[6..].iter().any(|code| code == "rate_limited"), "{codes:?}");
    server.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_the_connection_goes_on() {
    let (server, _dir) = start().await;
    let (mut client, _) = Client::join(&server, ROOM, "a").await;
    let garbage = json!({ "sdp": "이것은 SDP가 아니다" }).to_string();
    let huge = json!({ "sdp": "v=0\r\n".repeat(200_000) }).to_string();
    for (room, action, body, code, says) in [
        (ROOM, "dance", "{}", "bad_request", "join, offer"),
        (ROOM, "chat", "{", "bad_request", "EOF"),
        (ROOM, "chat", "{}", "bad_request", "missing field `text`"),
        (ROOM, "chat", r#"{"text":"a","to":"x"}"#, "no_such_participant", ""),
        (ROOM, "moderate", r#"{"action":"kick"}"#, "bad_request", "participant"),
        (ROOM, "offer", garbage.as_str(), "bad_sdp", ""),
        (ROOM, "offer", huge.as_str(), "too_large", "1000000"),
        (ROOM, "join", r#"{"name":"again"}"#, "bad_request", "already"),
        ("nobody-here", "leave", "{}", "no_such_room", "nobody-here"),
        ("no room", "leave", "{}", "no_such_room", "room name"),
        ("other", "join", "{}", "bad_request", "missing field `name`"),
        ("other", "join", r#"{"name":""}"#, "bad_request", "name"),
    ] {
        let error = client.request(room, action, body).await;
        assert_eq!(error["type"], "error", "{action}: {error}");
        assert_eq!(error["code"], code, "{action}: {error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{action}: {error}");
    }
    client.chat(ROOM, "still here").await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_join_with_a_bad_offer_leaves_nobody_behind() {
    let (server, _dir) = start().await;
    let mut client = Client::connect(&server).await;

    let error = client.request(ROOM, "join", r#"{"name":"a","sdp":"garbage"}"#).await;
    assert_eq!(error["code"], "bad_sdp");

    let joined = client.request(ROOM, "join", r#"{"name":"a"}"#).await;
    assert_eq!(joined["participants"].as_array().unwrap().len(), 1);
    server.shutdown().await;
}

#[tokio::test]
async fn a_dropped_connection_is_resumed_unnoticed() {
    let (server, _dir) = start().await;
    let (mut watcher, _) = Client::join(&server, ROOM, "watcher").await;
    watcher.subscribe("events", &format!("/topic/rooms/{ROOM}/events"), &[]).await;
    let (client, joined) = Client::join(&server, ROOM, "가람").await;
    client.drop_connection();

    let mut client = Client::connect(&server).await;
    let token = joined["resume_token"].as_str().unwrap();
    let resumed =
        client.request_with(ROOM, "join", &[("resume", token)], r#"{"name":"가람"}"#).await;

    assert_eq!(resumed["participant"], joined["participant"]);
    let left = client.request(ROOM, "leave", "").await;
    assert_eq!(left["type"], "left");
    assert_eq!(watcher.message("events").await["type"], "participant_joined");
    assert_eq!(watcher.message("events").await["reason"], "left", "and nothing in between");
    server.shutdown().await;
}

#[tokio::test]
async fn who_does_not_come_back_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.resume_grace = Duration::from_millis(50);
    let server = Server::start(settings).await.unwrap();
    let (mut watcher, _) = Client::join(&server, ROOM, "watcher").await;
    watcher.subscribe("events", &format!("/topic/rooms/{ROOM}/events"), &[]).await;
    let (client, joined) = Client::join(&server, ROOM, "a").await;

    client.drop_connection();

    let left = watcher.message_of_type("events", "participant_left").await;
    assert_eq!(left["reason"], "connection_lost");
    let token = joined["resume_token"].as_str().unwrap();
    let mut late = Client::connect(&server).await;
    let error = late.request_with(ROOM, "join", &[("resume", token)], r#"{"name":"a"}"#).await;
    assert_eq!(error["code"], "no_such_participant");
    server.shutdown().await;
}

#[tokio::test]
async fn the_list_has_open_rooms_first_and_then_changes() {
    let (server, _dir) = start().await;
    let (mut a, _) = Client::join(&server, ROOM, "a").await;
    let mut watcher = Client::connect(&server).await;
    watcher.subscribe("rooms", "/topic/rooms", &[]).await;

    let (mut b, _) = Client::join(&server, "second", "b").await;
    b.request("second", "leave", "").await;
    a.request(ROOM, "leave", "").await;

    let mut seen = Vec::new();
    for _ in 0..4 {
        let room = watcher.message("rooms").await;
        seen.push((room["name"].as_str().unwrap().to_owned(), room["participants"].clone()));
    }
    let expected = [(ROOM, 1), ("second", 1), ("second", 0), (ROOM, 0)];
    assert_eq!(seen, expected.map(|(name, count)| (name.to_owned(), json!(count))));
    server.shutdown().await;
}

#[tokio::test]
async fn rooms_and_participants_are_limited() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.rooms = 1;
    settings.limits.participants_per_room = 1;
    let server = Server::start(settings).await.unwrap();
    let (_a, _) = Client::join(&server, ROOM, "a").await;
    let mut b = Client::connect(&server).await;

    assert_eq!(b.request(ROOM, "join", r#"{"name":"b"}"#).await["code"], "room_full");
    assert_eq!(b.request("other", "join", r#"{"name":"b"}"#).await["code"], "overloaded");
    server.shutdown().await;
}

async fn texts(client: &mut Client, count: usize) -> Vec<Value> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(client.message("chat").await["text"].clone());
    }
    texts
}
