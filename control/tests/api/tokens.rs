//! Minting tokens, and taking them back.

use madang::auth::JwksSource;
use madang_wire::Command;
use serde_json::json;

use super::rest::{start, start_with};
use super::stomp_client::Client;

#[tokio::test]
async fn a_minted_token_connects_its_user() {
    let (server, _dir, rest) = start().await;

    let minted = rest
        .post("/tokens", json!({ "user": "ann", "name": "Ann", "room": "마당", "role": "host" }))
        .await;

    minted.is(201);
    let token = minted.body["token"].as_str().unwrap();
    let mut client = Client::open(&server).await;
    client
        .send_text(&format!(
            "CONNECT\naccept-version:1.2\nhost:test\nAuthorization:Bearer {token}\n\n\0"
        ))
        .await;
    let connected = client.next().await;
    assert_eq!(connected.command, Command::Connected);
    assert_eq!(connected.headers.get("user-name"), Some("ann"));
    server.shutdown().await;
}

#[tokio::test]
async fn what_would_be_no_good_token_is_not_made() {
    let (server, _dir, rest) = start().await;

    for request in [
        json!({ "user": "", "room": "team" }),
        json!({ "user": "a".repeat(1000), "room": "team" }),
        json!({ "user": "ann", "room": "a/b" }),
        json!({ "user": "ann" }),
        json!({ "user": "ann", "room": "team", "role": "king" }),
        json!({ "user": "ann", "room": "team", "publish": ["smell"] }),
        json!({ "user": "ann", "room": "team", "ttl_seconds": 0 }),
        json!({ "user": "ann", "room": "team", "ttl_seconds": u64::MAX }),
        json!({ "user": "ann", "room": "team", "ttl_seconds": 400_000_000 }),
    ] {
        rest.post("/tokens", request).await.is_problem(400, "bad_request");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_revoked_token_ends_its_session_and_opens_nothing() {
    let (server, _dir, rest) = start().await;
    let minted = rest.post("/tokens", json!({ "user": "ann", "room": "*" })).await;
    let connect = format!(
        "CONNECT\naccept-version:1.2\nhost:test\nAuthorization:Bearer {}\n\n\0",
        minted.body["token"].as_str().unwrap()
    );
    let mut client = Client::open(&server).await;
    client.send_text(&connect).await;
    assert_eq!(client.next().await.command, Command::Connected);

    let revoked = rest.post("/tokens/revoke", json!({ "id": minted.body["id"] })).await;

    revoked.is(204);
    assert_eq!(client.next().await.command, Command::Error);
    let mut again = Client::open(&server).await;
    again.send_text(&connect).await;
    assert_eq!(again.next().await.command, Command::Error);
    let token = json!({ "token": minted.body["token"] });
    rest.post("/tokens/revoke", token).await.is(204);
    server.shutdown().await;
}

#[tokio::test]
async fn what_names_no_token_revokes_none() {
    let (server, _dir, rest) = start().await;

    for revocation in [
        json!({}),
        json!({ "id": "" }),
        json!({ "id": "a".repeat(1000) }),
        json!({ "id": "a", "token": "b" }),
        json!({ "token": "nonsense" }),
        json!({ "id": "a", "expires_at": "tomorrow" }),
    ] {
        rest.post("/tokens/revoke", revocation).await.is_problem(400, "bad_request");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn where_tokens_come_from_another_issuer_none_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys.json");
    std::fs::write(&keys, r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#).unwrap();
    let (server, _dir, rest) = start_with(|settings| {
        settings.auth.required = true;
        settings.auth.jwks = Some(JwksSource::parse(keys.to_str().unwrap()).unwrap());
    })
    .await;

    let answer = rest.post("/tokens", json!({ "user": "ann", "room": "*" })).await;

    answer.is_problem(409, "conflict");
    server.shutdown().await;
}
