//! Webhooks of a whole server, received by a real HTTP server.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]
#![expect(clippy::disallowed_methods, reason = "the receiver's socket is opened here")]

#[path = "stomp_client/mod.rs"]
mod stomp_client;

use std::collections::VecDeque;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use madang::{Server, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use stomp_client::Client;

/// Longer than any successful step takes.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_happens_in_a_room_is_told_signed_and_in_order() {
    let mut receiver = Receiver::start(&[]).await;
    let (server, dir) = start(&[receiver.url()]).await;

    let (mut ann, joined) = Client::join(&server, "마당", "Ann").await;
    let (mut bob, _) = Client::join(&server, "마당", "Bob").await;
    rest(&server, &dir, "PATCH", "/rooms/%EB%A7%88%EB%8B%B9", json!({ "locked": true })).await;
    bob.request("마당", "leave", "{}").await;
    ann.request("마당", "leave", "{}").await;
    let calls = receiver.take(7).await;

    let events = [
        "room_opened",
        "participant_joined",
        "participant_joined",
        "room_changed",
        "participant_left",
        "participant_left",
        "room_closed",
    ];
    assert_eq!(calls.iter().map(|call| call.event()).collect::<Vec<_>>(), events);
    assert_eq!(calls[1].body["participant"]["id"], joined["participant"]["id"]);
    assert_eq!(
        (&calls[3].body["locked"], &calls[3].body["participants"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(
        (&calls[4].body["participant"]["name"], &calls[4].body["reason"]),
        (&json!("Bob"), &json!("left"))
    );
    let secret = fs::read_to_string(dir.path().join("webhook.secret")).unwrap();
    for call in &calls {
        assert_eq!(call.body["room"], "마당");
        assert!(call.body["at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
        assert_eq!(call.header("content-type"), "application/json");
        assert_eq!(call.header("madang-event-id"), call.body["id"].as_str().unwrap());
        assert!(call.is_signed_with(secret.trim()), "{call:?}");
        assert!(!call.is_signed_with("another secret"));
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_call_that_failed_is_made_again_before_those_behind_it() {
    let mut receiver = Receiver::start(&[500, 302]).await;
    let (server, dir) = start(&[receiver.url()]).await;

    let (_ann, _) = Client::join(&server, "team", "Ann").await;
    let calls = receiver.take(4).await;
    let report = reported(&server, &dir, |report| report["pending"] == 0).await;

    let events = ["room_opened", "room_opened", "room_opened", "participant_joined"];
    assert_eq!(calls.iter().map(|call| call.event()).collect::<Vec<_>>(), events);
    assert_eq!(
        (calls[0].body["id"].as_str(), &calls[0].body),
        (calls[1].body["id"].as_str(), &calls[2].body)
    );
    assert_eq!((&report["delivered"], &report["failed"]), (&json!(2), &json!(2)));
    let error = &report["urls"][0]["last_error"];
    assert_eq!(
        (&error["reason"], &error["attempts"]),
        (&json!("the receiver answered 302 Found"), &json!(2))
    );
    let metrics = reqwest::get(format!("{}metrics", server.url())).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for line in ["madang_webhook_delivered_calls_total 2", "madang_webhook_failed_calls_total 2"] {
        assert!(metrics.lines().any(|other| other == line), "{line} is missing in {metrics}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_receiver_that_is_away_gets_all_when_it_comes_and_holds_up_no_other() {
    let away = free_address().await;
    let mut here = Receiver::start(&[]).await;
    let (server, dir) = start(&[format!("http://{away}/hook"), here.url()]).await;

    let (_ann, _) = Client::join(&server, "team", "Ann").await;
    let heard = here.take(2).await;
    let report = reported(&server, &dir, |report| report["failed"] != 0).await;
    let mut back = Receiver::listen(away, &[]).await;
    let late = back.take(2).await;

    assert_eq!(report["urls"][0]["delivered"], 0);
    assert!(report["urls"][0]["last_error"]["reason"].as_str().unwrap().contains("refused"));
    let bodies = |calls: &[Call]| calls.iter().map(|call| call.body.clone()).collect::<Vec<_>>();
    assert_eq!(bodies(&late), bodies(&heard));
    server.shutdown().await;
}

#[tokio::test]
async fn what_is_not_delivered_survives_a_restart() {
    let away = free_address().await;
    let (server, dir) = start(&[format!("http://{away}/hook")]).await;
    let (mut ann, _) = Client::join(&server, "team", "Ann").await;
    ann.request("team", "leave", "{}").await;
    reported(&server, &dir, |report| report["pending"] == 4).await;
    server.shutdown().await;

    let mut receiver = Receiver::listen(away, &[]).await;
    let server = Server::start(settings(dir.path(), &[receiver.url()])).await.unwrap();
    let calls = receiver.take(4).await;
    let report = reported(&server, &dir, |report| report["pending"] == 0).await;

    let events = ["room_opened", "participant_joined", "participant_left", "room_closed"];
    assert_eq!(calls.iter().map(|call| call.event()).collect::<Vec<_>>(), events);
    assert_eq!(report["delivered"], 4);
    server.shutdown().await;
}

#[tokio::test]
async fn a_url_that_is_configured_no_more_is_not_called() {
    let away = free_address().await;
    let (server, dir) = start(&[format!("http://{away}/hook")]).await;
    let (_ann, _) = Client::join(&server, "team", "Ann").await;
    reported(&server, &dir, |report| report["pending"] == 2).await;
    server.shutdown().await;

    let mut other = Receiver::start(&[]).await;
    let server = Server::start(settings(dir.path(), &[other.url()])).await.unwrap();
    let (_bob, _) = Client::join(&server, "other", "Bob").await;
    let calls = other.take(2).await;

    assert!(calls.iter().all(|call| call.body["room"] == "other"), "{calls:?}");
    assert_eq!(reported(&server, &dir, |_| true).await["urls"].as_array().unwrap().len(), 1);
    server.shutdown().await;
}

#[tokio::test]
async fn the_end_of_a_room_is_told() {
    let mut receiver = Receiver::start(&[]).await;
    let (server, dir) = start(&[receiver.url()]).await;
    let (_ann, _) = Client::join(&server, "team", "Ann").await;

    let end = json!({ "action": "end_room", "value": "good night" });
    rest(&server, &dir, "POST", "/rooms/team/moderation", end).await;
    let calls = receiver.take(5).await;

    let events =
        ["room_opened", "participant_joined", "room_ended", "participant_left", "room_closed"];
    assert_eq!(calls.iter().map(|call| call.event()).collect::<Vec<_>>(), events);
    assert_eq!(calls[2].body["reason"], "good night");
    server.shutdown().await;
}

#[test]
fn what_can_not_be_called_is_refused_before_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let many: Vec<String> = (0..17).map(|n| format!("http://127.0.0.1/{n}")).collect();
    let twice = vec!["http://127.0.0.1/a".to_owned(); 2];
    let wrong = ["ftp://host/a", "hook", "http://", "mailto:a@b"].map(|url| vec![url.to_owned()]);

    for urls in wrong.into_iter().chain([many, twice]) {
        let mistakes = settings(dir.path(), &urls).check().unwrap_err().to_string();
        assert!(mistakes.contains("webhooks.urls"), "{urls:?}: {mistakes}");
    }
    let mut settings = settings(dir.path(), &["https://example.com/hook".to_owned()]);
    settings.check().unwrap();
    settings.webhooks.secret = Some(madang_wire::Secret::new("secret"));
    assert!(settings.check().unwrap_err().to_string().contains("webhooks.secret"));
}

async fn start(urls: &[String]) -> (Server, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(settings(dir.path(), urls)).await.unwrap();
    (server, dir)
}

fn settings(data_dir: &Path, urls: &[String]) -> Settings {
    let mut settings = Settings::default();
    settings.http.listen = "127.0.0.1:0".parse().unwrap();
    settings.media.udp_port = 0;
    settings.media.workers = 1;
    settings.turn.enabled = false;
    settings.data_dir = data_dir.to_owned();
    settings.webhooks.urls = urls.to_vec();
    settings
}

/// Polls `GET /webhooks` until the answer matches, and returns it.
async fn reported(server: &Server, dir: &TempDir, is_it: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        loop {
            let report = rest(server, dir, "GET", "/webhooks", Value::Null).await;
            if is_it(&report) {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("the report never says so")
}

async fn rest(server: &Server, dir: &TempDir, method: &str, path: &str, body: Value) -> Value {
    let key = fs::read_to_string(dir.path().join("api.key")).unwrap();
    let url = format!("{}api/v1{path}", server.url());
    let request = reqwest::Client::new().request(method.parse().unwrap(), url);
    let request = request.bearer_auth(key.trim()).header("content-type", "application/json");
    let response = request.body(body.to_string()).send().await.unwrap();
    assert!(response.status().is_success(), "{response:?}");
    serde_json::from_str(&response.text().await.unwrap()).unwrap_or(Value::Null)
}

/// An address where nothing listens.
async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A receiver of calls.
struct Receiver {
    address: SocketAddr,
    calls: mpsc::UnboundedReceiver<Call>,
    task: JoinHandle<()>,
}

/// A received call.
#[derive(Debug)]
struct Call {
    headers: HeaderMap,
    text: String,
    body: Value,
}

/// The statuses that answer the first calls, and the sender of all received calls.
type Answers = (Arc<Mutex<VecDeque<u16>>>, mpsc::UnboundedSender<Call>);

impl Receiver {
    /// Starts a receiver that gives these answers to the first calls, then success.
    async fn start(answers: &[u16]) -> Receiver {
        Receiver::listen("127.0.0.1:0".parse().unwrap(), answers).await
    }

    async fn listen(address: SocketAddr, answers: &[u16]) -> Receiver {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, calls) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(answers.iter().copied().collect()));
        let router = Router::new().route("/hook", post(take)).with_state((answers, heard));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Receiver { address, calls, task }
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Receives the next calls.
    async fn take(&mut self, count: usize) -> Vec<Call> {
        let mut calls = Vec::new();
        while calls.len() < count {
            let next = tokio::time::timeout(PATIENCE, self.calls.recv()).await;
            calls.push(next.unwrap_or_else(|_| panic!("only {calls:?}")).unwrap());
        }
        calls
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(
    State((answers, heard)): State<Answers>,
    headers: HeaderMap,
    text: String,
) -> Response {
    let body = serde_json::from_str(&text).unwrap();
    heard.send(Call { headers, text, body }).unwrap();
    let status = answers.lock().unwrap().pop_front().unwrap_or(204);
    (StatusCode::from_u16(status).unwrap(), [(header::LOCATION, "/elsewhere")]).into_response()
}

impl Call {
    fn event(&self) -> &str {
        self.body["event"].as_str().unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn is_signed_with(&self, secret: &str) -> bool {
        let (time, signature) = self.header("madang-signature").split_once(",v1=").unwrap();
        let time = time.strip_prefix("t=").unwrap();
        assert!(time.parse::<i64>().unwrap() > 1_700_000_000);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, format!("{time}.{}", self.text).as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        hex == signature
    }
}
