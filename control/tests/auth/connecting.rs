//! Credentials in CONNECT.

use madang::Server;
use madang_wire::{Command, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::stomp_client::{Client, settings, start};
use super::{
    connect, connect_frame, connected, for_room, mint, new_token, refusal, strict, strict_settings,
    token,
};

#[tokio::test]
async fn a_token_is_good_wherever_it_may_stand() {
    let (server, _dir) = strict().await;
    let token = token("하나");
    let bearer = format!("Bearer {token}");
    let lower = format!("bearer {token}");

    for version in ["1.0", "1.1", "1.2"] {
        for headers in [
            &[("Authorization", bearer.as_str())][..],
            &[("authorization", &lower)],
            &[("login", ""), ("passcode", &token)],
            &[("login", "하나"), ("passcode", &token)],
            &[("passcode", &token)],
        ] {
            let mut client = Client::open(&server).await;
            client.send_text(&connect_frame(version, headers)).await;
            let answer = client.next().await;
            assert_eq!(answer.command, Command::Connected, "{version} {headers:?} {answer:?}");
            assert_eq!(answer.header(header::VERSION), Some(version));
            assert_eq!(answer.header(header::USER_NAME), Some("하나"));
        }
    }
    server.shutdown().await;
}

#[tokio::test]
async fn without_a_good_token_nobody_gets_in_and_hears_why() {
    let (server, _dir) = strict().await;
    let token = token("하나");
    let cut = token[..token.len() - 1].to_owned();
    let basic = "Basic Z3Vlc3Q6Z3Vlc3Q=";

    for (headers, says) in [
        (&[][..], "requires a token"),
        (&[("login", "guest")], "requires a token"),
        (&[("login", "guest"), ("passcode", "guest")], "three parts"),
        (&[("Authorization", basic)], "must be `Bearer`"),
        (&[("Authorization", token.as_str())], "must be `Bearer`"),
        (&[("passcode", &cut)], "signature is wrong"),
        (&[("login", "두리"), ("passcode", &token)], "`login` is not the token's user"),
    ] {
        let (mut client, answer) = connect(&server, &[headers, &[("receipt", "r")]].concat()).await;
        let reason = refusal(&answer);
        assert!(reason.contains(says), "{headers:?}: {reason}");
        assert!(!reason.contains(&token[..40]), "{reason}");
        assert_eq!(answer.header(header::RECEIPT_ID), Some("r"));
        assert!(client.is_closed().await);
    }
    server.shutdown().await;
}

#[tokio::test]
async fn with_authentication_off_guests_get_in_and_bad_tokens_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = strict_settings(&dir);
    settings.auth.required = false;
    let server = Server::start(settings).await.unwrap();
    let good = token("하나");
    let bad = format!("{good}x");

    let (_, guest) = connect(&server, &[]).await;
    // A library's own idea, for brokers that want one.
    let (_, with_password) = connect(&server, &[("login", "guest"), ("passcode", "guest")]).await;
    let (_, user) = connect(&server, &[("passcode", &good)]).await;
    let (_, refused) = connect(&server, &[("passcode", &bad)]).await;

    for frame in [guest, with_password] {
        assert!(frame.header(header::USER_NAME).unwrap().starts_with("guest-"));
    }
    assert_eq!(user.header(header::USER_NAME), Some("하나"));
    assert!(refusal(&refused).contains("signature"));
    assert!(server.summary().contains("Authentication is off"));
    server.shutdown().await;
}

#[tokio::test]
async fn tokens_are_good_over_tcp() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = strict_settings(&dir);
    settings.stomp.tcp_listen = "127.0.0.1:0".parse().ok();
    let server = Server::start(settings).await.unwrap();
    let token = token("하나");
    let mut answers = Vec::new();

    for headers in [&[("passcode", token.as_str())][..], &[]] {
        let mut stream = TcpStream::connect(server.stomp_addr().unwrap()).await.unwrap();
        let frames = connect_frame("1.2", headers) + "DISCONNECT\nreceipt:bye\n\n\0";
        stream.write_all(frames.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answers.push(answer);
    }

    assert!(answers[0].starts_with("CONNECTED\n"), "{}", answers[0]);
    assert!(answers[0].contains("receipt-id:bye"), "what came behind CONNECT was done");
    assert!(answers[1].starts_with("ERROR\nmessage:not authenticated\n"), "{}", answers[1]);
    assert!(!answers[1].contains("bye"), "{}", answers[1]);
    assert!(server.summary().contains("Authentication is on: tokens come from `madang token`"));
    server.shutdown().await;
}

#[tokio::test]
async fn tokens_are_good_through_sockjs() {
    let (server, _dir) = strict().await;
    let token = token("하나");
    let http = reqwest::Client::new();
    let post = async |path: &str, body: String| {
        let url = format!("http://{}/ws/000/{path}", server.http_addr());
        http.post(url).body(body).send().await.unwrap().text().await.unwrap()
    };

    for (session, headers, says) in
        [("good", &[("passcode", token.as_str())][..], "CONNECTED"), ("bad", &[], "ERROR")]
    {
        assert_eq!(post(&format!("{session}/xhr"), String::new()).await, "o\n");
        let frame = serde_json::to_string(&[connect_frame("1.2", headers)]).unwrap();
        post(&format!("{session}/xhr_send"), frame).await;
        let answer = post(&format!("{session}/xhr"), String::new()).await;
        assert!(answer.starts_with(&format!("a[\"{says}")), "{answer}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_token_opens_its_room_and_no_other() {
    let (server, _dir) = strict().await;
    let scope = for_room("주간회의");
    let mut client =
        connected(&server, &mint(&super::NewToken { scope, ..new_token("하나") }).0).await;

    let refused = client.request("다른방", "join", r#"{"name":"하나"}"#).await;
    let joined = client.request("주간회의", "join", r#"{"name":"하나"}"#).await;

    assert_eq!(refused["code"], "not_allowed", "{refused}");
    assert_eq!(joined["type"], "joined", "{joined}");
    server.shutdown().await;
}

#[tokio::test]
async fn each_session_of_a_user_gets_what_is_sent_to_the_user() {
    let (server, _dir) = strict().await;
    let (mine, theirs) = (token("team/하나"), token("두리"));
    let mut sessions = [connected(&server, &mine).await, connected(&server, &mine).await];
    for session in &mut sessions {
        session.subscribe("mail", "/user/queue/mail", &[]).await;
    }
    let mut other = connected(&server, &theirs).await;

    other.send("/user/team%2F하나/queue/mail", &[], "\"hello\"").await;

    for session in &mut sessions {
        assert_eq!(session.message("mail").await, "hello");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_senders_token_is_shown_to_nobody() {
    let (server, _dir) = start().await;
    let mut reader = Client::connect(&server).await;
    reader.subscribe("t", "/topic/a", &[]).await;
    let mut writer = Client::connect(&server).await;

    let headers = [("Authorization", "Bearer 1"), ("authorization", "Bearer 2"), ("passcode", "3")];
    writer.send("/topic/a", &headers, "{}").await;

    let message = reader.wait_for(|frame| frame.command == Command::Message).await;
    for (name, _) in headers {
        assert_eq!(message.header(name), None);
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_server_without_a_secret_makes_one_that_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.auth.required = true;
    let mut users = Vec::new();
    let mut token = None;

    for _ in 0..2 {
        let server = Server::start(settings.clone()).await.unwrap();
        let minter = server.hub().auth().minter().unwrap();
        let token = token.get_or_insert_with(|| {
            let now = jiff::Timestamp::now();
            minter.mint(&new_token("하나"), now).unwrap().token.expose().to_owned()
        });
        let (_, answer) = connect(&server, &[("passcode", token)]).await;
        users.push(answer.header(header::USER_NAME).map(str::to_owned));
        server.shutdown().await;
    }

    assert_eq!(users, [Some("하나".to_owned()), Some("하나".to_owned())]);
}
