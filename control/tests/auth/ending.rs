//! How rights end while a connection is open.

use std::time::Duration;

use jiff::Timestamp;
use madang::Server;
use madang_wire::{Command, header};

use super::stomp_client::Client;
use super::{
    NewToken, connect, connected, mint, new_token, refusal, strict, strict_settings, token,
};

/// A server on which nobody who is away would be missed before the test is over.
async fn patient() -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = strict_settings(&dir);
    settings.resume_grace = Duration::from_secs(60 * 60);
    (Server::start(settings).await.unwrap(), dir)
}

async fn watcher(server: &Server) -> Client {
    let mut watcher = connected(server, &token("두리")).await;
    watcher.subscribe("events", "/topic/rooms/회의/events", &[]).await;
    watcher
}

#[tokio::test]
async fn an_expired_token_ends_its_session_and_its_participant_leaves_at_once() {
    let (server, _dir) = patient().await;
    let mut watcher = watcher(&server).await;
    let (short, _) = mint(&NewToken { ttl: Duration::from_secs(2), ..new_token("하나") });
    let mut client = connected(&server, &short).await;
    client.request("회의", "join", r#"{"name":"하나"}"#).await;

    let error = client.wait_for(|frame| frame.command == Command::Error).await;
    watcher.message_of_type("events", "participant_left").await;
    let (_, again) = connect(&server, &[("passcode", &short)]).await;

    assert_eq!(error.header(header::MESSAGE), Some("token expired"));
    assert!(client.is_closed().await);
    assert!(refusal(&again).contains("expired at"), "{again:?}");
    server.shutdown().await;
}

#[tokio::test]
async fn a_revoked_token_ends_its_sessions_and_no_others_and_opens_nothing_any_more() {
    let (server, _dir) = patient().await;
    let mut watcher = watcher(&server).await;
    let (revoked, id) = mint(&new_token("하나"));
    let mut kept = connected(&server, &token("하나")).await;
    let mut clients = [connected(&server, &revoked).await, connected(&server, &revoked).await];
    clients[0].request("회의", "join", r#"{"name":"하나"}"#).await;

    server.hub().revoke(&id, None, Timestamp::now()).await.unwrap();

    for client in &mut clients {
        let error = client.wait_for(|frame| frame.command == Command::Error).await;
        assert_eq!(error.header(header::MESSAGE), Some("token revoked"));
        assert!(client.is_closed().await);
    }
    watcher.message_of_type("events", "participant_left").await;
    let (_, again) = connect(&server, &[("passcode", &revoked)]).await;
    assert!(refusal(&again).contains("revoked"), "{again:?}");
    kept.send("/topic/a", &[(header::RECEIPT, "r")], "").await;
    kept.receipt("r").await;
    server.shutdown().await;
}

#[tokio::test]
async fn what_was_revoked_stays_so_after_a_restart() {
    let (server, dir) = strict().await;
    let (revoked, id) = mint(&new_token("하나"));
    server.hub().revoke(&id, None, Timestamp::now()).await.unwrap();
    server.shutdown().await;

    let server = Server::start(strict_settings(&dir)).await.unwrap();
    let (_, again) = connect(&server, &[("passcode", &revoked)]).await;

    assert!(refusal(&again).contains("revoked"), "{again:?}");
    server.shutdown().await;
}
