//! Tokens at a whole server: how they are shown, what they open, and how they end.
#![expect(clippy::disallowed_methods, reason = "these tests use real sockets and real time")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

#[path = "../stomp_client/mod.rs"]
mod stomp_client;

mod connecting;
mod ending;
mod issuer;
mod keys;
mod rooms;

use std::time::Duration;

use jiff::Timestamp;
use madang::auth::{Minter, NewToken, Scope};
use madang::{Server, Settings};
use madang_wire::{Command, Frame, RoomName, Secret, header};
use tempfile::TempDir;

use stomp_client::{Client, settings};

const SECRET: &str = "kQ3v0m9Xc1hZb7Yt5Lr2Wn8Ud6Sg4Pa0Ef";

/// A server that lets nobody in without a token of [`SECRET`].
async fn strict() -> (Server, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(strict_settings(&dir)).await.unwrap();
    (server, dir)
}

fn strict_settings(dir: &TempDir) -> Settings {
    let mut settings = settings(dir);
    settings.auth.required = true;
    settings.auth.secret = Some(Secret::new(SECRET));
    settings
}

/// What a token says unless a test wants something else.
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

fn for_room(room: &str) -> Scope {
    Scope::One(RoomName::parse(room).unwrap())
}

/// A token, and its id.
fn mint(new: &NewToken) -> (String, String) {
    let minter = Minter::new(&Secret::new(SECRET), None, None);
    let minted = minter.mint(new, Timestamp::now()).unwrap();
    (minted.token.expose().to_owned(), minted.id)
}

fn token(user: &str) -> String {
    mint(&new_token(user)).0
}

/// Says CONNECT with these further headers, and returns the answer.
async fn connect(server: &Server, headers: &[(&str, &str)]) -> (Client, Frame) {
    let mut client = Client::open(server).await;
    client.send_text(&connect_frame("1.2", headers)).await;
    let answer = client.next().await;
    (client, answer)
}

fn connect_frame(version: &str, headers: &[(&str, &str)]) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    format!("CONNECT\naccept-version:{version}\nhost:x\n{headers}\n\0")
}

/// Connects with a token, and listens to `/user/queue/signal`.
async fn connected(server: &Server, token: &str) -> Client {
    let (mut client, answer) = connect(server, &[("passcode", token)]).await;
    assert_eq!(answer.command, Command::Connected, "{answer:?}");
    client.subscribe("signal", "/user/queue/signal", &[]).await;
    client
}

/// The reason of an ERROR for somebody who may not connect.
fn refusal(answer: &Frame) -> &str {
    assert_eq!(answer.command, Command::Error, "{answer:?}");
    assert_eq!(answer.header(header::MESSAGE), Some("not authenticated"));
    std::str::from_utf8(&answer.body).unwrap()
}
