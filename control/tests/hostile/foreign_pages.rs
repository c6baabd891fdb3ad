//! Pages of other sites, which a user's browser would let in wherever the user may go.

use madang::Server;

use crate::raw::{Raw, UPGRADE};
use crate::{Bystander, stomp_client};

#[tokio::test]
async fn no_transport_lets_them_in() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = stomp_client::settings(&dir);
    settings.http.allowed_origins = vec!["https://app.example".to_owned()];
    let server = Server::start(settings).await.unwrap();
    let mut bystander = Bystander::connect(&server).await;

    for (method, path, is_websocket) in [
        ("GET", "/ws", true),
        ("GET", "/ws/websocket", true),
        ("GET", "/ws/000/any/websocket", true),
        ("GET", "/ws/info", false),
        ("POST", "/ws/000/any/xhr", false),
        ("POST", "/ws/000/any/xhr_send", false),
        ("POST", "/ws/000/any/xhr_streaming", false),
        ("GET", "/ws/000/any/eventsource", false),
        ("GET", "/ws/000/any/htmlfile?c=cb", false),
        ("OPTIONS", "/ws/000/any/xhr", false),
        ("OPTIONS", "/ws/info", false),
    ] {
        for origin in [
            "https://evil.example",
            "https://app.example.evil.example",
            "http://app.example",
            "null",
        ] {
            let mut headers = vec![("Origin", origin)];
            if is_websocket {
                headers.extend(UPGRADE);
            } else {
                headers.push(("Connection", "close"));
            }
            let mut raw = Raw::connect(server.http_addr()).await;
            raw.request(method, path, &headers, "").await;

            let answer = raw.answer().await;

            assert_eq!(answer.status, 403, "{method} {path} from {origin}: {answer:?}");
            assert!(answer.text.contains("`http.allowed_origins`"), "{answer:?}");
            let head = answer.text.to_ascii_lowercase();
            assert!(!head.contains("access-control-allow-origin"), "{answer:?}");
        }
    }
    bystander.goes_on().await;
    server.shutdown().await;
}

#[tokio::test]
async fn they_can_not_frame_the_sockjs_page() {
    let (server, _dir) = stomp_client::start().await;
    let mut raw = Raw::connect(server.http_addr()).await;

    raw.request("GET", "/ws/iframe.html", &[("Connection", "close")], "").await;

    let answer = raw.answer().await;
    assert!(answer.text.contains("frame-ancestors 'self'"), "{answer:?}");
    server.shutdown().await;
}
