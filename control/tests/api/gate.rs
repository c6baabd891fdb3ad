//! What every request passes: credentials, origins, quotas; and what is said to requests that can't be read.

use reqwest::Method;
use serde_json::json;

use super::rest::{Rest, start, start_with};

#[tokio::test]
async fn without_a_credential_that_counts_one_is_asked_for() {
    let (server, _dir, rest) = start().await;
    let user = rest.user("ann", "team", "host").await;
    let revoked = rest.user("bob", "team", "host").await;
    rest.post("/tokens/revoke", json!({ "token": revoked.credential() })).await.is(204);

    for nobody in [
        rest.without(),
        rest.with("not-the-key"),
        rest.with(&format!("{}x", rest.credential())),
        rest.with(&format!("{}x", user.credential())),
        rest.with("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."),
        revoked,
    ] {
        let answer = nobody.get("/server").await;
        answer.is_problem(401, "not_authenticated");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"madang\"");
    }
    let basic =
        rest.without().request(Method::GET, "/server").header("authorization", "Basic eA==");
    rest.send(basic).await.is_problem(401, "not_authenticated");
    server.shutdown().await;
}

#[tokio::test]
async fn a_token_is_not_an_api_key() {
    let (server, _dir, rest) = start().await;
    let host = rest.user("ann", "*", "host").await;

    for path in ["/server", "/rooms?all=true", "/webhooks"] {
        host.get(path).await.is_problem(403, "not_allowed");
    }
    let token = json!({ "user": "eve", "room": "*" });
    host.post("/tokens", token).await.is_problem(403, "not_allowed");
    host.post("/rooms", json!({ "name": "mine" })).await.is_problem(403, "not_allowed");
    host.post("/tokens/revoke", json!({ "id": "x" })).await.is_problem(403, "not_allowed");
    server.shutdown().await;
}

#[tokio::test]
async fn what_can_not_be_read_is_a_problem() {
    let (server, _dir, rest) = start().await;
    let post = |body: &str, kind: &str| {
        let request = rest.request(Method::POST, "/tokens").header("content-type", kind);
        rest.send(request.body(body.to_owned()))
    };

    rest.get("/nothing").await.is_problem(404, "not_found");
    rest.get("/api/v2").await.is_problem(404, "not_found");
    rest.get("/api").await.is_problem(404, "not_found");
    rest.delete("/server").await.is_problem(405, "bad_request");
    assert_eq!(rest.delete("/server").await.header("allow"), "GET,HEAD");
    rest.get("/rooms?limit=many").await.is_problem(400, "bad_request");
    rest.get("/rooms?limit=0").await.is_problem(400, "bad_request");
    rest.get("/rooms?after=a%2Fb").await.is_problem(400, "bad_request");
    post("{", "application/json").await.is_problem(400, "bad_request");
    post("[\"ann\",null,\"team\"]", "application/json").await.is_problem(400, "bad_request");
    post("[]", "application/json").await.is_problem(400, "bad_request");
    post("\u{0}", "application/json").await.is_problem(400, "bad_request");
    post("user=a", "application/x-www-form-urlencoded").await.is_problem(415, "bad_request");
    let long = format!("{{\"user\":\"{}\"}}", "a".repeat(64 * 1024));
    post(&long, "application/json").await.is_problem(413, "too_large");
    server.shutdown().await;
}

#[tokio::test]
async fn other_sites_pages_need_to_be_named() {
    let named = "https://app.example";
    let (server, _dir, rest) = start_with(|settings| {
        settings.auth.required = true;
        settings.http.allowed_origins = vec![named.to_owned()];
    })
    .await;
    let asks = |rest: Rest, method: Method, origin: &str| {
        let request = rest.request(method, "/server").header("origin", origin);
        let request = request.header("access-control-request-method", "GET");
        async move { rest.send(request).await }
    };

    let preflight = asks(rest.without(), Method::OPTIONS, named).await;
    let answer = asks(rest.clone(), Method::GET, named).await;
    let evil = asks(rest.clone(), Method::OPTIONS, "https://evil.example").await;

    assert_eq!(preflight.status, 204);
    assert!(preflight.header("access-control-allow-headers").contains("authorization"));
    assert!(preflight.header("access-control-allow-methods").contains("PATCH"));
    for answer in [&preflight, &answer] {
        assert_eq!(answer.header("access-control-allow-origin"), named);
        assert!(answer.header("vary").contains("origin"), "{answer:?}");
    }
    evil.is_problem(403, "not_allowed");
    assert_eq!(evil.header("access-control-allow-origin"), "");
    server.shutdown().await;
}

#[tokio::test]
async fn who_shows_no_credential_is_soon_told_to_wait() {
    let (server, _dir, rest) = start().await;
    let nobody = rest.without();
    let mut refused = None;

    for _ in 0..1000 {
        let answer = nobody.get("/server").await;
        if answer.status != 401 {
            refused = Some(answer);
            break;
        }
    }

    let refused = refused.expect("a limit");
    refused.is_problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), "1");
    rest.get("/server").await.is(200);
    server.shutdown().await;
}
