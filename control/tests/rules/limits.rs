//! Size Limits.

use madang::Server;

use crate::exchange::{
    after, check, connected, hears, is_closed, rule, sends, sends_raw, subscribed,
};
use crate::stomp_client;

#[tokio::test]
async fn sizes_are_limited_and_the_limit_is_named() {
    const LIMITS: &str = "Size Limits";
    let dir = tempfile::tempdir().unwrap();
    let mut settings = stomp_client::settings(&dir);
    settings.limits.frame_bytes = 20_000;
    let server = Server::start(settings).await.unwrap();
    let frame = |body: usize| format!("SEND\ndestination:/topic/t\n\n{}", "x".repeat(body));
    let most = 20_000 - frame(0).len() - 1;
    let headers = |count: usize| {
        let lines: String = (1..count).map(|number| format!("h{number}:x\n")).collect();
        format!("SEND\ndestination:/topic/t\n{lines}\n")
    };
    let line = |length: usize| {
        format!("SEND\ndestination:/topic/t\nlong:{}\n\n", "x".repeat(length - "long:".len()))
    };
    check(
        &server,
        vec![
            rule(
                LIMITS,
                "a frame may be so long",
                after(
                    subscribed("1.2"),
                    [sends(frame(most)), hears(format!("MESSAGE\n\n{}", "x".repeat(most)))],
                ),
            ),
            rule(
                LIMITS,
                "and no longer",
                after(
                    connected("1.2"),
                    [
                        sends(frame(most + 1)),
                        hears("ERROR\nmessage:malformed frame\n\n…frame_bytes = 20000 bytes…"),
                        is_closed(),
                    ],
                ),
            ),
            rule(
                LIMITS,
                "a longer body is refused when it is announced",
                after(
                    connected("1.2"),
                    [
                        sends_raw("SEND\ndestination:/topic/t\ncontent-length:20000\n\n"),
                        hears("ERROR\nmessage:malformed frame\n\n…frame_bytes = 20000 bytes…"),
                        is_closed(),
                    ],
                ),
            ),
            rule(
                LIMITS,
                "a frame without end is refused before it has one",
                after(
                    connected("1.2"),
                    [
                        sends_raw(frame(most + 2)),
                        hears("ERROR\nmessage:malformed frame\n\n…frame_bytes = 20000 bytes…"),
                        is_closed(),
                    ],
                ),
            ),
            rule(
                LIMITS,
                "there may be so many headers",
                after(subscribed("1.2"), [sends(headers(128)), hears("MESSAGE\nh127:x\n\n")]),
            ),
            rule(
                LIMITS,
                "and no more",
                after(
                    connected("1.2"),
                    [
                        sends(headers(129)),
                        hears("ERROR\nmessage:malformed frame\n\n…headers = 128…"),
                        is_closed(),
                    ],
                ),
            ),
            rule(
                LIMITS,
                "a header line may be so long",
                after(
                    subscribed("1.2"),
                    [
                        sends(line(16_384)),
                        hears(format!("MESSAGE\nlong:{}\n\n", "x".repeat(16_379))),
                    ],
                ),
            ),
            rule(
                LIMITS,
                "and no longer",
                after(
                    connected("1.2"),
                    [
                        sends(line(16_385)),
                        hears("ERROR\nmessage:malformed frame\n\n…header_bytes = 16384 bytes…"),
                        is_closed(),
                    ],
                ),
            ),
            rule(
                LIMITS,
                "before CONNECT too",
                vec![
                    sends(format!("CONNECT\naccept-version:1.2\nhost:{}\n\n", "x".repeat(20_000))),
                    hears("ERROR\nversion:1.0,1.1,1.2\n\n…header_bytes = 16384 bytes…"),
                    is_closed(),
                ],
            ),
        ],
    )
    .await;
    server.shutdown().await;
}
