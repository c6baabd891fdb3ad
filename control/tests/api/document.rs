//! The OpenAPI document.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use super::rest::start;

#[tokio::test]
async fn the_document_describes_what_there_is() {
    let (server, _dir, rest) = start().await;

    let document = rest.without().get("/api/openapi.json").await;

    document.is(200);
    assert_eq!(document.header("content-type"), "application/json");
    assert!(document.body["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document.text);
    let mut described = BTreeSet::new();
    let mut names = BTreeSet::new();
    for (path, methods) in document.body["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            described.insert(format!("{} {path}", method.to_uppercase()));
            assert!(operation["summary"].is_string() || operation["description"].is_string());
            assert!(names.insert(operation["operationId"].to_string()), "{path}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(response["description"].is_string(), "{status} of {path}");
            }
            assert!(operation["responses"].as_object().unwrap().contains_key("default"));
            let path = path.replace("{room}", "none").replace("{user}", "u").replace("{id}", "m");
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = rest.send(rest.request(method, &path).body("{}")).await;
            // The document's own routes are there, and take that method, whatever they say to it.
            assert_ne!(answer.status, 405, "{path}");
            let detail = answer.body["detail"].as_str().unwrap_or("");
            assert!(!detail.contains("nothing at this address"), "{path}: {detail}");
        }
    }
    let expected: BTreeSet<String> = ROUTES.iter().map(|route| (*route).to_owned()).collect();
    assert_eq!(described, expected);
    server.shutdown().await;
}

#[tokio::test]
async fn everything_that_the_document_refers_to_is_in_it() {
    let (server, _dir, rest) = start().await;

    let document = rest.without().get("/api/openapi.json").await.body;

    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    server.shutdown().await;
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            references.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

const ROUTES: &[&str] = &[
    "GET /api/v1/rooms",
    "POST /api/v1/rooms",
    "GET /api/v1/rooms/{room}",
    "PATCH /api/v1/rooms/{room}",
    "DELETE /api/v1/rooms/{room}",
    "GET /api/v1/rooms/{room}/participants",
    "POST /api/v1/rooms/{room}/moderation",
    "GET /api/v1/rooms/{room}/roles",
    "PUT /api/v1/rooms/{room}/roles/{user}",
    "DELETE /api/v1/rooms/{room}/roles/{user}",
    "GET /api/v1/rooms/{room}/bans",
    "POST /api/v1/rooms/{room}/bans",
    "DELETE /api/v1/rooms/{room}/bans/{user}",
    "GET /api/v1/rooms/{room}/messages",
    "GET /api/v1/rooms/{room}/messages/search",
    "DELETE /api/v1/rooms/{room}/messages/{id}",
    "GET /api/v1/rooms/{room}/export",
    "GET /api/v1/rooms/{room}/audit",
    "GET /api/v1/server",
    "GET /api/v1/webhooks",
    "POST /api/v1/tokens",
    "POST /api/v1/tokens/revoke",
];
