//! Public keys of another issuer, which come and go.

use madang::auth::JwksSource;
use madang::{Server, Settings};
use madang_wire::{Command, Frame, header};
use tempfile::TempDir;

use super::issuer::{Issuer, Key, jwks};
use super::stomp_client::{Client, settings};
use super::{connect, connect_frame, refusal, token};

async fn trusting(source: &str) -> (Server, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(trusting_settings(source, &dir)).await.unwrap();
    (server, dir)
}

fn trusting_settings(source: &str, dir: &TempDir) -> Settings {
    let mut settings = settings(dir);
    settings.auth.required = true;
    settings.auth.jwks = Some(JwksSource::parse(source).unwrap());
    settings
}

async fn show(server: &Server, token: &str) -> Frame {
    connect(server, &[("passcode", token)]).await.1
}

#[tokio::test]
async fn a_new_key_is_fetched_when_its_first_token_comes() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let issuer = Issuer::start(&jwks(&[&old])).await;
    let (server, _dir) = trusting(&issuer.url()).await;
    assert_eq!(show(&server, &old.token("하나")).await.command, Command::Connected);

    issuer.publish(&jwks(&[&new]));
    let mut client = Client::open(&server).await;
    let frames = connect_frame("1.2", &[("passcode", &new.token("하나"))]);
    // What comes behind it waits as long.
    client.send_text(&format!("{frames}DISCONNECT\nreceipt:bye\n\n\0")).await;

    assert_eq!(client.next().await.header(header::USER_NAME), Some("하나"));
    client.receipt("bye").await;
    let replaced = show(&server, &old.token("하나")).await;
    assert!(refusal(&replaced).contains("\"old\", which is not known here"), "{replaced:?}");
    server.shutdown().await;
}

#[tokio::test]
async fn invented_keys_make_no_more_than_one_fetch_a_minute() {
    let key = Key::new("known");
    let issuer = Issuer::start(&jwks(&[&key])).await;
    let (server, _dir) = trusting(&issuer.url()).await;

    for id in ["a", "b", "c", "d"] {
        let answer = show(&server, &Key::new(id).token("하나")).await;
        assert!(refusal(&answer).contains("which is not known here"), "{answer:?}");
    }
    assert_eq!(issuer.times_asked(), 2, "at the start, and for the first of them");
    assert_eq!(show(&server, &key.token("하나")).await.command, Command::Connected);
    server.shutdown().await;
}

#[tokio::test]
async fn known_keys_stay_while_newer_ones_can_not_be_had() {
    let (known, other) = (Key::new("known"), Key::new("other"));
    for answer in [
        "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
            .to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>".to_owned(),
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", " ".repeat(300_000)),
        "nonsense".to_owned(),
        String::new(),
    ] {
        let issuer = Issuer::start(&jwks(&[&known])).await;
        let (server, _dir) = trusting(&issuer.url()).await;
        issuer.answer(&answer);

        let unknown = show(&server, &other.token("하나")).await;

        assert!(refusal(&unknown).contains("not known here"), "{unknown:?}");
        assert!(issuer.times_asked() >= 2);
        assert_eq!(show(&server, &known.token("하나")).await.command, Command::Connected);
        server.shutdown().await;
    }
}

#[tokio::test]
async fn an_issuer_that_is_away_at_the_start_is_asked_when_it_is_needed() {
    let key = Key::new("known");
    let address = Issuer::start("").await.address;
    let (server, _dir) = trusting(&format!("http://{address}/keys")).await;
    let ready = format!("http://{}/readyz", server.http_addr());
    let while_away = reqwest::get(&ready).await.unwrap();
    let (status, reason) = (while_away.status(), while_away.text().await.unwrap());

    let _issuer = Issuer::start_at(address, &jwks(&[&key])).await;
    let answer = show(&server, &key.token("하나")).await;

    assert_eq!(status, 503);
    assert!(reason.contains("public keys"), "{reason}");
    assert_eq!(answer.command, Command::Connected, "{answer:?}");
    assert_eq!(reqwest::get(&ready).await.unwrap().status(), 200);
    server.shutdown().await;
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("열쇠.json");
    let (old, new) = (Key::new("old"), Key::new("newer"));
    std::fs::write(&path, jwks(&[&old])).unwrap();
    let (server, _dir) = trusting(path.to_str().unwrap()).await;
    assert_eq!(show(&server, &old.token("하나")).await.command, Command::Connected);

    std::fs::write(&path, "half a f").unwrap();
    let broken = show(&server, &new.token("하나")).await;
    let still = show(&server, &old.token("하나")).await;
    std::fs::write(&path, jwks(&[&new])).unwrap();
    let changed = show(&server, &new.token("하나")).await;

    assert!(refusal(&broken).contains("not known here"), "{broken:?}");
    assert_eq!(still.command, Command::Connected);
    assert_eq!(changed.command, Command::Connected, "{changed:?}");
    server.shutdown().await;
}

#[tokio::test]
async fn a_file_that_can_not_be_used_keeps_the_server_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let start = async || {
        let settings = trusting_settings(path.to_str().unwrap(), &dir);
        format!("{:#}", Server::start(settings).await.err().unwrap())
    };

    let missing = start().await;
    std::fs::write(&path, r#"{"keys":[{"kty":"oct","k":"AA"}]}"#).unwrap();
    let useless = start().await;

    assert!(missing.contains("keys.json") && missing.contains("No such file"), "{missing}");
    assert!(useless.contains("none of its keys can verify"), "{useless}");
}

#[tokio::test]
async fn with_public_keys_alone_no_secret_is_good() {
    let key = Key::new("known");
    let issuer = Issuer::start(&jwks(&[&key])).await;
    let (server, dir) = trusting(&issuer.url()).await;

    let answer = show(&server, &token("하나")).await;

    assert!(refusal(&answer).contains("\"HS256\" is not accepted here; accepted: EdDSA"));
    assert!(!dir.path().join("auth.secret").exists());
    assert!(server.hub().auth().minter().is_none());
    assert!(server.summary().contains("tokens come from their issuer"), "{}", server.summary());
    server.shutdown().await;
}
