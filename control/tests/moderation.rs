//! Moderation on a whole server: what hosts do to others, and which effects survive a restart.
#![expect(clippy::disallowed_methods, reason = "these tests use real sockets and real time")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod stomp_client;

use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, SaltString};
use jiff::Timestamp;
use madang::auth::{Minter, NewToken, Scope};
use madang::rooms::RoomCreation;
use madang::store::{RoomRecord, Store};
use madang::{Server, Settings};
use madang_wire::{Command, Role, RoomName, RoomSettings, Secret, header};
use serde_json::{Value, json};
use tempfile::TempDir;

use stomp_client::{Client, settings};

const SECRET: &str = "kQ3v0m9Xc1hZb7Yt5Lr2Wn8Ud6Sg4Pa0Ef";
const ROOM: &str = "주간회의";

#[tokio::test]
async fn a_kicked_token_opens_the_room_no_more() {
    let world = World::start().await;
    let (mut host, _) = world.host().await;
    host.subscribe("events", &format!("/topic/rooms/{ROOM}/events"), &[]).await;
    let token = mint("나래", None);
    let (mut guest, joined) = world.join(&token, "나래").await;

    let done = moderate(&mut host, "kick", &joined, json!("시끄러워요")).await;

    assert_eq!(done, json!({"type": "done"}));
    let kicked = guest.message_of_type("signal", "kicked").await;
    assert_eq!(kicked["reason"], "시끄러워요");
    let left = host.message_of_type("events", "participant_left").await;
    assert_eq!((&left["reason"], &left["participant"]["name"]), (&json!("kicked"), &json!("나래")));
    let again = guest.request(ROOM, "join", r#"{"name":"again"}"#).await;
    assert_eq!(again["code"], "not_allowed", "{again}");
    let resume = [("resume", joined["resume_token"].as_str().unwrap())];
    let again = guest.request_with(ROOM, "join", &resume, r#"{"name":"again"}"#).await;
    assert_eq!(again["code"], "no_such_participant", "{again}");

    let world = world.restart().await;
    let mut again = world.connect(&token).await;
    let refused = again.request(ROOM, "join", r#"{"name":"나래"}"#).await;
    assert_eq!(refused["code"], "not_allowed", "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("시끄러워요"), "{refused}");
    // Only the token is revoked: the issuer may give the user another one.
    let (_back, joined) = world.join(&mint("나래", None), "나래").await;
    assert_eq!(joined["participant"]["name"], "나래");
    world.stop().await;
}

#[tokio::test]
async fn a_banned_user_stays_out_with_any_token() {
    let world = World::start().await;
    let (mut host, _) = world.host().await;
    let (mut here, joined) = world.join(&mint("b", None), "b").await;
    let (mut there, _) = world.join(&mint("b", None), "b at home").await;

    let done = moderate(&mut host, "ban", &joined, json!("2100-01-01T00:00:00Z")).await;

    assert_eq!(done["type"], "done", "{done}");
    here.message_of_type("signal", "kicked").await;
    there.message_of_type("signal", "kicked").await;
    let world = world.restart().await;
    let mut again = world.connect(&mint("b", None)).await;
    let refused = again.request(ROOM, "join", r#"{"name":"b"}"#).await;
    assert_eq!(refused["code"], "not_allowed", "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("2100"), "{refused}");
    world.stop().await;
}

#[tokio::test]
async fn a_lock_holds_until_it_is_lifted() {
    let world = World::start().await;
    let (mut host, _) = world.host().await;
    host.subscribe("rooms", "/topic/rooms", &[]).await;
    let mut late = world.connect(&mint("late", None)).await;
    late.subscribe("events", &format!("/topic/rooms/{ROOM}/events"), &[]).await;
    late.subscribe("chat", &format!("/topic/rooms/{ROOM}/chat"), &[]).await;

    assert_eq!(host.moderate("lock").await["type"], "done");

    let refused = late.request(ROOM, "join", r#"{"name":"late"}"#).await;
    assert_eq!(refused["code"], "room_locked");
    let locked = |room: &Value| room["locked"] == true;
    while !locked(&host.message("rooms").await) {}
    host.chat(ROOM, "among ourselves").await;
    late.subscribe("again", &format!("/topic/rooms/{ROOM}/chat"), &[("history", "9")]).await;
    let refused = late.message_of_type("signal", "error").await;
    assert_eq!(refused["code"], "not_allowed", "{refused}");
    let is_heard = |frame: &madang_wire::Frame| {
        ["chat", "again"].contains(&frame.header(header::SUBSCRIPTION).unwrap_or_default())
    };
    assert!(!late.seen(is_heard), "a locked room is heard by those in it alone");

    let world = world.restart().await;
    let mut late = world.connect(&mint("late", None)).await;
    let refused = late.request(ROOM, "join", r#"{"name":"late"}"#).await;
    assert_eq!(refused["code"], "room_locked", "also when nobody is in");
    let (mut host, host_joined) = world.host().await;
    assert_eq!(host_joined["locked"], true, "who comes in sees that");
    assert_eq!(host.moderate("unlock").await["type"], "done");
    let joined = late.request(ROOM, "join", r#"{"name":"late"}"#).await;
    assert_eq!((&joined["type"], joined.get("locked")), (&"joined".into(), None));
    world.stop().await;
}

#[tokio::test]
async fn a_role_is_kept_for_a_user() {
    let world = World::start().await;
    let (mut host, _) = world.host().await;
    host.subscribe("events", &format!("/topic/rooms/{ROOM}/events"), &[]).await;
    let token = mint("b", None);
    let (mut b, joined) = world.join(&token, "b").await;
    assert_eq!(b.moderate("lock").await["code"], "not_allowed");

    assert_eq!(moderate(&mut host, "set_role", &joined, json!("host")).await["type"], "done");

    let changed = host.message_of_type("events", "participant_changed").await;
    assert_eq!(changed["participant"]["role"], "host");
    assert_eq!(b.moderate("lock").await["type"], "done");
    let world = world.restart().await;
    let (_b, joined) = world.join(&token, "b").await;
    assert_eq!(joined["participant"]["role"], "host");
    world.stop().await;
}

#[tokio::test]
async fn a_deleted_message_leaves_a_gap_that_says_so() {
    let world = World::start().await;
    let (mut host, _) = world.host().await;
    let chat = format!("/topic/rooms/{ROOM}/chat");
    host.subscribe("events", &format!("/topic/rooms/{ROOM}/events"), &[]).await;
    host.subscribe("chat", &chat, &[]).await;
    let token = mint("author", None);
    let (mut author, _) = world.join(&token, "author").await;
    let (mut other, _) = world.join(&mint("other", None), "other").await;
    for text in ["one", "two", "three"] {
        author.chat(ROOM, text).await;
    }
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(host.message("chat").await["id"].clone());
    }

    let delete = |id: &Value| json!({"action": "delete_message", "value": id}).to_string();
    let refused = other.request(ROOM, "moderate", &delete(&ids[0])).await;
    assert_eq!(refused["code"], "bad_request", "it is not theirs: {refused}");
    assert_eq!(author.request(ROOM, "moderate", &delete(&ids[0])).await["type"], "done");
    assert_eq!(host.request(ROOM, "moderate", &delete(&ids[1])).await["type"], "done");
    let again = host.request(ROOM, "moderate", &delete(&ids[1])).await;
    assert_eq!(again["code"], "bad_request", "{again}");

    let deleted = host.message_of_type("events", "message_deleted").await;
    assert_eq!((&deleted["seq"], &deleted["id"]), (&json!(1), &ids[0]));
    other.subscribe("again", &chat, &[("history", "9")]).await;
    for (seq, text, is_deleted) in [(1, "", true), (2, "", true), (3, "three", false)] {
        let message = other.message("again").await;
        assert_eq!((&message["seq"], &message["text"]), (&json!(seq), &json!(text)), "{message}");
        assert_eq!(message["deleted"] == true, is_deleted, "{message}");
    }
    // The message belongs to the author as a user: another session of the same user may delete it too.
    let (mut author, _) = world.join(&token, "author again").await;
    assert_eq!(author.request(ROOM, "moderate", &delete(&ids[2])).await["type"], "done");
    world.stop().await;
}

#[tokio::test]
async fn a_mute_is_lifted_by_moderators_alone() {
    let world = World::start().await;
    let (mut host, _) = world.host().await;
    host.subscribe("events", &format!("/topic/rooms/{ROOM}/events"), &[]).await;
    let token = mint("b", None);
    let (mut b, joined) = world.join(&token, "b").await;

    assert_eq!(moderate(&mut host, "mute", &joined, Value::Null).await["type"], "done");

    let changed = host.message_of_type("events", "participant_changed").await;
    assert_eq!(changed["participant"]["muted"], true);
    assert_eq!(changed["participant"]["stopped"], json!(["microphone"]));
    let refused = b.request(ROOM, "state", r#"{"muted":false}"#).await;
    assert_eq!(refused["code"], "not_allowed");
    b.request(ROOM, "leave", "{}").await;
    let joined = b.request(ROOM, "join", r#"{"name":"b"}"#).await;
    assert_eq!(joined["participant"]["stopped"], json!(["microphone"]), "leaving lifts nothing");
    assert_eq!(moderate(&mut host, "mute", &joined, json!(false)).await["type"], "done");
    b.subscribe("events", &format!("/topic/rooms/{ROOM}/events"), &[]).await;
    b.send(&format!("/app/rooms/{ROOM}/state"), &[], r#"{"muted":false}"#).await;
    let changed = b.message_of_type("events", "participant_changed").await;
    assert_eq!(changed["participant"]["muted"], false, "{changed}");
    world.stop().await;
}

#[tokio::test]
async fn who_waits_is_let_in_or_not() {
    let settings = RoomSettings { waiting_room: true, ..RoomSettings::default() };
    let world = World::with_room(|record| record.settings = settings).await;
    let (mut host, _) = world.host().await;
    let mut b = world.connect(&mint("b", None)).await;
    let mut c = world.connect(&mint("c", None)).await;

    let answer = b.request(ROOM, "join", r#"{"name":"나래"}"#).await;
    assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!("waiting")));
    let waiting = host.message_of_type("signal", "waiting").await;
    assert_eq!(waiting["waiting"][0]["name"], "나래");
    assert_eq!(c.request(ROOM, "join", r#"{"name":"c"}"#).await["code"], "waiting");
    let waiting = host.message_of_type("signal", "waiting").await;
    let ids: Vec<Value> =
        waiting["waiting"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();

    let admit = json!({"action": "admit", "participant": ids[0]}).to_string();
    assert_eq!(host.request(ROOM, "moderate", &admit).await["type"], "done");
    let deny = json!({"action": "deny", "participant": ids[1]}).to_string();
    assert_eq!(host.request(ROOM, "moderate", &deny).await["type"], "done");

    // Both carry the correlation-id of the join that they answer.
    let joined = b.reply().await;
    assert_eq!(
        (&joined["type"], &joined["participant"]["name"]),
        (&json!("joined"), &json!("나래"))
    );
    let denied = c.reply().await;
    assert_eq!((&denied["type"], &denied["code"]), (&json!("error"), &json!("not_allowed")));
    let nobody = host.message_of_type("signal", "waiting").await;
    assert_eq!(nobody["waiting"].as_array().unwrap().len(), 1);
    let nobody = host.message_of_type("signal", "waiting").await;
    assert_eq!(nobody["waiting"], json!([]));
    world.stop().await;
}

#[tokio::test]
async fn who_waits_and_goes_is_forgotten() {
    let settings = RoomSettings { waiting_room: true, ..RoomSettings::default() };
    let world = World::with_room(|record| record.settings = settings).await;
    let mut b = world.connect(&mint("b", None)).await;
    assert_eq!(b.request(ROOM, "join", r#"{"name":"b"}"#).await["code"], "waiting");
    let (mut host, _) = world.host().await;
    let waiting = host.message_of_type("signal", "waiting").await;
    assert_eq!(waiting["waiting"][0]["name"], "b", "a host hears at once who waits");

    b.drop_connection();

    let waiting = host.message_of_type("signal", "waiting").await;
    assert_eq!(waiting["waiting"], json!([]));
    world.stop().await;
}

#[tokio::test]
async fn a_password_lets_in_who_knows_it() {
    let world = World::with_room(|record| {
        record.password_hash = Some(hash("열려라 참깨"));
    })
    .await;
    let mut b = world.connect(&mint("b", None)).await;
    let mut c = world.connect(&mint("c", None)).await;

    let none = b.request(ROOM, "join", r#"{"name":"b"}"#).await;
    assert_eq!(none["code"], "wrong_password");
    let right = json!({"name": "b", "password": "열려라 참깨"}).to_string();
    let wrong = json!({"name": "c", "password": "참깨"}).to_string();
    for _ in 0..5 {
        assert_eq!(c.request(ROOM, "join", &wrong).await["code"], "wrong_password");
    }
    assert_eq!(c.request(ROOM, "join", &right).await["code"], "rate_limited", "even the right one");
    let joined = b.request(ROOM, "join", &right).await;
    assert_eq!(joined["type"], "joined", "{joined}");
    let (_host, joined) = world.host().await;
    assert_eq!(joined["participant"]["role"], "host", "hosts by token need none");
    world.stop().await;
}

#[tokio::test]
async fn an_ended_room_is_empty() {
    let world = World::start().await;
    let (mut host, _) = world.host().await;
    let (mut b, _) = world.join(&mint("b", None), "b").await;
    b.subscribe("events", &format!("/topic/rooms/{ROOM}/events"), &[]).await;
    host.moderate("lock").await;

    let end = json!({"action": "end_room", "value": "다음 주에 봐요"}).to_string();
    assert_eq!(host.request(ROOM, "moderate", &end).await["type"], "done");

    assert_eq!(b.message_of_type("events", "room_ended").await["reason"], "다음 주에 봐요");
    assert_eq!(b.message_of_type("signal", "kicked").await["reason"], "다음 주에 봐요");
    assert_eq!(b.request(ROOM, "join", r#"{"name":"b"}"#).await["code"], "room_locked");
    assert_eq!(host.request(ROOM, "join", r#"{"name":"h"}"#).await["type"], "joined");
    world.stop().await;
}

#[tokio::test]
async fn a_user_reads_their_private_messages_after_coming_back() {
    let world = World::start().await;
    let (mut host, _) = world.host().await;
    let token = mint("b", None);
    let (mut b, joined) = world.join(&token, "b").await;
    let private = json!({"text": "우리끼리", "to": joined["participant"]["id"]}).to_string();
    host.send(&format!("/app/rooms/{ROOM}/chat"), &[(header::RECEIPT, "r")], &private).await;
    host.receipt("r").await;
    b.request(ROOM, "leave", "{}").await;

    let world = world.restart().await;
    let (mut b, _) = world.join(&token, "b").await;
    let (mut c, _) = world.join(&mint("c", None), "c").await;
    c.chat(ROOM, "for all").await;

    let chat = format!("/topic/rooms/{ROOM}/chat");
    b.subscribe("again", &chat, &[("history", "9")]).await;
    assert_eq!(b.message("again").await["text"], "우리끼리");
    c.subscribe("again", &chat, &[("history", "9")]).await;
    assert_eq!(c.message("again").await["text"], "for all", "and nothing before it");
    world.stop().await;
}

#[tokio::test]
async fn a_message_sent_again_is_delivered_once() {
    let world = World::start().await;
    let token = mint("b", None);
    let (mut b, _) = world.join(&token, "b").await;
    let chat = format!("/topic/rooms/{ROOM}/chat");
    b.subscribe("chat", &chat, &[]).await;
    for receipt in ["first", "second"] {
        let headers = [(header::MESSAGE_ID, "mine-1"), (header::RECEIPT, receipt)];
        b.send(&format!("/app/rooms/{ROOM}/chat"), &headers, r#"{"text":"once"}"#).await;
        b.receipt(receipt).await;
    }
    b.chat(ROOM, "after").await;

    assert_eq!(b.message("chat").await["text"], "once");
    let after = b.message("chat").await;
    assert_eq!((&after["text"], &after["seq"]), (&json!("after"), &json!(2)));
    world.stop().await;
}

#[tokio::test]
async fn without_authentication_the_first_one_is_host_and_a_kicked_connection_stays_out() {
    let (server, _dir) = stomp_client::start().await;
    let (mut host, joined) = Client::join(&server, ROOM, "가람").await;
    assert_eq!(joined["participant"]["role"], "host");
    let (mut b, joined) = Client::join(&server, ROOM, "b").await;
    assert_eq!(joined["participant"]["role"], "speaker");

    assert_eq!(moderate(&mut host, "kick", &joined, Value::Null).await["type"], "done");

    let refused = b.request(ROOM, "join", r#"{"name":"b"}"#).await;
    assert_eq!(refused["code"], "not_allowed", "{refused}");
    server.shutdown().await;
}

#[tokio::test]
async fn where_operators_create_rooms_nobody_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.rooms.created_by = RoomCreation::Rest;
    create(&settings, |_| {}).await;
    let server = Server::start(settings).await.unwrap();
    let mut client = Client::connect(&server).await;

    let refused = client.request("elsewhere", "join", r#"{"name":"a"}"#).await;
    assert_eq!(refused["code"], "no_such_room", "{refused}");
    let joined = client.request(ROOM, "join", r#"{"name":"a"}"#).await;
    assert_eq!(joined["type"], "joined");
    server.shutdown().await;
}

/// A server that requires tokens.
struct World {
    server: Server,
    dir: TempDir,
}

impl World {
    async fn start() -> World {
        World::open(tempfile::tempdir().unwrap()).await
    }

    /// Starts a server whose [`ROOM`] is set up like this.
    async fn with_room(set_up: impl FnOnce(&mut RoomRecord)) -> World {
        let dir = tempfile::tempdir().unwrap();
        create(&settings(&dir), set_up).await;
        World::open(dir).await
    }

    async fn open(dir: TempDir) -> World {
        let mut settings = settings(&dir);
        settings.auth.required = true;
        settings.auth.secret = Some(Secret::new(SECRET));
        World { server: Server::start(settings).await.unwrap(), dir }
    }

    async fn restart(self) -> World {
        self.server.shutdown().await;
        World::open(self.dir).await
    }

    async fn stop(self) {
        self.server.shutdown().await;
    }

    async fn connect(&self, token: &str) -> Client {
        let mut client = Client::open(&self.server).await;
        let connect = format!("CONNECT\naccept-version:1.2\nhost:x\npasscode:{token}\n\n\0");
        client.send_text(&connect).await;
        assert_eq!(client.next().await.command, Command::Connected);
        client.subscribe("signal", "/user/queue/signal", &[]).await;
        client
    }

    async fn join(&self, token: &str, name: &str) -> (Client, Value) {
        let mut client = self.connect(token).await;
        let joined = client.request(ROOM, "join", &json!({ "name": name }).to_string()).await;
        assert_eq!(joined["type"], "joined", "{joined}");
        (client, joined)
    }

    async fn host(&self) -> (Client, Value) {
        self.join(&mint("host", Some(Role::Host)), "가람").await
    }
}

impl Client {
    /// Sends a moderation action without a target.
    async fn moderate(&mut self, action: &str) -> Value {
        self.request(ROOM, "moderate", &json!({ "action": action }).to_string()).await
    }

    /// The next signal that answers the last request.
    async fn reply(&mut self) -> Value {
        let is_it =
            |frame: &madang_wire::Frame| frame.header(header::CORRELATION_ID) == Some("this-one");
        stomp_client::json(&self.wait_for(is_it).await)
    }
}

/// Moderates the participant that joined with this reply.
async fn moderate(by: &mut Client, action: &str, whom: &Value, value: Value) -> Value {
    let id = &whom["participant"]["id"];
    let body = json!({ "action": action, "participant": id, "value": value });
    by.request(ROOM, "moderate", &body.to_string()).await
}

async fn create(settings: &Settings, set_up: impl FnOnce(&mut RoomRecord)) {
    let store = Store::open(&settings.store_url()).await.unwrap();
    let mut record = RoomRecord::new(RoomName::parse(ROOM).unwrap(), None, Timestamp::now());
    set_up(&mut record);
    assert!(store.create_room(&record).await.unwrap());
    store.close().await;
}

fn hash(password: &str) -> String {
    let salt = SaltString::encode_b64(b"0123456789abcdef").unwrap();
    Argon2::default().hash_password(password.as_bytes(), &salt).unwrap().to_string()
}

fn new_token(user: &str) -> NewToken {
    NewToken {
        user: user.to_owned(),
        name: None,
        scope: Scope::Every,
        role: None,
        publish: None,
        moderate: None,
        destinations: None,
        ttl: Duration::from_secs(60 * 60),
    }
}

fn mint(user: &str, role: Option<Role>) -> String {
    mint_new(&NewToken { role, ..new_token(user) })
}

fn mint_new(new: &NewToken) -> String {
    let minter = Minter::new(&Secret::new(SECRET), None, None);
    minter.mint(new, Timestamp::now()).unwrap().token.expose().to_owned()
}
