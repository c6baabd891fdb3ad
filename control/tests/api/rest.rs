//! A REST client, and servers for it.

use std::fs;

use madang::{Server, Settings};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::stomp_client;

/// A server that lets nobody in without a token, with the folder of its data, and a client that holds its API key.
pub(crate) async fn start() -> (Server, TempDir, Rest) {
    start_with(|settings| settings.auth.required = true).await
}

/// The same with other settings.
pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> (Server, TempDir, Rest) {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = stomp_client::settings(&dir);
    change(&mut settings);
    let server = Server::start(settings).await.unwrap();
    let key = fs::read_to_string(dir.path().join("api.key")).unwrap();
    let rest = Rest::new(&server).with(key.trim());
    (server, dir, rest)
}

/// A client with a credential, or without.
#[derive(Clone)]
pub(crate) struct Rest {
    http: reqwest::Client,
    base: String,
    credential: Option<String>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    /// `null` when it is no JSON.
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Rest {
    pub(crate) fn new(server: &Server) -> Rest {
        let base = format!("http://{}", server.http_addr());
        Rest { http: reqwest::Client::new(), base, credential: None }
    }

    /// The same client with an API key or a token.
    pub(crate) fn with(&self, credential: &str) -> Rest {
        Rest { credential: Some(credential.to_owned()), ..self.clone() }
    }

    /// The same client without a credential.
    pub(crate) fn without(&self) -> Rest {
        Rest { credential: None, ..self.clone() }
    }

    /// The same client with a token for a room, in a role.
    pub(crate) async fn user(&self, user: &str, room: &str, role: &str) -> Rest {
        let body = json!({ "user": user, "name": user, "room": room, "role": role });
        let minted = self.post("/tokens", body).await;
        assert_eq!(minted.status, 201, "{}", minted.text);
        self.with(minted.body["token"].as_str().unwrap())
    }

    /// What it shows.
    pub(crate) fn credential(&self) -> &str {
        self.credential.as_deref().unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send_json(Method::POST, path, &body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send_json(Method::PUT, path, &body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send_json(Method::PATCH, path, &body).await
    }

    /// A request to a path below `/api/v1`, or to one that begins with `/api`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let prefix = if path.starts_with("/api") { "" } else { "/api/v1" };
        let request = self.http.request(method, format!("{}{prefix}{path}", self.base));
        match &self.credential {
            Some(credential) => request.bearer_auth(credential),
            None => request,
        }
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, body, text }
    }

    async fn send_json(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.request(method, path).header("content-type", "application/json");
        self.send(request.body(body.to_string())).await
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Whether it is a problem with this status and code, in the form of RFC 9457.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(
            (&self.body["type"], &self.body["status"]),
            (&json!("about:blank"), &json!(status))
        );
        for text in ["title", "detail"] {
            assert!(self.body[text].as_str().is_some_and(|text| !text.is_empty()), "{self:?}");
        }
    }

    /// Whether it worked, with this status.
    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Answer {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}
