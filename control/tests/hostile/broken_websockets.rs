//! WebSocket frames that RFC 6455 forbids.

use crate::raw::{BINARY, CLOSE, PING, PONG, Raw, TEXT, UPGRADE, frame};
use crate::{Bystander, stomp_client};

const CONTINUATION: u8 = 0x80;
/// Not the last frame of its message.
const TEXT_BEGINS: u8 = 0x01;
const COMPRESSED: u8 = 0x40;

#[tokio::test]
async fn broken_frames_are_answered_with_an_error_and_a_close_code() {
    let (server, _dir) = stomp_client::start().await;
    let mut bystander = Bystander::connect(&server).await;
    let invalid = "안".as_bytes();
    let huge = [&[BINARY, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();

    for (what, bytes, code, says) in [
        ("not masked", frame(TEXT, false, b"x"), 1002, "unmasked"),
        ("compressed", frame(TEXT | COMPRESSED, true, b"x"), 1002, "eserved"),
        ("a kind that there is not", frame(0x83, true, b"x"), 1002, "opcode"),
        ("a control kind that there is not", frame(0x8b, true, b"x"), 1002, "opcode"),
        ("a ping in pieces", frame(0x09, true, b"x"), 1002, "ragmented"),
        ("a ping of 126 bytes", frame(PING, true, &[b'x'; 126]), 1002, "ontrol"),
        ("the end of nothing", frame(CONTINUATION, true, b"x"), 1002, "ontinu"),
        (
            "another message within one",
            [frame(TEXT_BEGINS, true, b"x"), frame(TEXT, true, b"x")].concat(),
            1002,
            "ragment",
        ),
        ("text that is none", frame(TEXT, true, b"\xff\xfe"), 1007, "UTF-8"),
        ("half a character", frame(TEXT, true, &invalid[..2]), 1007, "UTF-8"),
        (
            "half a character in pieces",
            [frame(TEXT_BEGINS, true, &invalid[..1]), frame(CONTINUATION, true, b"x")].concat(),
            1007,
            "UTF-8",
        ),
        ("more than there is", huge, 1009, "too long"),
    ] {
        let mut raw = Raw::upgrade(server.http_addr(), "/ws").await;

        raw.send(&bytes).await;
        let (said, closed_with) = raw.until_closed().await;

        assert!(said.starts_with("ERROR\nmessage:unreadable message\n"), "{what}: {said:?}");
        assert!(said.contains(says), "{what}: {said:?}");
        assert_eq!(closed_with, Some(code), "{what}");
    }
    bystander.goes_on().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_character_may_be_cut_between_the_frames_of_a_message() {
    let (server, _dir) = stomp_client::start().await;
    let connect = "CONNECT\naccept-version:1.2\nhost:한\n\n\0".as_bytes();
    let mut raw = Raw::upgrade(server.http_addr(), "/ws").await;
    let cut = connect.iter().position(|byte| *byte > 0x7f).unwrap() + 1;

    raw.send_frame(TEXT_BEGINS, &connect[..cut]).await;
    raw.send_frame(PING, b"between").await;
    raw.send_frame(CONTINUATION, &connect[cut..]).await;

    assert_eq!(raw.frame().await, Some((PONG, b"between".to_vec())));
    let (kind, connected) = raw.frame().await.unwrap();
    assert_eq!(kind, TEXT);
    assert!(connected.starts_with(b"CONNECTED\n"));
    server.shutdown().await;
}

#[tokio::test]
async fn the_close_code_tells_what_ended_the_connection() {
    let (server, _dir) = stomp_client::start().await;
    let connect = "CONNECT\naccept-version:1.2\nhost:x\n\n\0";
    for (what, frames, code) in [
        ("a DISCONNECT", format!("{connect}DISCONNECT\nreceipt:r\n\n\0"), 1000),
        ("a violation", format!("{connect}NONSENSE\n\n\0"), 1002),
        ("a wrong version", "CONNECT\naccept-version:9\n\n\0".to_owned(), 1002),
    ] {
        let mut raw = Raw::upgrade(server.http_addr(), "/ws").await;
        raw.send_frame(TEXT, frames.as_bytes()).await;
        assert_eq!(raw.until_closed().await.1, Some(code), "{what}");
    }

    let mut polite = Raw::upgrade(server.http_addr(), "/ws").await;
    polite.send_frame(CLOSE, &1000_u16.to_be_bytes()).await;
    assert_eq!(polite.until_closed().await, (String::new(), Some(1000)));
    // A code that nobody may send, and half a code (RFC 6455 §7.4).
    for payload in [&1005_u16.to_be_bytes()[..], &[3]] {
        let mut raw = Raw::upgrade(server.http_addr(), "/ws").await;
        raw.send_frame(CLOSE, payload).await;
        assert_eq!(raw.until_closed().await.1, Some(1002), "{payload:?}");
    }

    let mut last = Raw::upgrade(server.http_addr(), "/ws").await;
    last.send_frame(TEXT, connect.as_bytes()).await;
    last.frame().await;
    let goodbye = tokio::spawn(async move { last.until_closed().await });
    server.shutdown().await;
    let (said, code) = goodbye.await.unwrap();
    assert!(said.contains("the server is shutting down"), "{said}");
    assert_eq!(code, Some(1001));
}

#[tokio::test]
async fn handshakes_that_are_none_are_refused() {
    let (server, _dir) = stomp_client::start().await;
    let mut bystander = Bystander::connect(&server).await;
    let without = |name: &str| UPGRADE.into_iter().filter(|(n, _)| *n != name).collect::<Vec<_>>();
    let with = |name: &'static str, value: &'static str| {
        let mut headers = without(name);
        headers.push((name, value));
        headers
    };
    for path in ["/ws", "/ws/websocket", "/ws/000/any/websocket"] {
        for (what, method, headers, status) in [
            ("a version of old", "GET", with("Sec-WebSocket-Version", "8"), 400),
            ("no version", "GET", without("Sec-WebSocket-Version"), 400),
            ("no key", "GET", without("Sec-WebSocket-Key"), 400),
            ("another protocol", "GET", with("Upgrade", "h2c"), 400),
            ("no upgrade of the connection", "GET", with("Connection", "keep-alive"), 400),
            ("another method", "POST", UPGRADE.to_vec(), 405),
        ] {
            let mut raw = Raw::connect(server.http_addr()).await;
            raw.request(method, path, &headers, "").await;
            let answer = raw.answer().await;
            assert_eq!(answer.status, status, "{path}, {what}: {answer:?}");
        }
    }
    bystander.goes_on().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_subprotocol_is_answered_only_when_it_was_offered() {
    let (server, _dir) = stomp_client::start().await;
    for path in ["/ws", "/ws/websocket", "/ws/000/any/websocket"] {
        for (offered, chosen) in [
            (None, None),
            (Some("wamp, mqtt"), None),
            (Some("mqtt, v10.stomp, v12.stomp"), Some("v12.stomp")),
            (Some("v11.stomp"), Some("v11.stomp")),
        ] {
            let mut raw = Raw::connect(server.http_addr()).await;
            let mut headers = UPGRADE.to_vec();
            headers.extend(offered.map(|names| ("Sec-WebSocket-Protocol", names)));

            raw.request("GET", path, &headers, "").await;
            let head = raw.head().await.to_ascii_lowercase();

            let answered =
                head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
            assert_eq!(answered, chosen, "{path}, {offered:?}");
            assert!(head.starts_with("http/1.1 101 "), "{head}");
        }
    }
    server.shutdown().await;
}
